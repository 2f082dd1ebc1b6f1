"""Listening first beside what else there is, on the large untrimmed part of the built-in set: five seeds of every arm.

    make listen

that is

    python -m l2l.sweep --sweep=configs/sweep_listen.py --out=runs/listen
    python -m l2l.report --table=all runs/listen --out=runs/listen/report.html

The student, its previews and the features are those of one seed, made here as the demo makes them; the seeds are those
of the skimmers. What previews of other widths have learned, their agreement with the student, is in
runs/listen/sweep.md.
"""

from typing import Any

SEEDS = range(5)
DATA = "data/sample/untrimmed_large"
WIDTHS, CHOSEN = (4, 8, 10), 10  # of previews; the last one leaves listening just below a quarter of "both" in cost
PLAIN = {"model.weigh": False}  # every look counts the same
SOFT = PLAIN | {"model.selection": "soft", "model.count_start": True}  # the paper's recipe
BY_SOUND = {"model.index_by": "audio", "model.fallback": 2, "mute": 0.25}  # by the student's own audio trunk
ARMS: dict[str, dict[str, Any]] = {"soft": SOFT, "both": PLAIN, "both_weigh": {}, "audio": BY_SOUND}
SURE, HEARING = ("both", "listen"), ("audio", "listen")  # asked when they are sure; tried with other sound


def get_runs(out: str) -> list[dict]:
    """Runs, then what measures them, in an order in which each finds what it builds on."""
    runs = []

    def add(name: str, config: str, seed: int = 0, **overrides: object) -> None:
        where = f"{out}/{name}/{seed}"
        runs.append({"name": name, "config": config, "seed": seed, "overrides": overrides | {"run": where}})

    add("teacher", "configs/teacher.py")
    add("distill", "configs/distill.py", teacher=f"{out}/teacher/0")
    add("finetune", "configs/finetune.py", init=f"{out}/distill/0")
    seen: dict[str, Any] = {"student": f"{out}/finetune/0"}
    add("extract", "configs/extract.py", **seen, **{"data.dir": DATA})
    for width in WIDTHS:
        own: dict[str, Any] = {"data.dir": DATA, "model.preview": width, "teacher": seen["student"]}
        add(f"preview_{width}", "configs/preview.py", **own)
    heard: dict[str, Any] = {"student": f"{out}/preview_{CHOSEN}/0"}
    add("extract_listen", "configs/extract.py:listen", **heard, **{"data.dir": DATA})
    for seed in SEEDS:
        for arm, change in ARMS.items():
            add(arm, "configs/skim.py", seed, **seen, **change, **{"data.dir": f"{out}/extract/0"})
        add("listen", "configs/skim.py:listen", seed, **heard, **{"data.dir": f"{out}/extract_listen/0"})
    return [*runs, *(step for run in runs for step in measurements(run))]


def measurements(run: dict) -> list[dict]:
    """Curves of every skimmer; when some are sure, and what becomes of those that listen with other sound."""
    name, path = run["name"], run["overrides"]["run"]
    steps = [("curves", path)] if name in (*ARMS, "listen") else []
    steps += [("sure", path, f"--data={run['overrides']['data.dir']}")] if name in SURE else []
    steps += [("sound_trials", path)] if name in HEARING else []
    return [{"command": [f"l2l.{what}", *words], "makes": f"{path}/{what}.json"} for what, *words in steps]
