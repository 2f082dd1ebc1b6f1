"""What each part of the method is worth: one key of a config changed at a time."""

from collections.abc import Callable, Mapping, Sequence

from l2l.report.tables import vocabulary
from l2l.report.tables.groups import Group, Values, changes, identity, sources, way
from l2l.report.tables.table import Column, Row, Table, claim, claims
from l2l.runs.run_folder import RunError

DISTILLED = (
    Column("agree", "agreement with the teacher, %"),
    Column("top1", "top-1, %"),
    Column("tuned", "top-1 fine-tuned, %"),
)
DISTILLED_TERMS = (
    ("agreement", "share of the held-out clips of distillation whose best class is the teacher's"),
    ("top-1", "share of the same clips whose best class is theirs"),
    ("top-1 fine-tuned", "the same of the held-out clips of fine-tuning, after fine-tuning from that student"),
    vocabulary.SPREAD,
    vocabulary.HELD,
)
SKIMMED = (
    Column("top1", "hard, top-1, %"),
    Column("mAP", "hard, mAP, %"),
    Column("soft_top1", "soft, top-1, %"),
    Column("soft_mAP", "soft, mAP, %"),
)
SKIMMED_TERMS = (vocabulary.TOP1, vocabulary.MAP, vocabulary.HARD, vocabulary.SOFT, vocabulary.SPREAD, vocabulary.HELD)


def tables(groups: Sequence[Group]) -> list[Table]:
    """Of distillation and of skimming, where there are several configurations; differences are paired over the seeds.

    Raises:
      RunError: there are not.
    """
    distilled = [g for g in groups if g.config["task"] == "distill"]
    found = [distillation(distilled, groups)] if len(distilled) > 1 else []
    skimmers = [g for g in groups if g.model.get("name") == "skimmer"]
    found += [skimming(skimmers)] if len(skimmers) > 1 else []
    if not found:
        raise RunError("ablations need several configurations of distillation or of skimming among the runs")
    return found


def reference(groups: Sequence[Group]) -> Group:
    """The configuration that the others differ least from, in number of keys.

    Raises:
      RunError: there are several of these, so that nobody can say which one the others change.
    """
    flat = [identity(g.members[0]) for g in groups]
    apart = lambda a, b: sum(a.get(key) != b.get(key) for key in a | b)
    totals = [sum(apart(one, other) for other in flat) for one in flat]
    nearest = [group for group, total in zip(groups, totals, strict=True) if total == min(totals)]
    if len(nearest) > 1:
        names = ", ".join(str(group.members[0].path) for group in nearest)
        raise RunError(
            f"which of these do the other runs change? {names} differ from the rest in as many keys: leave out all but "
            "one of them, or add runs that change one key of the reference"
        )
    return nearest[0]


def distillation(distilled: Sequence[Group], groups: Sequence[Group]) -> Table:
    """Students as they imitate, and after they were fine-tuned."""
    students = {member.hash for group in distilled for member in group.members}
    started = [m for g in groups for m in g.members if m.config["task"] == "classify" and "init" in m.record["inputs"]]
    tuned = {start: m for m in started if (start := m.record["inputs"]["init"]["hash"]) in students}

    def values(group: Group) -> dict[str, Values]:
        after = group.values(lambda m: 100 * tuned[m.hash].metrics["top1"] if m.hash in tuned else None)
        return {"agree": group.percent("agree"), "top1": group.percent("top1"), "tuned": after}

    facts = {"name": "ablations_distill", "title": "What distillation is made of", "definitions": DISTILLED_TERMS}
    more = [Group((member,)) for member in tuned.values()]
    chief = DISTILLED[2 if tuned else 1]
    return compared(distilled, values, chief, columns=DISTILLED, sources=sources([*distilled, *more]), **facts)


def skimming(skimmers: Sequence[Group]) -> Table:
    """Skimmers, hard and soft."""
    values = lambda group: {column.key: group.percent(column.key) for column in SKIMMED}
    facts = {"name": "ablations_skim", "title": "What skimming is made of", "definitions": SKIMMED_TERMS}
    return compared(skimmers, values, SKIMMED[0], columns=SKIMMED, sources=sources(skimmers), **facts)


def compared(groups: Sequence[Group], values: Callable[[Group], Mapping[str, Values]], chief: Column, **more) -> Table:
    """The reference, then every other configuration by what it changes; differences are of the chief column."""
    base = reference(groups)
    first = Row("reference", values(base))
    rows = [Row(changes(group, base), values(group)) for group in groups if group is not base]
    text = (
        "Each row changes the reference by the keys that it names; differences are of "
        f"{chief.name.removesuffix(', %')}, over the seeds that both have. The paper has no such ablations."
    )
    tests = claims([claim(f"reference above {row.name}", first, row, chief.key) for row in rows])
    return Table(text=text, rows=[first, *rows], claims=tests, **more)


def several_labels(groups: Sequence[Group]) -> list[Table]:
    """Several labels a video: each class by itself beside one softmax for all, on the same videos."""
    chooses = lambda g: g.model.get("name") in ("skimmer", "glance")
    several = [g for g in groups if chooses(g) and g.config["multi_label"]]
    if not several:
        raise RunError("no skim run with config.multi_label=True is among these")
    data = {g.members[0].data for g in several}
    plain = [g for g in groups if chooses(g) and not g.config["multi_label"]]
    plain = [g for g in plain if g.members[0].data in data]
    keys = ("mAP", "mAP_micro", "top1")
    who = lambda g: "one glance" if g.model["name"] == "glance" else way(g)
    row = lambda g, name: Row(f"{name}, {who(g)}", {key: g.percent(key) for key in keys})
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
