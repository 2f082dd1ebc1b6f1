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

STUDENTS = range(3)
DATA = "data/sample/untrimmed_large"
WIDTH, SMALL = 10, 3  # of the preview, and of the small student


def get_runs(out: str) -> list[dict]:
    """Runs, then what measures them, in an order in which each finds what it builds on."""
    runs: list[dict] = []

    def add(name: str, config: str, seed: int = 0, **overrides: object) -> str:
        where = f"{out}/{name}/{seed}"
        runs.append({"name": name, "config": config, "seed": seed, "overrides": overrides | {"run": where}})
        return where

    data: dict[str, Any] = {"data.dir": DATA}
    teacher = add("teacher", "configs/teacher.py")
    for seed in STUDENTS:
        distilled = add("distill", "configs/distill.py", seed, teacher=teacher)
        student = add("finetune", "configs/finetune.py", seed, init=distilled)
        described = add("extract", "configs/extract.py", seed, student=student, **data)
        preview = add("preview", "configs/preview.py", seed, teacher=student, **data, **{"model.preview": WIDTH})
        features = add("extract_listen", "configs/extract.py:listen", seed, student=preview, **data)
        narrow: dict[str, Any] = {"model.width": SMALL}
        distilled = add("distill_small", "configs/distill.py", seed, teacher=teacher, **narrow)
        small = add("small", "configs/finetune.py", seed, init=distilled, **narrow)
        add("extract_small", "configs/extract.py", seed, student=small, **data)
        if seed == STUDENTS[0]:
            add("both", "configs/skim.py", seed, student=student, **{"data.dir": described})
            add("glance", "configs/skim.py:glance", seed, student=preview, **{"data.dir": features})
    return runs
