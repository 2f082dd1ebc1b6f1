"""Finished runs for tables: found below folders, gathered into groups that differ in nothing but the seed."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l2l.core import atomic
from l2l.data import schema
from l2l.report.tables.vocabulary import FEATURES, RECOGNISERS, SELECTIONS
from l2l.runs import names, run_folder
from l2l.runs.names import CURVE_METRICS
from l2l.runs.run_folder import RunError, read_json
from l2l.tasks import from_config

Point = Mapping[str, Any]

INPUT_KEYS = ("teacher", "student", "init", "recognition")  # paths: whether they are there counts, not where
UNKNOWN = "unknown"  # code of a run that did not write down which made it

Values = dict[int, float]


@dataclasses.dataclass(frozen=True)
class Member:
    """A finished run."""

    path: Path
    record: Mapping[str, Any]
    hash: str
    metrics: Mapping[str, float]
    code: str

    @property
    def config(self) -> Mapping[str, Any]:
        return self.record["config"]

    @property
    def seed(self) -> int:
        return self.config["seed"]

    @property
    def recogniser(self) -> Mapping[str, Any] | None:
        """The model's entry in the config of the run whose features recognise, if others do."""
        found = self.record["recogniser"]
        return found and found["config"]["model"]

    @property
    def preview(self) -> int:
        """Width of the preview through which the student of its features hears; 0 if it has none."""
        student = self.record["student"] or {"model": {}}
        return student["model"].get("preview", 0)  # students of earlier runs do not have the key

    @property
    def data(self) -> str:
        """Hash of the shards it was trained and measured on; "" of imported weights."""
        return self.record["inputs"].get("data", {"hash": ""})["hash"]

    @functools.cached_property
    def curves(self) -> dict[str, Any]:
        """What `python -m l2l.curves` wrote; raises as `measured`."""
        return self.measured(names.CURVES)

    @functools.cached_property
    def sure(self) -> dict[str, Any]:
        """What `python -m l2l.sure` wrote; raises as `measured`."""
        return self.measured(names.EARLY_EXIT)

    def measured(self, name: str) -> dict[str, Any]:
        """A file that a command wrote into the finished run.

        Raises:
          RunError: it was not asked, or for other weights.
        """
        path, cure = self.path / name, f"make it with python -m l2l.{Path(name).stem} {self.path}"
        if not path.is_file():
            raise RunError(f"{path} is missing: {cure}")
        found = read_json(path)
        if found.get("run") != self.hash:
            raise RunError(f"{path} was made for another run: {cure}")
        return found


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone, in its order."""

    members: tuple[Member, ...]

    @property
    def config(self) -> Mapping[str, Any]:
        return self.members[0].config

    @property
    def model(self) -> Mapping[str, Any]:
        return self.config["model"]

    @property
    def recogniser(self) -> Mapping[str, Any] | None:
        return self.members[0].recogniser

    @property
    def preview(self) -> int:
        return self.members[0].preview

    def values(self, read: Callable[[Member], float | None]) -> Values:
        """Seed -> what `read` says of its run, where it says anything."""
        found = {member.seed: read(member) for member in self.members}
        return {seed: value for seed, value in found.items() if value is not None}

    def percent(self, metric: str) -> Values:
        """Seed -> a metric of done.json in percent."""
        return self.values(lambda member: 100 * member.metrics[metric] if metric in member.metrics else None)


def load(path: Path) -> Member:
    """Raises RunError unless it is the folder of a finished run."""
    record = run_folder.completed(read_json(path / run_folder.CONFIG))
    if not (path / run_folder.DONE).is_file():
        raise RunError(f"{path} has not finished: start the command that makes it again")
    done = read_json(path / run_folder.DONE)
    return Member(path, record, done["hash"], done["metrics"], done.get("code", UNKNOWN))


def find(paths: Iterable[Path]) -> list[Member]:
    """The finished runs that paths are, or that lie below them; extracted features are none.

    Raises:
      RunError: a folder holds none, or one has not finished.
    """
    found: dict[Path, Member] = {}
    for path in paths:
        own = (
            [path] if (path / run_folder.CONFIG).is_file() else sorted(x.parent for x in path.rglob(run_folder.CONFIG))
        )
        if not own:
            raise RunError(f"{path} holds no runs")
        found |= {x.resolve(): load(x) for x in own if not (x / schema.INDEX).is_file()}
    return list(found.values())


def identity(member: Member) -> dict[str, Any]:
    """What tells one configuration from another: flat keys of the config without seed, places and speed."""
    config = {key: value for key, value in member.config.items() if key not in (*run_folder.FREE_KEYS, "seed")}
    config |= {key: bool(config[key]) for key in INPUT_KEYS}
    config["cache_teacher"] = bool(config["cache_teacher"])
    flat = flattened(config)
    flat.pop("data.dir")
    if member.recogniser:
        flat["recognition"] = member.recogniser["name"]
    return flat | ({"preview": member.preview} if member.preview else {})


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def lineage(member: Member, known: Mapping[str, Member]) -> list[Any]:
    """Its configuration, those of the runs that it was made from, as far as they are known, and its clips.

    Features are told apart by whose they are: every student makes its own.
    """
    made_from = {name: known[x["hash"]] for name, x in member.record["inputs"].items() if x["hash"] in known}
    before = {name: lineage(other, known) for name, other in made_from.items()}
    return [identity(member), before, "" if member.config["task"] == "skim" else member.data]


def grouped(members: Sequence[Member]) -> list[Group]:
    """Groups of one lineage, in the order of their first runs.

    Raises:
      RunError: two runs of a group have the same seed.
    """
    found: dict[str, dict[int, Member]] = {}
    known = {member.hash: member for member in members}
    for member in members:
        key = json.dumps(lineage(member, known), sort_keys=True)
        same = found.setdefault(key, {}).setdefault(member.seed, member)
        if same is not member:
            raise RunError(f"{same.path} and {member.path} are of the same configuration and the same seed: name one")
    return [Group(tuple(own[seed] for seed in sorted(own))) for own in found.values()]


def changes(group: Group, reference: Group) -> str:
    """In which keys a group differs from another, in words: "model.masking False"."""
    own, other = identity(group.members[0]), identity(reference.members[0])
    lacking = "none"
    keys = sorted(key for key in own | other if own.get(key, lacking) != other.get(key, lacking))
    return ", ".join(f"{key} {own.get(key, lacking)}" for key in keys)


def source(member: Member) -> dict[str, Any]:
    """What a run is, for whoever reads a result made from it: N, hashes, seed, config and code."""
    return {
        "run": str(member.path),
        "hash": member.hash,
        "seed": member.seed,
        "examples": member.metrics.get("examples"),
        "labels": atomic.hash_of(member.record["labels"]),
        "data": member.data,
        "config": str(member.path / run_folder.CONFIG),
        "config_hash": atomic.hash_of(member.config),
        "code": member.code,
    }


def sources(groups: Iterable[Group]) -> list[dict[str, Any]]:
    """Every run of some groups once."""
    found = {member.path: source(member) for group in groups for member in group.members}
    return list(found.values())


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
