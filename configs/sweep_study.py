"""The study on the built-in set: three seeds of every arm whose order the method claims something about.

    python -m l2l.sweep --sweep=configs/sweep_study.py --out=runs/study

The data are those of the demo (data seed 0); the seeds are those of training.
"""

from typing import Any

SEEDS = (0, 1, 2)
LONGER = {"epochs": 40.0, "optim.lr": 2e-3}  # what suits training from scratch, rather than fine-tuning
STUDENTS: dict[str, dict[str, Any]] = {
    "both": {},
    "image": {"model.modality": "image"},
    "audio": {"model.modality": "audio"},
}
SOFT = {"model.selection": "soft", "model.count_start": True, "model.weigh": False}  # the paper's recipe
SKIMS: dict[str, dict[str, Any]] = {"straight_through": {}, "soft": SOFT, "audio": {"model.index_by": "audio"}}


def get_runs(out: str) -> list[dict]:
    """Runs in an order in which each finds what it builds on; every run is {name, config, seed, overrides}."""
    runs = []
    for seed in SEEDS:
        here = f"{out}/{seed}"

        def add(name: str, stage: str, inputs: dict[str, str], here: str = here, seed: int = seed) -> None:
            arm = name.partition("_")[2]
            change = (SKIMS if stage == "skim" else STUDENTS | {"undistilled": LONGER}).get(arm, {})
            overrides = inputs | change | {"run": f"{here}/{name}"}
            runs.append({"name": name, "config": f"configs/{stage}.py", "seed": seed, "overrides": overrides})

        add("teacher", "teacher", {})
        for arm in STUDENTS:
            add(f"distill_{arm}", "distill", {"teacher": f"{here}/teacher"})
            add(f"finetune_{arm}", "finetune", {"init": f"{here}/distill_{arm}"})
        add("finetune_undistilled", "finetune", {"init": ""})
        student = f"{here}/finetune_both"
        add("extract", "extract", {"student": student})
        for arm in SKIMS:
            add(f"skim_{arm}", "skim", {"student": student, "data.dir": f"{here}/extract"})
    return runs
