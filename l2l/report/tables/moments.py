"""Which moments of a video: table 1 of the paper."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from l2l.report.tables import paper, vocabulary
from l2l.report.tables.groups import (
    Group,
    cells,
    measured_on,
    other,
    places,
    recipe,
    skims,
    sources,
    steps_of,
    unique,
    way,
)
from l2l.report.tables.table import Claim, Column, Row, Table, claim, claims
from l2l.report.tables.vocabulary import against_cost

SPARSE = 5  # the stride of the paper's sparse skimmer
KEYS = ("top1", "mAP", "gmacs")
DEFINITIONS = (
    vocabulary.TOP1,
    vocabulary.MAP,
    vocabulary.GMACS,
    vocabulary.SPREAD,
    vocabulary.HARD,
    vocabulary.SOFT,
    vocabulary.STRAIGHT,
    vocabulary.START,
    vocabulary.HELD,
)


def tables(groups: Sequence[Group]) -> list[Table]:
    """Every way to treat a video over the same features."""
    skimmers = skims(groups)
    others = [g for g in groups if g.model.get("name") in vocabulary.MODELS and not g.config["multi_label"]]
    ways = selection_rows(skimmers[0])
    models = {g.model["name"]: model_row(g) for g in others}
    rows, found = [*ways.values(), *models.values()], []
    for group, name in zip(skimmers, unique([recipe(g) for g in skimmers]), strict=True):
        own = list(skimmer_rows(group, name))
        rows += own
        found += above_others(own[0], name, ways, models)
    columns = [Column("top1", "top-1, %", paper=True), Column("mAP", "mAP, %"), Column("gmacs", "GMACs", 3)]
    text = (
        f"T = {steps_of(skimmers[0])} positions, or all where it says so, over the same features. "
        + measured_on(skimmers)
        + " Selections that do not learn average the clip model's scores at what they choose; they vary with it "
        "alone, so that seeds which share a student repeat its value. The paper's column is ActivityNet, top-1."
    )
    return [
        Table(
            "table1",
            "Which moments (table 1)",
            text,
            columns,
            rows,
            claims([*found, *chain(ways, models)]),
            DEFINITIONS,
            sources([*skimmers, *others]),
            against_cost(rows, "top1", "top-1, %"),
        )
    ]


def selection_rows(group: Group) -> dict[str, Row]:
    """Name -> row of every selection that does not learn, over one group's features."""
    return {
        key: Row(name, cells(group, KEYS, way=key, steps=steps_of(group)), paper_top1(key))
        for key, name in vocabulary.SELECTIONS.items()
    }


def paper_top1(key: str) -> dict[str, float]:
    return {"top1": paper.TABLE1[key]} if key in paper.TABLE1 else {}


def model_row(group: Group) -> Row:
    name = group.model["name"]
    return Row(vocabulary.MODELS[name], cells(group, KEYS, way="hard"), paper_top1(name))


def skimmer_rows(group: Group, name: str) -> Iterator[Row]:
    """As it was trained for, in the other way, and sparse."""
    first = way(group)
    for how in (first, other(first)):
        where = {"way": how, "stride": 1, "steps": steps_of(group)}
        known = paper_top1("skimmer") if how == first else {}
        yield Row(f"skim ({name}), {how}", cells(group, KEYS, **where), known)
    if SPARSE in places(group, "stride"):
        where = {"way": first, "stride": SPARSE, "steps": steps_of(group)}
        sparse = paper_top1("sparse")
        yield Row(f"skim ({name}), {first}, s = {SPARSE}", cells(group, KEYS, **where), sparse)


def above_others(own: Row, name: str, ways: Mapping[str, Row], models: Mapping[str, Row]) -> list[Claim | None]:
    """A skimmer beside everything but the oracle."""
    others = [ways[key] for key in vocabulary.BLIND] + list(models.values())
    return [claim(f"skim ({name}) above {other.name}", own, other, "top1") for other in others]


def chain(ways: Mapping[str, Row], models: Mapping[str, Row]) -> list[Claim | None]:
    """The paper's order among the others."""
    row = {**ways, **models}
    order = ["confident", "nonrecurrent", "dense", "uniform", "random", "centre", "front"]
    there = [key for key in order if key in row]
    found = [claim(f"{row[a].name} above {row[b].name}", row[a], row[b], "top1") for a, b in itertools.pairwise(there)]
    return [*found, claim("front within a point of end", row["front"], row["end"], "top1", -1.0, 1.0)]
