"""What the tables of video models share: groups of skimmers, in words, and what their curves hold."""

from collections.abc import Mapping, Sequence
from typing import Any

from l2l.runs.names import CURVE_METRICS
from l2l.runs.run_folder import RunError
from l2l.tables.groups import Group, Member, Values
from l2l.tables.terms import FEATURES, RECOGNISERS, SELECTIONS
from l2l.tasks import from_config

Point = Mapping[str, Any]


def skims(groups: Sequence[Group], *, pairs: bool = False) -> list[Group]:
    """Groups of skimmers; with `pairs` also those whose looks other features recognise.

    Raises:
      RunError: there are none.
    """
    found = [g for g in groups if g.model.get("name") == "skimmer" and not g.config["multi_label"]]
    found = [g for g in found if pairs or not g.recogniser]
    if not found:
        raise RunError("no finished skim run is among these: give some, or a folder that holds some")
    return found


def way(group: Group) -> str:
    """The selection that a skimmer was trained for."""
    return "hard" if group.model["selection"] == "straight_through" else "soft"


def other(how: str) -> str:
    """The other selection."""
    return "soft" if how == "hard" else "hard"


def recipe(group: Group) -> str:
    """How a skimmer was trained, in words."""
    model, preview = from_config.numbers_of(group.config), group.preview
    words = ["straight-through" if way(group) == "hard" else "soft"]
    words += ["start counted"] if model.count_start else []
    words += [f"index by {model.index_by}"] if model.index_by != "both" else []
    words += [f"preview of width {preview}"] if preview else []
    words += [f"closer: {model.closer}"] if model.closer else []
    words += [] if model.masking else ["no masking"]
    words += ["looks weighed"] if model.weigh else []
    return ", ".join(words)


def pair(group: Group) -> str:
    """What looks and what recognises: "audio | R(2+1)D"."""
    own = FEATURES["both"]
    return f"{FEATURES[group.model['index_by']]} | {RECOGNISERS[group.recogniser['name']] if group.recogniser else own}"


def unique(names: Sequence[str]) -> list[str]:
    """The names, numbered where several are the same."""
    return [f"{name} ({names[:i].count(name) + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]


def point(member: Member, **where: Any) -> Point | None:
    """The point of a run's curves at a place: way, stride, steps."""
    found = member.curves
    points = found["selections"] if where["way"] in SELECTIONS else found["points"]
    return next((p for p in points if all(p[key] == value for key, value in where.items())), None)


def read(group: Group, key: str, **where: Any) -> Values:
    """Seed -> a quantity at a place of the curves; shares in percent."""
    scale = 100 if key in CURVE_METRICS else 1

    def of(member: Member) -> float | None:
        place = point(member, **where)
        return None if place is None else scale * place[key]

    return group.values(of)


def cells(group: Group, keys: Sequence[str], **where: Any) -> dict[str, Values]:
    return {key: read(group, key, **where) for key in keys}


def places(group: Group, key: str) -> list[int]:
    """The strides, or the numbers of looks, that the curves of a group have."""
    return sorted({p[key] for p in group.members[0].curves["points"]})


def steps_of(group: Group) -> int:
    return group.model["steps"]


def measured_on(groups: Sequence[Group]) -> str:
    """N, split and positions, as the curves say."""
    found = [member.curves for group in groups for member in group.members]
    counts = sorted({x["examples"] for x in found})
    positions = sum(x["positions"] for x in found) / len(found)
    splits = sorted({x["split"] for x in found})
    videos = f"{' or '.join(f'{n:,}' for n in counts)} videos of {' or '.join(splits)}"
    return f"{videos}, {positions:.1f} positions on average; {found[0]['mAP_classes']} classes with positives."
