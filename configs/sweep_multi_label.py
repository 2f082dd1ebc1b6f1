"""Videos of two classes each: skimmers that judge every class by itself, beside those that share one softmax.

    python -m l2l.sweep --sweep=configs/sweep_multi_label.py --out=runs/multi_label

Both learn from the same features and labels of the built-in set's untrimmed_pairs, with five seeds; what counts is mAP.
The student is the first of `make paper`, trained on clips of one class, which has to be there.
"""

STUDENT = "runs/paper/finetune_both/0"
SEEDS = (0, 1, 2, 3, 4)
ARMS = {"softmax": False, "sigmoid": True}


def get_runs(out: str) -> list[dict]:
    """Runs in an order in which each finds what it builds on; every run is {name, config, seed, overrides}."""
    features = f"{out}/extract"
    extract = {"student": STUDENT, "data.dir": "data/sample/untrimmed_pairs", "run": features}
    runs = [{"name": "extract", "config": "configs/extract.py", "seed": 0, "overrides": extract}]
    for seed in SEEDS:
        for arm, key in ARMS.items():
            overrides = {"student": STUDENT, "data.dir": features, "multi_label": key}
            overrides["run"] = f"{out}/{seed}/skim_{arm}"
            runs.append({"name": f"skim_{arm}", "config": "configs/skim.py", "seed": seed, "overrides": overrides})
    return runs
