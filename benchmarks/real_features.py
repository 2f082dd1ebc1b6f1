"""Ways to choose on features of real films: people who pour pasta, rice or water into containers, or handle them empty.

    python -m benchmarks.real_features --data=FOLDER --out=DIR choose
    python -m benchmarks.real_features --data=FOLDER --out=DIR measure

FOLDER has corsmal_c1_f16.npz, VGGish of the sound and R(2+1)D-18 of one camera's pictures as the repository
v-iashin/CORSMAL publishes them, and corsmal_labels.json. An untrimmed film is composed of one pour, whose content and
level are its class, among 6 to 9 empty handlings, in random order. Films are tested on containers that nobody trained
on: three folds, and settings are chosen on films of one fold after training on those of another. The clip model is a
classifier of single positions, trained on those of the pours alone. Writes DIR/results.md,
DIR/results.json and DIR/curves.png.
"""

import argparse
import dataclasses
import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2l.compare import __main__ as compare
from l2l.compare import training
from l2l.compare.arms import Arm, task_of
from l2l.compare.films import Features, Tree
from l2l.compare.study import (
    GLANCE,
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
    selections,
    skimmers,
)
from l2l.core.atomic import hash_of
from l2l.models.student import Unfused

FEATURES, LABELS = "corsmal_c1_f16.npz", "corsmal_labels.json"
FOLDS = ((3, 6, 9), (2, 5, 8), (1, 4, 7))  # containers that are tested on
FILMS = {"train": 500, "val": 250, "test": 250}
POSITIONS, CLASSES = 72, 6
PICTURE_HOP, SOUND_HOP = 16 / 30, 0.96  # seconds from one row to the next
LOOKS = (10, 5)


@dataclasses.dataclass(frozen=True)
class Recording:
    """One handling of a container: image (n, 512), and of each position the sound (n, 128) that is nearest in time.

    Attributes:
      container: its number.
      label: content and level of a pour, 0..5; -1 of an empty container.
    """

    container: int
    label: int
    image: np.ndarray
    audio: np.ndarray


def recordings(folder: Path) -> list[Recording]:
    """Those that have a label, of both modalities."""
    with np.load(folder / FEATURES) as arrays:
        found = []
        for key, container, _, filling, level, *_ in json.loads((folder / LABELS).read_text())["rows"]:
            names = [f"{key}/{what}" for what in ("c1", "audio")]
            if filling < 0 or any(name not in arrays for name in names):
                continue
            image, sound = (arrays[name].astype(np.float32) for name in names)
            times = (np.arange(len(image)) + 0.5) * PICTURE_HOP
            nearest = np.clip(np.round(times / SOUND_HOP - 0.5).astype(int), 0, len(sound) - 1)
            label = (filling - 1) * 2 + level - 1 if filling and level else -1
            if bool(filling) == (label >= 0):
                found.append(Recording(container, label, image, sound[nearest]))
    return found


def compose(own: Sequence[Recording], count: int, seed: int) -> list[list[Recording]]:
    """Films of one pour among 6 to 9 empty handlings, at most POSITIONS long."""
    rng = np.random.default_rng(seed)
    pours = [[r for r in own if r.label == label] for label in range(CLASSES)]
    empty = [r for r in own if r.label < 0]
    films: list[list[Recording]] = []
    while len(films) < count:
        pour = (kind := pours[rng.integers(CLASSES)])[rng.integers(len(kind))]
        film = [empty[i] for i in rng.integers(len(empty), size=rng.integers(6, 10))]
        film.insert(rng.integers(len(film) + 1), pour)
        if sum(len(part.image) for part in film) <= POSITIONS:
            films.append(film)
    return films


def stacked(films: Sequence[Sequence[Recording]]) -> Tree:
    """Films as `films.Features` has videos."""
    count, first = len(films), films[0][0]
    image, audio = (np.zeros((count, POSITIONS, x.shape[1]), np.float32) for x in (first.image, first.audio))
    valid, inside = np.zeros((2, count, POSITIONS), bool)
    for i, film in enumerate(films):
        n = sum(len(part.image) for part in film)
        image[i, :n], audio[i, :n] = (np.concatenate([getattr(part, m) for part in film]) for m in ("image", "audio"))
        valid[i, :n] = True
        inside[i, :n] = np.concatenate([np.full(len(part.image), part.label >= 0) for part in film])
    labels = np.eye(CLASSES, dtype=np.float32)[[max(part.label for part in film) for film in films]]
    marks = {"has_audio": np.ones(count, bool), "mask": np.ones(count, bool), "example": np.arange(count)}
    return {"image": image, "audio": audio, "valid": valid, "inside": inside, "labels": labels} | marks


def standardised(videos: Tree, of: Tree) -> Tree:
    """Image and audio by the mean and deviation of the positions of other videos."""
    found = dict(videos)
    for m in ("image", "audio"):
        rows = of[m][of["valid"]]
        found[m] = (videos[m] - rows.mean(0)) / (rows.std(0) + 1e-3) * videos["valid"][..., None]
    return found


def clip_model(pours: Sequence[Recording], like: Tree) -> Tree:
    """A linear classifier of single positions, trained on those of pours: {"kernel", "bias"}."""
    rows = [(r.image[i : i + 1], r.audio[i : i + 1], r.label) for r in pours for i in range(len(r.image))]
    image, audio, labels = (np.stack(column) for column in zip(*rows, strict=True))
    marks = np.ones(len(rows), bool)
    videos = {
        "image": image,
        "audio": audio,
        "valid": marks[:, None],
        "labels": np.eye(CLASSES, dtype=np.float32)[labels],
    }
    videos = standardised(videos | {"has_audio": marks, "mask": marks, "example": np.arange(len(rows))}, like)
    width = image.shape[-1] + audio.shape[-1]
    start = {"kernel": np.zeros((width, CLASSES), np.float32), "bias": np.zeros(CLASSES, np.float32)}
    frozen = {"fusion": {}, "classifier": start}
    task = task_of(Arm("positions", "pooled"), Features({"train": videos}, frozen, Unfused(), ""))
    found = training.train(task, frozen, videos, training.Settings(lr=1e-3, epochs=20, lr_scale=()), range(1))
    return {name: np.asarray(value[0]) for name, value in found["params"]["classifier"].items()}


def groups_of(folder: Path, splits: Sequence[str]) -> Groups:
    """One group of each fold. Settings are chosen with one of its two other folds to train on, and one to validate."""
    found = recordings(folder)
    of = lambda containers: [r for r in found if r.container in containers]
    groups = []
    for fold, tested in enumerate(FOLDS):
        first, second = (containers for containers in FOLDS if containers != tested)
        places = {"train": first if "val" in splits else first + second, "val": second, "test": tested}
        videos = {
            name: stacked(compose(of(places[name]), FILMS[name], 10 * fold + list(FILMS).index(name)))
            for name in splits
        }
        pours = [r for r in of(places["train"]) if r.label >= 0]
        classifier = clip_model(pours, videos["train"])
        ready = {name: standardised(own, videos["train"]) for name, own in videos.items()}
        frozen = {"fusion": {}, "classifier": classifier}
        groups.append({"own": Features(ready, frozen, Unfused(), hash_of(["corsmal", fold, FILMS, len(found)]))})
    return groups


def study_of(folder: Path) -> Study:
    """What is compared on the films."""
    listens = lambda what: Arm(
        f"glance, {what}", "glance", family="glance", model=GLANCE | {"listens": what, "stride": 5}
    )
    heard: dict[str, Any] = {"index_by": "audio", "weigh": False}
    five = {"steps": 5, "index_by": "both", "weigh": False}
    arms = [
        *skimmers(),
        Arm("LSTM, straight-through, of 5", "skimmer", model=SKIMMER | PICKS | five, family="LSTM, straight-through"),
        Arm("LSTM by sound", "skimmer", model=SKIMMER | PICKS | heard, family="LSTM, straight-through"),
        Arm("single query", "query", model={"steps": 10, "key": 64}),
        Arm("glance", "glance", model=GLANCE | {"listens": "audio"}),
        listens("both"),
        *selections(LOOKS),
        Arm(SAMPLER, "sampler", model=GLANCE | {"listens": "audio"}),
    ]
    grids: dict[str, Grid] = {arm.name: LSTM for arm in skimmers()}
    grids |= {"single query": RATES, SAMPLER: RATES, "glance": READER}
    grids |= {"mean of all": READER, "max": READER, "top-k": READER | {"count": (5, 3, 10)}}
    grids |= {f"{what} of {count}": READER for count in LOOKS for what in ("judge", "mean")}
    differences = [
        Difference("glance, all", "best LSTM, best"),
        Difference("glance, all", "everything, trained mean, all"),
        Difference("glance, T=5", "LSTM, straight-through, T=5"),
        Difference("glance, T=5", "LSTM, straight-through, of 5, T=5"),
        Difference("glance, T=10", "LSTM, straight-through, T=10"),
        *(Difference(f"glance, T={count}", f"uniform {count}, judge, all") for count in LOOKS),
        *(Difference(f"glance, T={count}", f"{SAMPLER} {count}, judge, all") for count in LOOKS),
        Difference("glance, both, T=5", "glance, T=5"),
    ]
    drawn = ("LSTM, straight-through", "glance", "glance, both")
    return Study(functools.partial(groups_of, folder), arms, grids, differences, crossed=False, drawn=drawn)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m benchmarks.real_features", description=__doc__.splitlines()[0])
    result.add_argument("what", choices=("choose", "measure"), help="choose settings, or measure with those chosen")
    result.add_argument("--data", type=Path, required=True, metavar="FOLDER", help=f"with {FEATURES} and {LABELS}")
    result.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for choice, answers and tables")
    return result


def main() -> None:
    args = parser().parse_args()
    if missing := [name for name in (FEATURES, LABELS) if not (args.data / name).is_file()]:
        raise SystemExit(
            f"error: {args.data} has no {missing[0]}: see the text of python -m benchmarks.real_features --help"
        )
    raise SystemExit(compare.attempt(args.what, functools.partial(study_of, args.data), args.out))


if __name__ == "__main__":
    main()
