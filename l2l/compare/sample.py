"""The comparison on the built-in sample: three students, their previews, and everything that may choose."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from l2l.compare import films
from l2l.compare.arms import Arm
from l2l.compare.study import (
    GLANCE,
    LOOKS,
    LSTM,
    PICKS,
    RATES,
    READER,
    SAMPLER,
    SKIMMER,
    Difference,
    Grid,
    Groups,
    Study,
    readers,
    selections,
    skimmers,
)
from l2l.runs.run_folder import RunError

EVERY = 5  # positions from one picture that helps to choose to the next
COUNTS = (20, 17, 16)  # uniform positions with the preview's sound that cost no less than T = 10, 5, 3 of a listener


def study_of(runs: Path) -> Study:
    """Of the runs of configs/sweep_listen.py."""
    drawn = ("LSTM, straight-through", "glance", "glance, preview", "glance, preview and images", "glance, images")
    return Study(functools.partial(groups_of, runs), arms(), grids(), differences(), crossed=True, drawn=drawn)


def students_of(runs: Path) -> list[int]:
    """The students that there are.

    Raises:
      RunError: there is none.
    """
    students = sorted(int(path.name) for path in (runs / "extract").glob("*") if path.name.isdecimal())
    if not students:
        cure = f"make them with python -m l2l.sweep --sweep=listen --out={runs}"
        raise RunError(f"{runs} holds no features of students (extract/0): {cure}")
    return students


def groups_of(runs: Path, splits: Sequence[str]) -> Groups:
    """Features of every student; raises as `films.load` and `students_of`."""

    def of(kind: str, clip_model: str, student: int, **more: str) -> films.Features:
        return films.load(runs / kind / str(student), runs / clip_model / str(student), splits, **more)

    def group(student: int) -> dict[str, films.Features]:
        place = lambda name: str(runs / name / str(student))
        heard = {"recognition": place("extract_listen"), "recogniser": place("preview")}
        return {
            "own": of("extract", "finetune", student),
            "preview": of("extract_listen", "preview", student),
            "small": of("extract_small", "small", student, **heard),
        }

    return [group(student) for student in students_of(runs)]


def arms() -> list[Arm]:
    """The rows of the table."""
    listens = lambda what, stride: GLANCE | {"listens": what, "stride": stride}
    heard: dict[str, Any] = {"index_by": "audio", "fallback": 2, "weigh": True}
    found = skimmers()
    found.append(Arm("LSTM by sound, preview", "skimmer", "preview", model=SKIMMER | PICKS | heard))
    found.append(Arm("single query", "query", model={"steps": 10, "key": 64}))
    found.append(Arm("glance", "glance", model=listens("audio", 2)))
    found.append(Arm("glance, preview", "glance", "preview", model=listens("audio", 2)))
    more: dict[str, Any] = {"features": "preview", "family": "glance, preview"}
    found.append(Arm("glance, preview and images", "glance", model=listens("both", EVERY), **more))
    found.append(Arm("glance, images", "glance", model=listens("image", EVERY), **more))
    found.append(Arm("glance, small net of both", "glance", "small", model=listens("both", 1)))
    found += selections()
    found.append(Arm(SAMPLER, "sampler", model=listens("audio", 2)))
    for count in sorted({LOOKS[0], *COUNTS}):
        found += readers("uniform", count, "preview")
    return found


def grids() -> dict[str, Grid]:
    """What is chosen of each family."""
    found: dict[str, Grid] = {arm.name: LSTM for arm in skimmers()}
    found |= {"LSTM by sound, preview": LSTM, "single query": RATES, SAMPLER: RATES}
    found |= dict.fromkeys(("glance", "glance, preview", "glance, small net of both"), READER)
    found |= {"mean of all": READER, "max": READER, "top-k": READER | {"count": (5, 3, 10)}}
    for count in sorted({*LOOKS, *COUNTS}):
        found |= {f"judge of {count}": READER, f"mean of {count}": READER}
    return found


def differences() -> list[Difference]:
    """What is asked."""
    found = [Difference("glance, all", "best LSTM, best"), Difference("glance, all", "everything, trained mean, all")]
    found += [Difference(f"{g}, T=10", "LSTM, straight-through, T=10") for g in ("glance", "glance, preview")]
    for count, paid in zip(LOOKS, COUNTS, strict=True):
        found.append(Difference(f"glance, T={count}", f"uniform {count}, judge, all"))
        found.append(Difference(f"glance, preview, T={count}", f"uniform {paid} by preview, judge, all"))
    for count in LOOKS[1:]:
        found.append(Difference(f"glance, preview and images, T={count}", f"glance, preview, T={count}"))
    found.append(Difference("glance, preview, T=10", "glance, small net of both, T=10"))
    found.append(Difference("glance, preview, T=10", "sampler 10, judge, all"))
    return [*found, Difference("glance, preview, T=10", "uniform 10 by preview, judge, all", where="silent")]
