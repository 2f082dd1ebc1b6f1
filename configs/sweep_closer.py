"""Looking closer at what is small and far away: against more moments, larger pictures, and regions that are not chosen.

    python -m l2l.sweep --sweep=configs/sweep_closer.py --out=runs/closer
    python -m l2l.report --table=closer runs/closer --out=runs/closer/report.html

Three seeds of every arm, from student to skimmer, on the built-in set's far parts. A second glance costs as much as
another moment, and as a picture of twice as many pixels. Every arm chooses its moments by the preview's sound. All
begin with one student and its preview, made here as the demo makes them.
"""

from typing import Any

SEEDS = (0, 1, 2)
LARGER = {"data.crop": 68, "data.resize": 68, "model.regions": 0}  # 68 * 68 is twice 48 * 48
WHOLE = {"data.scale": 1.0, "model.regions": 0}  # never shown parts of pictures
# Student -> what it is fine-tuned with.
STUDENTS: dict[str, dict[str, Any]] = {"parts": {}, "whole": WHOLE, "larger": LARGER, "larger_whole": WHOLE | LARGER}
# Arm -> its student, and what its skimmer changes.
ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "none": ("parts", {"model.closer": ""}),
    "none_whole": ("whole", {"model.closer": ""}),
    "more_moments": ("parts", {"model.closer": "", "model.steps": 20}),
    "larger": ("larger", {"model.closer": ""}),
    "larger_whole": ("larger_whole", {"model.closer": ""}),
    "random": ("parts", {"model.closer": "random"}),
    "centre": ("parts", {"model.closer": "centre"}),
    "closer": ("parts", {}),
}


def get_runs(out: str) -> list[dict]:
    """Runs in an order in which each finds what it builds on; every run is {name, config, seed, overrides}."""
    runs = []

    def add(name: str, config: str, seed: int = 0, **changes: object) -> str:
        path = f"{out}/{name}/{seed}"
        overrides = changes | {"run": path}
        runs.append({"name": name, "config": f"configs/{config}", "seed": seed, "overrides": overrides})
        return path

    distilled = add("distill", "distill.py", teacher=add("teacher", "teacher.py"))
    preview = add("preview", "preview.py", teacher=add("finetune", "finetune.py", init=distilled))
    for seed in SEEDS:
        inputs = {}
        for name, change in STUDENTS.items():
            student = add(f"finetune_{name}", "finetune.py:closer", seed, init=preview, **change)
            features = add(f"extract_{name}", "extract.py:closer", seed, student=student)
            inputs[name] = {"student": student, "data.dir": features}
        for arm, (student, change) in ARMS.items():
            path = add(f"skim_{arm}", "skim.py:closer", seed, **inputs[student], **change)
            runs.append({"command": ["l2l.curves", path], "makes": f"{path}/curves.json"})
    return runs
