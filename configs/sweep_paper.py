"""The paper's tables and figures on the built-in set: one teacher, three students of each kind, five skimmers.

    make paper

that is

    python -m l2l.sweep --sweep=configs/sweep_paper.py --out=runs/paper
    python -m l2l.report --table=all runs/paper --out=runs/paper/report.html

The data are made first where they are missing; finished runs are left alone. The students of the three seeds are dealt
over the five skimmers (seeds 3 and 4 see the features of students 0 and 1 once more), so that spreads at video level
are those of students and skimmers together. The teacher is asked once about the centre of every clip, for all students.
"""

from typing import Any

from configs.sweeps import Sweep

STUDENT_SEEDS, SKIM_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)
TRIMMED, VIDEOS, CLIPS = (f"data/sample/{part}" for part in ("trimmed", "untrimmed_large", "untrimmed_large_clips"))
MODALITIES = ("both", "image", "audio")
LONGER: dict[str, Any] = {"epochs": 40.0, "optim.lr": 2e-3}  # what suits training from scratch, rather than fine-tuning
# The teacher learns the target set as the student does.
FINETUNE: dict[str, Any] = {
    "data.dir": TRIMMED,
    "optim.lr": 5e-4,
    "epochs": 12.0,
    "eval_epochs": 0.0,
    "save_epochs": 0.0,
    "best": "",
}
SKIMS: dict[str, tuple[str, dict[str, Any]]] = {
    "skim": ("skim.py", {}),
    # The paper's recipe.
    "skim_soft": ("skim.py", {"model.selection": "soft", "model.count_start": True, "model.weigh": False}),
    "lstm": ("skim.py:sample_lstm", {}),
    "nonrecurrent": ("skim.py:sample_nonrecurrent", {}),
}
PAIRS: dict[str, dict[str, Any]] = {
    "pair_both": {},
    "pair_audio": {"model.index_by": "audio"},
}  # who chooses what the teacher then recognises


def clip_models(sweep: Sweep) -> None:
    """The teacher, and students with and without distillation."""
    teacher = sweep.run("teacher", "teacher.py")
    for seed in STUDENT_SEEDS:
        sweep.run("finetune_teacher", "teacher.py", seed, {"init": teacher} | FINETUNE)
        for modality in MODALITIES:
            what = {"model.modality": modality}
            given = {"teacher": teacher, "cache_teacher": True}
            distilled = sweep.run(f"distill_{modality}", "distill.py", seed, given | what)
            sweep.run(f"finetune_{modality}", "finetune.py", seed, {"init": distilled} | what)
            sweep.run(f"undistilled_{modality}", "finetune.py", seed, {"init": ""} | what | LONGER)


def features(sweep: Sweep) -> None:
    """What each student, and the first teacher, sees in the untrimmed videos."""
    for seed in STUDENT_SEEDS:
        sweep.run("extract", "extract.py", seed, {"student": sweep.folder("finetune_both", seed), "data.dir": VIDEOS})
    sweep.run("extract_teacher", "extract.py", 0, {"student": sweep.folder("finetune_teacher"), "data.dir": CLIPS})


def skimmers(sweep: Sweep) -> None:
    """What is trained on the features."""
    for seed in SKIM_SEEDS:
        one = seed % len(STUDENT_SEEDS)
        inputs = {"student": sweep.folder("finetune_both", one), "data.dir": sweep.folder("extract", one)}
        for name, (config, change) in SKIMS.items():
            sweep.run(name, config, seed, inputs | change)
        inputs["recognition"] = sweep.folder("extract_teacher")
        for name, change in PAIRS.items():
            sweep.run(name, "skim.py", seed, inputs | change)


def measurements(sweep: Sweep) -> None:
    """Curves of every skimmer, and of the chief one when it stops when sure."""
    for run in [entry for entry in sweep.entries if entry["name"] in (*SKIMS, *PAIRS)]:
        path, data = run["overrides"]["run"], run["overrides"]["data.dir"]
        sweep.measure("l2l.curves", path, "curves.json")
        if run["name"] == "skim":
            sweep.measure("l2l.sure", path, "sure.json", f"--data={data}")


def get_runs(out: str) -> list[dict]:
    """See `Sweep.entries`."""
    sweep = Sweep(out)
    clip_models(sweep)
    features(sweep)
    skimmers(sweep)
    measurements(sweep)
    return sweep.entries
