"""Listening first beside everything else: accuracy against multiply-adds, and what lies on the upper envelope."""

from collections.abc import Iterator, Mapping, Sequence

from l2l.report.charts import Chart, Series, chart
from l2l.report.tables import vocabulary
from l2l.report.tables.groups import Group, cells, measured_on, places, recipe, skims, sources, steps_of, unique, way
from l2l.report.tables.table import Claim, Column, Row, Table, claim, claims
from l2l.report.tables.vocabulary import look
from l2l.runs.names import EARLY_EXIT
from l2l.runs.run_folder import RunError
from l2l.tasks import from_config

KEYS = ("top1", "gmacs")
COLUMNS = (Column("top1", "top-1, %"), Column("gmacs", "GMACs", 3), Column("below", "below the envelope, points"))
STRIDES = (1, 2, 5, 10)
MOST_LOSS, MOST_COST = 1.0, 25.0  # beside both modalities: points of top-1, percent of the GMACs
DEFINITIONS = (
    vocabulary.TOP1,
    vocabulary.GMACS,
    (
        "below the envelope",
        "top-1 of the row of highest mean top-1 among those that cost no more, minus this row's, over the same seeds; "
        "0: it is that row, and lies on the upper envelope",
    ),
    vocabulary.SPREAD,
    vocabulary.HARD,
    vocabulary.SOFT,
    vocabulary.STRAIGHT,
    vocabulary.START,
    ("index by audio", "listening first: sound alone chooses, images are needed only where it looks"),
    ("looks weighed", "a learned score of each look says how much it counts"),
    vocabulary.HELD,
)

Methods = Mapping[str, Sequence[Row]]


def tables(groups: Sequence[Group]) -> list[Table]:
    """One, of all methods over the same videos.

    Raises:
      RunError: no skimmer chooses by sound, or all do.
    """
    skimmers = skims(groups)
    hearing = [g for g in skimmers if listens(g)]
    if not hearing or len(hearing) == len(skimmers):
        raise RunError("skimmers that choose by sound (index_by=audio) and others are needed among the runs")
    ours, others = methods(hearing), baselines(next(g for g in skimmers if not listens(g)))
    others |= methods([g for g in skimmers if not listens(g)])
    rows = with_distances([row for found in (others, ours) for own in found.values() for row in own])
    own, their = ([row for row in rows if row.name in names(which)] for which in (ours, others))
    return [
        Table(
            "listen",
            "Listening first, and everything else",
            f"{envelope_in_words(rows, own)} {measured_on(skimmers)}",
            COLUMNS,
            rows,
            claims([*above(own, their), *beside_both(skimmers, rows)]),
            DEFINITIONS,
            sources(skimmers),
            charts(others | ours, rows),
        )
    ]


def listens(group: Group) -> bool:
    return from_config.numbers_of(group.config).index_by == "audio"


def names(found: Methods) -> set[str]:
    return {row.name for rows in found.values() for row in rows}


def baselines(group: Group) -> dict[str, list[Row]]:
    """What does not learn, over the features of a group: few positions up to as many as it has looks, and all."""
    found = {
        vocabulary.SELECTIONS[name]: [
            Row(f"{vocabulary.SELECTIONS[name]}, T = {t}", cells(group, KEYS, way=name, steps=t))
            for t in range(1, steps_of(group) + 1)
        ]
        for name in ("uniform", "confident")
    }
    return found | {
        "dense": [Row(vocabulary.SELECTIONS["dense"], cells(group, KEYS, way="dense", steps=steps_of(group)))]
    }


def methods(skimmers: Sequence[Group]) -> dict[str, list[Row]]:
    """Skimmers in the way they were trained for; those by sound after every look, others at some strides."""
    found = {}
    for group, name in zip(skimmers, unique([recipe(g) for g in skimmers]), strict=True):
        found[f"{name}, {way(group)}"] = list((by_looks if listens(group) else by_strides)(group, name))
        if all((member.path / EARLY_EXIT).is_file() for member in group.members):
            found[f"{name}, stops when sure"] = [stopping(group, name)]
    return found


def by_looks(group: Group, name: str) -> Iterator[Row]:
    for t in range(1, steps_of(group) + 1):
        yield Row(named(name, group, f"T = {t}"), cells(group, KEYS, way=way(group), stride=1, steps=t))


def by_strides(group: Group, name: str) -> Iterator[Row]:
    for s in sorted(set(STRIDES) & set(places(group, "stride"))):
        yield Row(named(name, group, f"s = {s}"), cells(group, KEYS, way=way(group), stride=s, steps=steps_of(group)))


def named(name: str, group: Group, place: str) -> str:
    return f"{name}, {way(group)}, {place}"


def stopping(group: Group, name: str) -> Row:
    """With as many looks for each video as `python -m l2l.sure` found enough."""
    top1 = group.values(lambda member: 100 * member.sure["test"]["top1"])
    return Row(f"{name}, stops when sure", {"top1": top1, "gmacs": group.values(lambda m: m.sure["test"]["gmacs"])})


def with_distances(rows: Sequence[Row]) -> list[Row]:
    """The rows that were measured by rising cost, each with how far below the best of no higher cost it lies."""
    found, best = [], None
    known = [row for row in rows if row.mean("gmacs") is not None]
    for row in sorted(known, key=lambda row: (row.mean("gmacs"), -row.mean("top1"))):
        best = row if best is None or row.mean("top1") > best.mean("top1") else best
        own, top = row.values["top1"], best.values["top1"]
        below = {seed: top[seed] - own[seed] for seed in own if seed in top}
        found.append(Row(row.name, {**row.values, "below": below}))
    return found


def envelope(rows: Sequence[Row]) -> list[Row]:
    """Those of rows by rising cost that no cheaper one is as good as."""
    found: list[Row] = []
    for row in rows:
        if not found or row.mean("top1") > found[-1].mean("top1"):
            found.append(row)
    return found


def envelope_in_words(rows: Sequence[Row], own: Sequence[Row]) -> str:
    """Which rows lie on the upper envelope, and whether all are ours."""
    best, mine = envelope(rows), {row.name for row in own}
    foreign = [row.name for row in best if row.name not in mine]
    whose = f"not listening first: {'; '.join(foreign)}" if foreign else "all of them listening first"
    return f"{len(best)} of {len(rows)} rows lie on the upper envelope, {whose}."


def above(own: Sequence[Row], others: Sequence[Row]) -> list[Claim | None]:
    """The best of ours that costs no more, against every point of the others' own envelope."""
    found = []
    for row in envelope(others):
        cheap = envelope([mine for mine in own if mine.mean("gmacs") <= row.mean("gmacs")])
        if cheap:
            found.append(claim(f"{cheap[-1].name} above {row.name}, which costs no less", cheap[-1], row, "top1"))
    return found


def beside_both(skimmers: Sequence[Group], rows: Sequence[Row]) -> list[Claim | None]:
    """Listening through a preview, with all looks, beside straight-through skimmers that index by both modalities."""
    row_of, found = {row.name: row for row in rows}, []
    named_by = dict(zip(unique([recipe(g) for g in skimmers]), skimmers, strict=True))
    ours = [(n, g) for n, g in named_by.items() if listens(g) and g.preview]
    for other, theirs in named_by.items():
        if listens(theirs) or way(theirs) != "hard":
            continue
        for name, group in ours:
            mine, its = row_of[named(name, group, f"T = {steps_of(group)}")], row_of[named(other, theirs, "s = 1")]
            found.append(claim(f"{mine.name} at most a point below {its.name}", mine, its, "top1", -MOST_LOSS))
            found.append(share(mine, its))
    return found


def share(mine: Row, other: Row) -> Claim:
    """What ours costs, in percent of the other."""
    own, its = mine.values["gmacs"], other.values["gmacs"]
    shares = tuple(100 * own[seed] / its[seed] for seed in own if seed in its)
    return Claim(f"its GMACs in percent of theirs, at most {MOST_COST:g}", shares, 0.0, MOST_COST)


def charts(found: Methods, rows: Sequence[Row]) -> list[Chart]:
    """Means over the seeds, a line a method, and the upper envelope."""
    place = lambda row: (row.mean("gmacs"), row.mean("top1"))
    known = {row.name for row in rows}
    series = [
        Series(name, sorted(place(row) for row in own if row.name in known), *look(number))
        for number, (name, own) in enumerate(found.items())
    ]
    series.append(Series("upper envelope", [place(row) for row in envelope(rows)], "level1"))
    axes = {"log": True, "percent": True}
    drawn = chart("Accuracy against cost", "GMACs per video, logarithmic", "top-1, %", series, **axes)
    return [drawn] if drawn else []
