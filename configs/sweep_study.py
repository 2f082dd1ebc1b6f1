"""The study on the built-in set: three seeds of every arm whose order the method claims something about.

    python -m l2l.sweep --sweep=configs/sweep_study.py --out=runs/study

The data are those of the demo (data seed 0); the seeds are those of training.
"""

from typing import Any

from configs.sweeps import Sweep

SEEDS = (0, 1, 2)
LONGER: dict[str, Any] = {"epochs": 40.0, "optim.lr": 2e-3}  # what suits training from scratch, rather than fine-tuning
STUDENTS: dict[str, dict[str, Any]] = {
    "both": {},
    "image": {"model.modality": "image"},
    "audio": {"model.modality": "audio"},
}
SOFT = {"model.selection": "soft", "model.count_start": True, "model.weigh": False}  # the paper's recipe
SKIMS: dict[str, dict[str, Any]] = {"straight_through": {}, "soft": SOFT, "audio": {"model.index_by": "audio"}}


def get_runs(out: str) -> list[dict]:
    """See `Sweep.entries`."""
    sweep = Sweep(out, "{seed}/{name}")
    for seed in SEEDS:
        teacher = sweep.run("teacher", "teacher.py", seed)
        for arm, change in STUDENTS.items():
            distilled = sweep.run(f"distill_{arm}", "distill.py", seed, {"teacher": teacher} | change)
            sweep.run(f"finetune_{arm}", "finetune.py", seed, {"init": distilled} | change)
        sweep.run("finetune_undistilled", "finetune.py", seed, LONGER | {"init": ""})
        student = sweep.folder("finetune_both", seed)
        features = sweep.run("extract", "extract.py", seed, {"student": student})
        for arm, change in SKIMS.items():
            sweep.run(f"skim_{arm}", "skim.py", seed, {"student": student, "data.dir": features} | change)
    return sweep.entries
