"""Clip models, with and without distillation: figure 5 of the paper."""

from collections.abc import Sequence

from l2l.evaluate import model_macs
from l2l.report.tables import paper, vocabulary
from l2l.report.tables.groups import Group, Member, sources, unique
from l2l.report.tables.table import Claim, Column, Row, Table, claim, claims
from l2l.report.tables.vocabulary import against_cost
from l2l.runs.run_folder import RunError

DEFINITIONS = [
    ("top-1", "share of the clips whose highest-scoring class is theirs, in percent"),
    vocabulary.MAP,
    ("GMACs", "10⁹ multiply-adds a clip, counted per layer"),
    vocabulary.SPREAD,
    (
        "distilled",
        "imitated the teacher on unlabelled clips before it was fine-tuned; undistilled: trained from scratch",
    ),
    vocabulary.HELD,
]


def clip_gmacs(member: Member) -> float:
    return model_macs.clip_macs(member.config, len(member.record["labels"])) / 1e9


def tables(groups: Sequence[Group]) -> list[Table]:
    """Clip models on the same labelled clips."""
    found = same_clips([g for g in groups if g.config["task"] == "classify"])
    names = unique([clip_name(g) for g in found])
    rows = [clip_row(g, name) for g, name in zip(found, names, strict=True)]
    first = {clip_key(g): row for g, row in zip(reversed(found), reversed(rows), strict=True)}
    columns = [Column("top1", "top-1, %", paper=True), Column("mAP", "mAP, %"), Column("gmacs", "GMACs", 3)]
    count = found[0].members[0].metrics.get("examples", 0)
    text = f"{count:,} held-out clips, all of them of the same shards. The paper's column is ActivityNet, accuracy."
    return [
        Table(
            "clips",
            "Clip level (figure 5)",
            text,
            columns,
            rows,
            claims(clip_claims(first)),
            DEFINITIONS,
            sources(found),
            against_cost(rows, "top1", "top-1, %"),
        )
    ]


def same_clips(groups: Sequence[Group]) -> list[Group]:
    """Of the groups, those on the shards that most students were measured on, students first and in a fixed order.

    Raises:
      RunError: there is no student among them.
    """
    groups = [g for g in groups if all("top1" in member.metrics for member in g.members)]
    data = [g.members[0].data for g in groups if g.model["name"] == "student"]
    if not data:
        raise RunError(
            "no student that was trained with labels is among these runs: give some, see configs/finetune.py"
        )
    chief = max(data, key=data.count)
    own = [g for g in groups if g.members[0].data == chief]
    order = ["image", "audio", "both"]
    place = lambda g: (order.index(g.model["modality"]), bool(g.config["init"])) if is_student(g) else (9, True)
    return sorted(own, key=place)


def is_student(group: Group) -> bool:
    return group.model["name"] == "student"


def clip_key(group: Group) -> tuple[str, bool]:
    """(modality or model, whether it started from another run: of a student, the distilled one)."""
    return (group.model["modality"] if is_student(group) else group.model["name"], bool(group.config["init"]))


def clip_name(group: Group) -> str:
    what, started = clip_key(group)
    if is_student(group):
        return f"{vocabulary.FEATURES[what]}, {'distilled' if started else 'undistilled'}"
    return f"teacher, {vocabulary.RECOGNISERS[what]}{', fine-tuned' if started else ''}"


def clip_row(group: Group, name: str) -> Row:
    values = {"top1": group.percent("top1"), "mAP": group.percent("mAP"), "gmacs": group.values(clip_gmacs)}
    theirs = paper.CLIPS[clip_key(group)] if is_student(group) else paper.CLIP_TEACHER
    return Row(name, values, {"top1": theirs})


def clip_claims(rows: dict[tuple[str, bool], Row]) -> list[Claim | None]:
    """What the paper says of students and teacher."""
    pairs = [((m, True), (m, False)) for m in ("both", "image", "audio")]
    pairs += [(("both", True), (m, True)) for m in ("image", "audio")]
    pairs += [((name, True), ("both", True)) for name in ("r2plus1d", "i3d")]
    return [
        claim(f"{rows[a].name} above {rows[b].name}", rows[a], rows[b], "top1")
        for a, b in pairs
        if a in rows and b in rows
    ]
