"""What becomes of skimmers that listen when the sound is not what it was, beside positions at equal distances."""

from collections.abc import Iterator, Sequence

from l2l.report.tables import vocabulary
from l2l.report.tables.groups import Group, recipe, skims, sources, steps_of, unique
from l2l.report.tables.table import Column, Row, Table, claim, claims
from l2l.runs import names
from l2l.runs.run_folder import RunError

COLUMNS = (Column("hard", "hard, top-1, %"), Column("uniform", "uniform, top-1, %"))
DEFINITIONS = (
    ("as it is", "some videos have no sound track at all"),
    ("muted", "no video has one, or each has one on which there is nothing, which counts the same"),
    ("hiss", "every video has a sound track of faint noise and nothing else"),
    ("swapped", "every video has the sound track of another one"),
    ("music", "every video has the same music instead of its sound"),
    ("uniform", "positions at equal distances, as many, judged with the same sound"),
    vocabulary.TOP1,
    vocabulary.HARD,
    vocabulary.SPREAD,
    vocabulary.HELD,
)


def tables(groups: Sequence[Group]) -> list[Table]:
    """From what `python -m l2l.sound_trials` wrote into the groups whose first run was asked.

    Raises:
      RunError: none was, or not all runs of such a group.
    """
    asked = [g for g in skims(groups) if (g.members[0].path / names.SOUND_TRIALS).is_file()]
    if not asked:
        raise RunError("no run was tried with other sound: python -m l2l.sound_trials RUN")
    named = zip(asked, unique([recipe(g) for g in asked]), strict=True)
    rows = [row for group, name in named for row in trials(group, name)]
    looks = {steps_of(g) for g in asked}
    return [
        Table(
            "sound",
            "When the sound is not what it was",
            f"{' or '.join(map(str, sorted(looks)))} looks over the same test videos, whose sound alone is changed.",
            COLUMNS,
            rows,
            claims([claim(f"{row.name}: above uniform", *sides(row), "top1") for row in rows]),
            DEFINITIONS,
            sources(asked),
        )
    ]


def trials(group: Group, name: str) -> Iterator[Row]:
    """A row for each trial."""
    found = {member.seed: member.measured(names.SOUND_TRIALS)["trials"] for member in group.members}
    for trial in group.members[0].measured(names.SOUND_TRIALS)["trials"]:
        values = {c.key: {seed: 100 * own[trial][c.key] for seed, own in found.items()} for c in COLUMNS}
        yield Row(f"{name}: {trial}", values)


def sides(row: Row) -> tuple[Row, Row]:
    """A row's two columns as rows, to be compared."""
    return tuple(Row(row.name, {"top1": row.values[c.key]}) for c in COLUMNS)
