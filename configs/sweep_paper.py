"""The paper's tables and figures on the built-in set: one teacher, three students of each kind, five skimmers.

    make paper

that is

    python -m l2l.sweep --sweep=configs/sweep_paper.py --out=runs/paper
    python -m l2l.report --table=all runs/paper --out=runs/paper/report.html

The data are made first where they are missing; finished runs are left alone. The students of the three seeds are dealt
over the five skimmers (seeds 3 and 4 see the features of students 0 and 1 once more), so that spreads at video level
are those of students and skimmers together. The teacher is asked once about the centre of every clip, for all students.
"""

STUDENT_SEEDS, SKIM_SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)
TRIMMED, VIDEOS, CLIPS = (f"data/sample/{part}" for part in ("trimmed", "untrimmed_large", "untrimmed_large_clips"))
MODALITIES = ("both", "image", "audio")
LONGER = {"epochs": 40.0, "optim.lr": 2e-3}  # what suits training from scratch, rather than fine-tuning
# The teacher learns the target set as the student does.
FINETUNE = {"data.dir": TRIMMED, "optim.lr": 5e-4, "epochs": 12.0, "eval_epochs": 0.0, "save_epochs": 0.0, "best": ""}
SKIMS = {
    "skim": ("skim.py", {}),
    # The paper's recipe.
    "skim_soft": ("skim.py", {"model.selection": "soft", "model.count_start": True, "model.weigh": False}),
    "lstm": ("skim.py:sample_lstm", {}),
    "nonrecurrent": ("skim.py:sample_nonrecurrent", {}),
}
PAIRS = {"pair_both": {}, "pair_audio": {"model.index_by": "audio"}}  # who chooses what the teacher then recognises


def stage(out: str, name: str, config: str, seed: int, **changes: object) -> dict:
    """A run of configs/CONFIG in OUT/NAME/SEED."""
    overrides = changes | {"run": f"{out}/{name}/{seed}"}
    return {"name": name, "config": f"configs/{config}", "seed": seed, "overrides": overrides}


def clip_models(out: str) -> list[dict]:
    """The teacher, and students with and without distillation."""
    runs = [stage(out, "teacher", "teacher.py", 0)]
    for seed in STUDENT_SEEDS:
        runs.append(stage(out, "finetune_teacher", "teacher.py", seed, init=f"{out}/teacher/0", **FINETUNE))
        for modality in MODALITIES:
            what, distilled = {"model.modality": modality}, f"distill_{modality}"
            runs += [
                stage(out, distilled, "distill.py", seed, teacher=f"{out}/teacher/0", cache_teacher=True, **what),
                stage(out, f"finetune_{modality}", "finetune.py", seed, init=f"{out}/{distilled}/{seed}", **what),
                stage(out, f"undistilled_{modality}", "finetune.py", seed, init="", **what, **LONGER),
            ]
    return runs


def features(out: str) -> list[dict]:
    """What each student, and the first teacher, sees in the untrimmed videos."""
    extract = lambda name, seed, of, data: stage(
        out, name, "extract.py", seed, **{"student": f"{out}/{of}/{seed}", "data.dir": data}
    )
    students = [extract("extract", seed, "finetune_both", VIDEOS) for seed in STUDENT_SEEDS]
    return [*students, extract("extract_teacher", 0, "finetune_teacher", CLIPS)]


def skimmers(out: str) -> list[dict]:
    """What is trained on the features."""
    runs = []
    for seed in SKIM_SEEDS:
        one = seed % len(STUDENT_SEEDS)
        inputs = {"student": f"{out}/finetune_both/{one}", "data.dir": f"{out}/extract/{one}"}
        runs += [stage(out, name, config, seed, **inputs, **change) for name, (config, change) in SKIMS.items()]
        inputs["recognition"] = f"{out}/extract_teacher/0"
        runs += [stage(out, name, "skim.py", seed, **inputs, **change) for name, change in PAIRS.items()]
    return runs


def measurements(runs: list[dict]) -> list[dict]:
    """Curves of every skimmer, and of the chief one when it stops when sure."""
    steps = []
    for run in runs:
        path, data = run["overrides"]["run"], run["overrides"]["data.dir"]
        steps.append({"command": ["l2l.curves", path], "makes": f"{path}/curves.json"})
        if run["name"] == "skim":
            steps.append({"command": ["l2l.sure", path, f"--data={data}"], "makes": f"{path}/sure.json"})
    return steps


def get_runs(out: str) -> list[dict]:
    """Runs, then what measures them, in an order in which each finds what it builds on."""
    skims = skimmers(out)
    return [*clip_models(out), *features(out), *skims, *measurements(skims)]
