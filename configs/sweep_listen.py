"""What choosing by sound is compared on: three students of the built-in sample, their previews, the features of both.

    make listen

that is

    python -m l2l.sweep --sweep=configs/sweep_listen.py --out=runs/listen --jobs=2
    python -m l2l.compare choose runs/listen
    python -m l2l.compare measure runs/listen

The students have one teacher, and a seed each of distillation and of all that follows; the videos are those of the
large untrimmed part. "small" is a student of width 3: its image and sound trunk together cost about as much as the
preview, so that choosing by sound is not mistaken for choosing by a small network. The first student's runs
"both" and "glance" are there to be timed, see benchmarks/frontier.py.
"""

from typing import Any

from configs.sweeps import Sweep

STUDENTS = range(3)
DATA = "data/sample/untrimmed_large"
WIDTH, SMALL = 10, 3  # of the preview, and of the small student


def get_runs(out: str) -> list[dict]:
    """See `Sweep.entries`."""
    sweep, data = Sweep(out), {"data.dir": DATA}
    teacher = sweep.run("teacher", "teacher.py")
    for seed in STUDENTS:
        distilled = sweep.run("distill", "distill.py", seed, {"teacher": teacher})
        student = sweep.run("finetune", "finetune.py", seed, {"init": distilled})
        described = sweep.run("extract", "extract.py", seed, {"student": student} | data)
        preview = sweep.run("preview", "preview.py", seed, {"teacher": student, "model.preview": WIDTH} | data)
        features = sweep.run("extract_listen", "extract.py:listen", seed, {"student": preview} | data)
        narrow: dict[str, Any] = {"model.width": SMALL}
        distilled = sweep.run("distill_small", "distill.py", seed, {"teacher": teacher} | narrow)
        small = sweep.run("small", "finetune.py", seed, {"init": distilled} | narrow)
        sweep.run("extract_small", "extract.py", seed, {"student": small} | data)
        if seed == STUDENTS[0]:
            sweep.run("both", "skim.py", seed, {"student": student, "data.dir": described})
            sweep.run("glance", "skim.py:glance", seed, {"student": preview, "data.dir": features})
    return sweep.entries
