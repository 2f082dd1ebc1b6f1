"""What each part of the method is worth on the built-in set: one key changed at a time, three seeds each.

    make ablations

It builds on the runs of `make paper`, whose students and skimmers are what everything is compared with:

    python -m l2l.sweep --sweep=configs/sweep_ablations.py --out=runs/ablations
    python -m l2l.report --table=ablations runs/ablations runs/paper/distill_both runs/paper/finetune_both \
        runs/paper/skim --out=runs/ablations/report.html

What a glance answers, by itself and with the teacher, is in runs/ablations/sweep.md.
"""

from typing import Any

from configs.sweeps import Sweep

SEEDS = (0, 1, 2)
PAPER = "runs/paper"
DISTILLATIONS: dict[str, dict[str, Any]] = {
    "lambda_0": {"distill_weight": 0.0},  # the L1 term alone
    "lambda_1": {"distill_weight": 1.0},
    "lambda_10": {"distill_weight": 10.0},
    "lambda_1000": {"distill_weight": 1000.0},
    "no_l1": {"distill_feature": 0.0},  # the cross-entropy term alone
    "not_cached": {"cache_teacher": False},  # the teacher sees the student's own random square at every step
}
FROZEN = (("classifier/.*", 0.1), ("modality/.*", 0.0))
SKIMS: dict[str, dict[str, Any]] = {
    "soft": {"model.selection": "soft"},
    "not_weighed": {"model.weigh": False},
    "start_counted": {"model.count_start": True, "model.weigh": False},  # the start has no weight of its own
    "soft_start_counted": {"model.selection": "soft", "model.count_start": True, "model.weigh": False},  # the paper's
    "no_masking": {"model.masking": False},
    "fixed_shares": {"optim.lr_scale": FROZEN},  # modality scores stay those of a random layer, as in the released code
    "head": {"head": 0.1},
    "index_image": {"model.index_by": "image"},
    "index_audio": {"model.index_by": "audio"},
}
# Who answers for what a glance reads: the student that describes the videos, or the teacher.
GLANCES: dict[str, dict[str, Any]] = {"glance": {}, "glance_teacher": {"recognition": f"{PAPER}/extract_teacher/0"}}


def get_runs(out: str) -> list[dict]:
    """See `Sweep.entries`."""
    sweep = Sweep(out)
    for seed in SEEDS:
        for arm, change in DISTILLATIONS.items():
            given = {"teacher": f"{PAPER}/teacher/0", "cache_teacher": True}
            distilled = sweep.run(f"distill_{arm}", "distill.py", seed, given | change)
            sweep.run(f"finetune_{arm}", "finetune.py", seed, {"init": distilled})
        inputs = {"student": f"{PAPER}/finetune_both/{seed}", "data.dir": f"{PAPER}/extract/{seed}"}
        for arm, change in SKIMS.items():
            sweep.run(f"skim_{arm}", "skim.py", seed, inputs | change)
        for arm, change in GLANCES.items():
            sweep.run(arm, "skim.py:glance", seed, inputs | change)
    return sweep.entries
