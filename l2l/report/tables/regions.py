"""Looking closer: a second glance at a chosen region, beside what else its multiply-adds could be spent on."""

from collections.abc import Iterator, Sequence

from l2l.report.tables import vocabulary
from l2l.report.tables.groups import Group, cells, measured_on, skims, sources, steps_of
from l2l.report.tables.table import Column, Row, Table, claim, claims
from l2l.report.tables.vocabulary import against_cost
from l2l.runs.run_folder import RunError

GLANCES = {
    "": "one glance",
    "state": "closer where the state says",
    "random": "closer at random",
    "centre": "closer in the middle",
}
PARTS = ("indexing", "skimming", "recognition")
KEYS = ("top1", "mAP", "gmacs", *PARTS)
DEFINITIONS = (
    ("glance", "a picture seen whole, scaled to so many pixels; closer: then a region of it, as many pixels, unscaled"),
    ("whole", "the student was fine-tuned on whole pictures alone, else on parts of them too"),
    vocabulary.TOP1,
    vocabulary.MAP,
    vocabulary.GMACS,
    *vocabulary.COSTS,
    vocabulary.SPREAD,
    vocabulary.HELD,
)


def tables(groups: Sequence[Group]) -> list[Table]:
    """Skimmers that look closer and others over the same videos, with hard selection.

    Raises:
      RunError: none looks closer.
    """
    skimmers = skims(groups)
    if not any(map(choice, skimmers)):
        raise RunError("no skim run with config.model.closer is among these")
    own = [list(rows_of(group)) for group in skimmers]
    rows = [row for found in own for row in found]
    chief = [found for group, found in zip(skimmers, own, strict=True) if choice(group) == "state"]
    others = [row for row in rows if not any(row in found for found in chief)]
    tests = [claim(f"{found[0].name} above {row.name}", found[0], row, "top1") for found in chief for row in others]
    columns = [Column("top1", "top-1, %"), Column("mAP", "mAP, %"), Column("gmacs", "GMACs", 4)]
    columns += [Column(part, f"{part}, GMACs", 4) for part in PARTS]
    charts = against_cost(rows, "top1", "top-1, %")
    text = f"Hard selection. {measured_on(skimmers)} The paper has no such table."
    made = sources(skimmers)
    return [Table("closer", "Looking closer", text, columns, rows, claims(tests), DEFINITIONS, made, charts)]


def choice(group: Group) -> str:
    """What chooses the region that is seen closer; "" where nothing is."""
    return group.model.get("closer", "")


def rows_of(group: Group) -> Iterator[Row]:
    """With all looks; of the state's choice also with half of them, which cost what as many single glances do."""
    student = group.members[0].record["student"]["data"]
    steps = steps_of(group)
    for looks in (steps, steps // 2) if choice(group) == "state" else (steps,):
        whole = ", whole" if student["scale"] == 1 else ""
        name = f"{GLANCES[choice(group)]}, {looks} looks, {student['crop']} pixels{whole}"
        yield Row(name, cells(group, KEYS, way="hard", stride=1, steps=looks))
