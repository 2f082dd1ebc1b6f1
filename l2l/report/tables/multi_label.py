"""Several labels a video: each class by itself beside one softmax for all."""

from collections.abc import Sequence

from l2l.report.tables import vocabulary
from l2l.report.tables.groups import Group, sources, way
from l2l.report.tables.table import Column, Row, Table, claim, claims
from l2l.runs.run_folder import RunError


def tables(groups: Sequence[Group]) -> list[Table]:
    """Several labels a video: each class by itself beside one softmax for all, on the same videos."""
    several = [g for g in groups if g.model.get("name") == "skimmer" and g.config["multi_label"]]
    if not several:
        raise RunError("no skim run with config.multi_label=True is among these")
    data = {g.members[0].data for g in several}
    plain = [g for g in groups if g.model.get("name") == "skimmer" and not g.config["multi_label"]]
    plain = [g for g in plain if g.members[0].data in data]
    keys = ("mAP", "mAP_micro", "top1")
    row = lambda g, name: Row(f"{name}, {way(g)}", {key: g.percent(key) for key in keys})
    sigmoid = [row(g, "each class by itself (sigmoid)") for g in several]
    softmax = [row(g, "one softmax for all classes") for g in plain]
    columns = [Column("mAP", "mAP, macro, %"), Column("mAP_micro", "mAP, micro, %"), Column("top1", "top-1, %")]
    definitions = [
        ("mAP, macro", "mean over the classes with positives of the average precision of their scores, in percent"),
        ("mAP, micro", "average precision of all pairs of a video and a class as one list, in percent"),
        ("top-1", "share of the videos whose highest-scoring class is one of theirs, in percent"),
        vocabulary.SPREAD,
        vocabulary.HELD,
    ]
    metrics = several[0].members[0].metrics
    text = (
        f"{metrics['examples']:,} videos with several labels each, {metrics['mAP_classes']:.0f} classes with positives."
    )
    tests = [claim(f"{a.name} above {b.name}", a, b, "mAP") for a in sigmoid for b in softmax]
    made = sources([*several, *plain])
    rows = [*softmax, *sigmoid]
    return [Table("multi_label", "Several labels a video", text, columns, rows, claims(tests), definitions, made)]
