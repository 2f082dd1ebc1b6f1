"""Choosing moments by sound alone, on the large untrimmed part of the built-in set: five seeds of every arm.

    python -m data_prep.sample --out=data/sample --parts=untrimmed_large --seed=0
    python -m l2l.sweep --sweep=configs/sweep_listen.py --out=runs/listen

The student, its preview and the features are those of one seed; the seeds are those of the skimmers.
"""

SEEDS = range(5)
DATA = "data/sample/untrimmed_large"
PREVIEWS = (4, 8, 16)  # widths
WEIGH = {"model.weigh": True}
BY_SOUND = WEIGH | {"model.index_by": "audio", "model.fallback": 2, "mute": 0.25}
ARMS = {"both": {}, "both_weigh": WEIGH, "audio": BY_SOUND}


def get_runs(out: str) -> list[dict]:
    """Runs in an order in which each finds what it builds on; every run is {name, config, seed, overrides}."""
    runs = []

    def add(name: str, config: str, seed: int = 0, **overrides: object) -> None:
        where = f"{out}/{seed}/{name}"
        runs.append({"name": name, "config": config, "seed": seed, "overrides": overrides | {"run": where}})

    add("extract", "configs/extract.py", **{"data.dir": DATA})
    for width in PREVIEWS:
        add(f"preview_{width}", "configs/preview.py", **{"data.dir": DATA, "model.preview": width})
        student = {"student": f"{out}/0/preview_{width}"}
        add(f"extract_{width}", "configs/extract.py:listen", **student, **{"data.dir": DATA})
    for seed in SEEDS:
        for arm, change in ARMS.items():
            add(f"skim_{arm}", "configs/skim.py", seed, **change, **{"data.dir": f"{out}/0/extract"})
        for width in PREVIEWS:
            student = {"student": f"{out}/0/preview_{width}", "data.dir": f"{out}/0/extract_{width}"}
            add(f"skim_listen_{width}", "configs/skim.py:listen", seed, **student)
    return runs
