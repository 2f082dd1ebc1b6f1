"""Videos of two classes each: every class judged by itself, beside one softmax for all; a skimmer, and one glance.

    python -m l2l.sweep --sweep=configs/sweep_multi_label.py --out=runs/multi_label

All learn from the same features and labels of the built-in set's untrimmed_pairs, with five seeds; what counts is mAP.
The student is the first of `make paper`, trained on clips of one class, which has to be there.
"""

from configs.sweeps import Sweep

STUDENT = "runs/paper/finetune_both/0"
SEEDS = (0, 1, 2, 3, 4)
ARMS = {
    "skim_softmax": ("skim.py", False),
    "skim_sigmoid": ("skim.py", True),
    "glance_sigmoid": ("skim.py:glance", True),
}


def get_runs(out: str) -> list[dict]:
    """See `Sweep.entries`."""
    sweep = Sweep(out, "{seed}/{name}")
    extract = {"student": STUDENT, "data.dir": "data/sample/untrimmed_pairs", "run": f"{out}/extract"}
    features = sweep.run("extract", "extract.py", 0, extract)
    for seed in SEEDS:
        for arm, (config, key) in ARMS.items():
            sweep.run(arm, config, seed, {"student": STUDENT, "data.dir": features, "multi_label": key})
    return sweep.entries
