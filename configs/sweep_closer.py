"""Looking closer at what is small and far away: against more moments, larger pictures, and regions that are not chosen.

    python -m l2l.sweep --sweep=configs/sweep_closer.py --out=runs/closer
    python -m l2l.report --table=closer runs/closer --out=runs/closer/report.html

Three seeds of every arm, from student to skimmer, on the built-in set's far parts. A second glance costs as much as
another moment, and as a picture of twice as many pixels. Every arm chooses its moments by the preview's sound. All
begin with one student and its preview, made here as the demo makes them.
"""

from typing import Any

from configs.sweeps import Sweep

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
    """See `Sweep.entries`."""
    sweep = Sweep(out)
    teacher = sweep.run("teacher", "teacher.py")
    student = sweep.run(
        "finetune", "finetune.py", 0, {"init": sweep.run("distill", "distill.py", 0, {"teacher": teacher})}
    )
    preview = sweep.run("preview", "preview.py", 0, {"teacher": student})
    for seed in SEEDS:
        inputs = {}
        for name, change in STUDENTS.items():
            student = sweep.run(f"finetune_{name}", "finetune.py:closer", seed, {"init": preview} | change)
            features = sweep.run(f"extract_{name}", "extract.py:closer", seed, {"student": student})
            inputs[name] = {"student": student, "data.dir": features}
        for arm, (which, change) in ARMS.items():
            skimmer = sweep.run(f"skim_{arm}", "skim.py:closer", seed, inputs[which] | change)
            sweep.measure("l2l.curves", skimmer, "curves.json")
    return sweep.entries
