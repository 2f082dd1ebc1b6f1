"""Accuracy against seconds from file to answer, on films of the built-in set.

    python -m benchmarks.frontier --json [--runs=runs/listen] [--films=16] [--plot=frontier.png]

Of the runs of `make listen`: the dense student, both modalities at strides 1, 2, 5 and 10, and listening first with 1
to 10 looks and until it is sure. Seconds are those of the first films of the test split, one after another in a warm
process, a film's mean; methods take turns, medians of rounds. Top-1 is the mean over the seeds, as their curves.json
and sure.json say. Uniform and most confident positions cannot be asked for in `infer`.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import rounds
from l2l.inference import from_run
from l2l.inference.model import Model
from l2l.inference.programs import Programs
from l2l.runs import run_folder
from l2l.runs.names import CURVES

FILMS = Path("data/sample/videos/untrimmed_large/test")
STRIDES, LOOKS = (1, 2, 5, 10), (1, 2, 3, 5, 10)


def with_looks(run: run_folder.Run, steps: int) -> Programs:
    """A skimmer that looks so often; when it is sure was measured of as many looks as it was trained for."""
    fewer = dataclasses.replace(run, config=run.config | {"model": run.config["model"] | {"steps": steps}})
    return dataclasses.replace(from_run.of_run(fewer), sure=None)


def methods(where: Path) -> Iterator[tuple[str, Model, float]]:
    """Every method by name, with its top-1 over all seeds in percent."""
    both, hearing = run_folder.load_run(where / "both" / "0"), run_folder.load_run(where / "listen" / "0")
    student = from_run.of_run(run_folder.student_of(both))
    yield "dense student", Model(student), mean(where / "both", "selections", way="dense")
    for s in STRIDES:
        top1 = mean(where / "both", "points", way="hard", stride=s, steps=10)
        yield f"both modalities, s = {s}", Model(from_run.of_run(both), stride=s), top1
    for t in LOOKS:
        top1 = mean(where / "listen", "points", way="hard", stride=1, steps=t)
        yield f"listening first, T = {t}", Model(with_looks(hearing, t)), top1
    sure = [json.loads(path.read_text())["test"]["top1"] for path in (where / "listen").glob("*/sure.json")]
    yield (
        "listening first, until sure",
        Model(from_run.of_run(hearing), stop_when_sure=True),
        100 * statistics.mean(sure),
    )


def mean(group: Path, table: str, **place: object) -> float:
    """Top-1 in percent, over the seeds, of what their curves say about one place."""
    rows = (json.loads(path.read_text())[table] for path in group.glob(f"*/{CURVES}"))
    return 100 * statistics.mean([next(row["top1"] for row in own if place.items() <= row.items()) for own in rows])


def answer_all(model: Model, films: Sequence[Path]) -> None:
    for film in films:
        model.classify(film)


def draw(points: dict[str, tuple[float, float]], path: str) -> None:
    """A picture of (seconds, top-1) by name; methods that differ in a number are joined."""
    from matplotlib import figure

    axes = (drawing := figure.Figure(figsize=(7, 4.5), layout="constrained")).subplots()
    for kind, own in itertools.groupby(points, key=lambda name: name.split(",")[0]):
        names = list(own)
        axes.plot(*zip(*(points[name] for name in names), strict=True), "o-", label=kind)
        for name in names:
            axes.annotate(name.partition(", ")[2], points[name], textcoords="offset points", xytext=(5, 5), fontsize=8)
    axes.margins(0.12)
    axes.set(xlabel="seconds from file to answer, a film", ylabel="top-1, %")
    axes.legend(loc="lower right")
    drawing.savefig(path, dpi=120)


def parser() -> argparse.ArgumentParser:
    result = rounds.parser("frontier", __doc__)
    result.add_argument("--runs", type=Path, default=Path("runs/listen"), help="of make listen (default: %(default)s)")
    result.add_argument("--films", type=int, default=16, help="how many (default: %(default)s)")
    result.add_argument("--plot", metavar="CURVES", help="a picture of it")
    return result


def main() -> None:
    args = parser().parse_args()
    films = sorted(FILMS.glob("*.mp4"))[: args.films]
    if not films:
        raise SystemExit(f"error: there are no films in {FILMS}: run make listen first")
    found = {name: (model, top1) for name, model, top1 in methods(args.runs)}
    calls = {name: rounds.timed(functools.partial(answer_all, model, films)) for name, (model, _) in found.items()}
    seconds = rounds.medians(calls, args.rounds)
    points = {name: (seconds[name] / len(films), top1) for name, (_, top1) in found.items()}
    if args.plot:
        draw(points, args.plot)
    figures = {f"{name}: {what}": x for name, own in points.items() for what, x in zip(("s", "top1"), own, strict=True)}
    rounds.show(figures, as_json=args.json)


if __name__ == "__main__":
    main()
