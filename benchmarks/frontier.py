"""Accuracy against seconds from file to answer, on films of the built-in set.

    python -m benchmarks.frontier --json [--runs=runs/listen] [--films=16] [--plot=frontier.png]

Of the runs of `make listen`: the dense student, the LSTM skimmer with both modalities, and one glance by the preview's
sound with 1 to 10 looks. Seconds are those of the first films of the test split, one after another in a warm process, a
film's mean; methods take turns, medians of rounds. Top-1 is that of results.json, over all students and seeds. Uniform
and most confident positions cannot be asked for in `infer`.
"""

import argparse
import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import rounds
from l2l.compare import results
from l2l.compare.__main__ import WHERE
from l2l.inference import from_run
from l2l.inference.model import Model
from l2l.inference.programs import Programs
from l2l.runs import run_folder

FILMS = Path("data/sample/videos/untrimmed_large/test")
LOOKS = (3, 5, 10)


def with_looks(run: run_folder.Run, steps: int) -> Programs:
    """A video model that looks so often; when it is sure was measured of as many looks as it was trained for."""
    fewer = dataclasses.replace(run, config=run.config | {"model": run.config["model"] | {"steps": steps}})
    return dataclasses.replace(from_run.of_run(fewer), sure=None)


def methods(where: Path) -> Iterator[tuple[str, Model, float]]:
    """Every method by name, with its top-1 in percent."""
    both, glance = (run_folder.load_run(where / name / "0") for name in ("both", "glance"))
    yield (
        "dense student",
        Model(from_run.of_run(run_folder.student_of(both))),
        top1(where, "everything, clip model", "all"),
    )
    lstm = "LSTM, straight-through, weighed"
    yield "LSTM, both modalities, T = 10", Model(from_run.of_run(both)), top1(where, lstm, "T=10")
    for t in LOOKS:
        yield f"one glance, T = {t}", Model(with_looks(glance, t)), top1(where, "glance, preview", f"T={t}")


def top1(where: Path, arm: str, way: str) -> float:
    """Top-1 in percent of a row of the comparison."""
    rows = run_folder.read_json(where / WHERE / results.JSON)["rows"]
    return next(row["top1"] for row in rows if (row["arm"], row["way"]) == (arm, way))


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
