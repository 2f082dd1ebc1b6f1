"""Videos of two classes each: every class judged by itself, beside one softmax for all; a skimmer, and one glance.

    python -m l2l.sweep --sweep=configs/sweep_multi_label.py --out=runs/multi_label

All learn from the same features and labels of the built-in set's untrimmed_pairs, with five seeds; what counts is mAP.
The student is the first of `make paper`, trained on clips of one class, which has to be there.
"""

STUDENT = "runs/paper/finetune_both/0"
SEEDS = (0, 1, 2, 3, 4)
ARMS = {
    "skim_softmax": ("configs/skim.py", False),
    "skim_sigmoid": ("configs/skim.py", True),
    "glance_sigmoid": ("configs/skim.py:glance", True),
}


def get_runs(out: str) -> list[dict]:
    """Runs in an order in which each finds what it builds on; every run is {name, config, seed, overrides}."""
    features = f"{out}/extract"
    extract = {"student": STUDENT, "data.dir": "data/sample/untrimmed_pairs", "run": features}
    runs = [{"name": "extract", "config": "configs/extract.py", "seed": 0, "overrides": extract}]
    for seed in SEEDS:
        for arm, (config, key) in ARMS.items():
            overrides = {"student": STUDENT, "data.dir": features, "multi_label": key, "run": f"{out}/{seed}/{arm}"}
            runs.append({"name": arm, "config": config, "seed": seed, "overrides": overrides})
    return runs
