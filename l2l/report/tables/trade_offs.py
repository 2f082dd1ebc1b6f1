"""Accuracy along strides, looks and multiply-adds: figures 6a, 6b and 7 of the paper."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from l2l.report.charts import Chart, Series, chart
from l2l.report.tables import paper, vocabulary
from l2l.report.tables.groups import (
    Group,
    Values,
    cells,
    measured_on,
    other,
    pair,
    places,
    read,
    recipe,
    skims,
    sources,
    steps_of,
    unique,
    way,
)
from l2l.report.tables.table import Claim, Column, Row, Table, claim, claims
from l2l.report.tables.vocabulary import look

SPARSE, FEW = 5, 3  # stride and looks of which the paper says that they nearly suffice
PARTS = ("indexing", "skimming", "recognition")
PAIR_SELECTIONS = ("uniform", "confident", "dense")
PAIR_KEYS = ("mAP", "top1", "gmacs", *PARTS)
LETTERS = {"stride": "s", "steps": "T"}
PAPER = {"stride": paper.STRIDE, "steps": paper.STEPS}


def stride(groups: Sequence[Group]) -> list[Table]:
    text = (
        "The features of every s-th position alone are taken. Soft selection reads what lies between them "
        "interpolated, hard selection picks positions that were taken."
    )
    return [along("stride", groups, "How sparsely (figure 6a)", text)]


def steps(groups: Sequence[Group]) -> list[Table]:
    text = "The prediction after each look, T of them; a video with fewer positions has no more looks than these."
    return [along("steps", groups, "How many looks (figure 6b)", text)]


def along(key: str, groups: Sequence[Group], title: str, text: str) -> Table:
    """Accuracy of every skimmer, hard and soft, along the strides or along the number of looks."""
    skimmers = skims(groups)
    columns, cost, rows = columns_of(skimmers), Column("gmacs", "GMACs of the first column", 3), {}
    for at in places(skimmers[0], key):
        own = {name: reading(group, how, key, at, "top1") for name, (_, group, how) in columns.items()}
        name, (_, group, how) = next(iter(columns.items()))
        known = {name: PAPER[key][at]} if at in PAPER[key] else {}
        rows[at] = Row(f"{LETTERS[key]} = {at}", own | {"gmacs": reading(group, how, key, at, "gmacs")}, known)
    shown = [column for column, _, _ in columns.values()]
    drawn = chart(title, LETTERS[key], "top-1, %", lines_of(shown, rows), percent=True)
    return Table(
        key,
        title,
        f"{text} {measured_on(skimmers)} The paper's column is ActivityNet, top-1.",
        [*shown, cost],
        list(rows.values()),
        claims(suffices(key, shown, rows)),
        [
            vocabulary.TOP1,
            vocabulary.GMACS,
            vocabulary.SPREAD,
            vocabulary.HARD,
            vocabulary.SOFT,
            vocabulary.STRAIGHT,
            vocabulary.START,
            vocabulary.HELD,
        ],
        sources(skimmers),
        [drawn] if drawn else [],
    )


def columns_of(skimmers: Sequence[Group]) -> dict[str, tuple[Column, Group, str]]:
    """Key -> (column, skimmer, hard or soft); each skimmer first as it was trained, the paper beside the first."""
    found: dict[str, tuple[Column, Group, str]] = {}
    for number, (group, name) in enumerate(zip(skimmers, unique([recipe(g) for g in skimmers]), strict=True)):
        for how in (way(group), other(way(group))):
            key = f"{number}_{how}"
            found[key] = Column(key, f"{name}: {how}, top-1, %", paper=not found), group, how
    return found


def reading(group: Group, how: str, key: str, at: int, what: str) -> Values:
    """Seed -> accuracy or cost at a stride with all looks, or after some looks at stride 1."""
    return read(group, what, **({"way": how, "stride": 1, "steps": steps_of(group)} | {key: at}))


def suffices(key: str, columns: Sequence[Column], rows: Mapping[int, Row]) -> list[Claim | None]:
    """The paper's claim that a stride of 5, or 3 looks, lose at most a point."""
    few, most = (SPARSE, 1) if key == "stride" else (FEW, max(rows))
    if few not in rows:
        return []
    told = f"{LETTERS[key]} = {few} at most a point below {LETTERS[key]} = {most}"
    return [claim(f"{told} ({column.name})", rows[few], rows[most], column.key, -1.0) for column in columns]


def lines_of(columns: Sequence[Column], rows: Mapping[int, Row]) -> list[Series]:
    """Means over the seeds, and the paper's line."""
    found = []
    for number, column in enumerate(columns):
        points = [(at, mean) for at, row in rows.items() if (mean := row.mean(column.key)) is not None]
        found.append(Series(column.name, points, *look(number)))
    first = columns[0].key
    theirs = [(at, row.paper[first]) for at, row in rows.items() if first in row.paper]
    return [*found, Series("paper (ActivityNet)", theirs, "level1")]


def frontier(groups: Sequence[Group]) -> list[Table]:
    """mAP against multiply-adds, for every pair of features that look and features that recognise."""
    skimmers = skims(groups, pairs=True)
    names = unique([pair(g) if g.recogniser else f"{pair(g)} ({recipe(g)})" for g in skimmers])
    own = {name: list(pair_rows(g, name)) for g, name in zip(skimmers, names, strict=True)}
    fixed = {recogniser(g): selection_rows(g) for g in reversed(skimmers)}
    tests = [
        claim(f"{rows[0].name} above uniform, same recognition", rows[0], fixed[recogniser(g)]["uniform"], "mAP")
        for g, rows in zip(skimmers, own.values(), strict=True)
    ]
    rows = [row for found in (*own.values(), *(x.values() for x in fixed.values())) for row in found]
    columns = [Column("mAP", "mAP, %"), Column("top1", "top-1, %"), Column("gmacs", "GMACs", 3)]
    columns += [Column(part, part, 3) for part in PARTS]
    text = (
        "What looks | what recognises: each pair at every stride s with all looks and, where something else "
        f"recognises, after T looks at stride 1; in the way it was trained for. {measured_on(skimmers)}"
    )
    return [
        Table(
            "frontier",
            "Accuracy at a cost (figure 7)",
            text,
            columns,
            rows,
            claims(tests),
            [vocabulary.MAP, vocabulary.TOP1, vocabulary.GMACS, *vocabulary.COSTS, vocabulary.SPREAD, vocabulary.HELD],
            sources(skimmers),
            frontier_charts(own, fixed),
        )
    ]


def recogniser(group: Group) -> str:
    """What recognises, in words."""
    return vocabulary.RECOGNISERS[group.recogniser["name"]] if group.recogniser else "the student"


def pair_rows(group: Group, name: str) -> Iterator[Row]:
    """Every stride with all looks, the dense one first; then fewer looks, where each of them costs."""
    last = steps_of(group)
    where = [{"stride": s, "steps": last} for s in places(group, "stride")]
    where += [{"stride": 1, "steps": t} for t in places(group, "steps") if group.recogniser and t < last]
    for place in where:
        own = f"{name}, s = {place['stride']}, T = {place['steps']}"
        yield Row(own, cells(group, PAIR_KEYS, way=way(group), **place))


def selection_rows(group: Group) -> dict[str, Row]:
    """Selections that do not learn, recognised as the group is."""
    name = lambda which: f"{vocabulary.SELECTIONS[which]}, {recogniser(group)} recognises"
    return {
        which: Row(name(which), cells(group, PAIR_KEYS, way=which, steps=steps_of(group))) for which in PAIR_SELECTIONS
    }


def frontier_charts(own: Mapping[str, Sequence[Row]], fixed: Mapping[str, Mapping[str, Row]]) -> list[Chart]:
    """Ours, a line a pair and a mark a selection; and the paper's beside it."""
    place = lambda row: (row.mean("gmacs"), row.mean("mAP"))
    ours = [Series(name, sorted(map(place, rows)), *look(i)) for i, (name, rows) in enumerate(own.items())]
    others = [row for rows in fixed.values() for row in rows.values()]
    ours += [Series(row.name, [place(row)], "plain", look(i)[1], line=False) for i, row in enumerate(others)]
    theirs = [Series(name, points, *look(i)) for i, (name, points) in enumerate(paper.FRONTIER.items())]
    axes: dict[str, Any] = {"x_name": "GMACs per video, logarithmic", "y_name": "mAP, %", "log": True, "percent": True}
    named = {"mAP against cost": ours, "The paper's figure 7 (ActivityNet)": theirs}
    return [drawn for title, series in named.items() if (drawn := chart(title, series=series, **axes))]
