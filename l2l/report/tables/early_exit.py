"""How many looks a video gets when a skimmer stops as soon as it is sure."""

from collections.abc import Callable, Sequence
from typing import Any

from l2l.report.charts import Chart, Series, chart
from l2l.report.tables import vocabulary
from l2l.report.tables.groups import Group, Values, skims, sources
from l2l.report.tables.table import Claim, Column, Row, Table
from l2l.runs import names
from l2l.runs.run_folder import RunError

COLUMNS = (Column("looks", "looks", 2), Column("top1", "top-1, %"), Column("gmacs", "GMACs", 3))
MOST_LOOKS, MOST_LOSS = 5.0, 1.0  # what the threshold is expected to reach: mean looks, points of top-1


def tables(groups: Sequence[Group]) -> list[Table]:
    """From what `python -m l2l.sure` wrote into the first group whose first run was asked.

    Raises:
      RunError: none was, or not all runs of the group.
    """
    group = next((g for g in skims(groups) if (g.members[0].path / names.EARLY_EXIT).is_file()), None)
    if group is None:
        raise RunError("no run was asked when it is sure: python -m l2l.sure RUN --data=DIR")
    first = group.members[0].sure
    text = (
        f"The threshold and the temperatures are from {first['val']['examples']:,} held-out videos; measured on "
        f"{first['test']['examples']:,} test videos."
    )
    rows = [
        Row("stops when sure", row_values(group, lambda found: found["test"])),
        Row("all looks", row_values(group, lambda found: found["fixed"][-1])),
    ]
    return [
        Table(
            "sure",
            "Stop when sure",
            text,
            COLUMNS,
            rows,
            expectations(group),
            [
                ("looks", "how many a video gets, mean over the test videos"),
                vocabulary.TOP1,
                vocabulary.GMACS,
                vocabulary.SPREAD,
            ],
            sources([group]),
            charts(group),
        )
    ]


def row_values(group: Group, place: Callable[[dict[str, Any]], dict[str, float]]) -> dict[str, Values]:
    """Column -> seed -> value, of one place in the files; shares in percent."""
    scale = {"top1": 100.0}
    column = lambda key: group.values(lambda member: scale.get(key, 1.0) * place(member.sure)[key])
    return {c.key: column(c.key) for c in COLUMNS}


def expectations(group: Group) -> list[Claim]:
    """Few looks, and hardly any loss beside all looks on the same videos."""
    test = lambda key, scale=1.0: tuple(scale * member.sure["test"][key] for member in group.members)
    return [
        Claim(f"mean looks, at most {MOST_LOOKS:g}", test("looks"), 0.0, MOST_LOOKS),
        Claim(f"top-1 minus top-1 with all looks, not below -{MOST_LOSS:g}", test("difference", 100.0), -MOST_LOSS),
        Claim(
            f"lower end of its 95 % interval over the videos, not below -{MOST_LOSS:g}", test("low", 100.0), -MOST_LOSS
        ),
    ]


def charts(group: Group) -> list[Chart]:
    """Accuracy against looks and against cost: every seed's curve, and the same number of looks for all videos."""
    drawn = []
    for key, name in (("looks", "mean looks"), ("gmacs", "GMACs per video")):
        place = lambda row, key=key: (row[key], 100 * row["top1"])
        series = [
            Series(f"sure, seed {member.seed}", sorted(map(place, member.sure["curve"])), "train")
            for member in group.members
        ]
        taken = [place(member.sure["test"]) for member in group.members]
        series.append(Series("the thresholds taken", taken, "accent", "circle", line=False))
        first = group.members[0]
        fixed = [place(row) for row in first.sure["fixed"]]
        series.append(Series(f"as many looks for every video, seed {first.seed}", fixed, "image", "square"))
        drawn.append(chart(f"Accuracy against {name}", name, "top-1, %", series, percent=True))
    return [x for x in drawn if x]
