"""Looking closer at what is small and far away: against more moments, larger pictures, and regions that are not chosen.

    python -m l2l.sweep --sweep=configs/sweep_closer.py --out=runs/closer
    python -m l2l.report --table=closer runs/closer --out=runs/closer/report.html

Three seeds of every arm, from student to skimmer, on the built-in set's far parts. A second glance costs as much as
another moment, and as a picture of twice as many pixels. Every arm chooses its moments by the preview's sound. The
demo's student with its preview is made first where it is missing.
"""

SEEDS = (0, 1, 2)
LARGER = {"data.crop": 68, "data.resize": 68, "model.regions": 0}  # 68 * 68 is twice 48 * 48
WHOLE = {"data.scale": 1.0, "model.regions": 0}  # never shown parts of pictures
# Student -> what it is fine-tuned with.
STUDENTS = {"parts": {}, "whole": WHOLE, "larger": LARGER, "larger_whole": WHOLE | LARGER}
# Arm -> its student, and what its skimmer changes.
ARMS = {
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

    def add(name: str, stage: str, seed: int, **changes: object) -> str:
        path = f"{out}/{name}/{seed}"
        overrides = changes | {"run": path}
        runs.append({"name": name, "config": f"configs/{stage}.py:closer", "seed": seed, "overrides": overrides})
        return path

    for seed in SEEDS:
        inputs = {}
        for name, change in STUDENTS.items():
            student = add(f"finetune_{name}", "finetune", seed, **change)
            inputs[name] = {"student": student, "data.dir": add(f"extract_{name}", "extract", seed, student=student)}
        for arm, (student, change) in ARMS.items():
            path = add(f"skim_{arm}", "skim", seed, **inputs[student], **change)
            runs.append({"command": ["l2l.curves", path], "makes": f"{path}/curves.json"})
    return runs
