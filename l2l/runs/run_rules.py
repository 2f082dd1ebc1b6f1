"""What the JSON files of a run folder may hold, and those beside its clips, by their names."""

import dataclasses
import datetime
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from l2l.core.rules import (
    ANY,
    FINITE,
    SWITCH,
    TEXT,
    WORD,
    Rule,
    each,
    mapping,
    maybe,
    number,
    one_of,
    problem,
    record,
    whole,
)
from l2l.data.index_rules import ACTIONS
from l2l.media.policy import POLICY, ClipPolicy
from l2l.models import MODELS, VIDEO_MODELS
from l2l.runs.names import SHARES, SOURCES
from l2l.runs.values import RULES

# Keys that came later, with what earlier runs did without them.
ADDED_KEYS = {"recognition": "", "multi_label": False, "distill_feature": 1.0, "mute": 0.0}
_LATER = {*ADDED_KEYS, "data.draw"}
# Arguments of models that are not from their part of a config.
_GIVEN = ("num_classes", "fusion", "multi_label", "dtype", "parent", "name")

_COUNT = whole(0, 2**53)
_LINE: Rule = lambda x: isinstance(x, str) and "\0" not in x, "a text"  # also the name of a file that is no UTF-8
_HASH: Rule = lambda x: isinstance(x, str) and re.fullmatch("[0-9a-zA-Z]+", x), "letters and digits"
# What was measured; NaN of what has no meaning.
_MEASURE: Rule = lambda x: FINITE[0](x) or (isinstance(x, float) and math.isnan(x)), "a number"
_NUMBER: Rule = lambda x: _MEASURE[0](x) or (isinstance(x, float) and math.isinf(x)), "a number"
_COST, _SHARE = number(0), number(0, 1)


def _time(text: Any) -> bool:
    try:
        datetime.datetime.fromtimestamp(datetime.datetime.fromisoformat(text).timestamp(), datetime.UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return False
    return True


_TIME: Rule = _time, "a time, ISO 8601"


def _metric(name: str, value: Any) -> bool:
    """Whether a measured value can be one of this name."""
    if name.endswith(("examples", "classes")):
        return bool(_COUNT[0](value))
    return bool(_MEASURE[0](value)) and not (name.endswith(SHARES) and (value < 0 or value > 1))


def _holding(table: Mapping[str, Rule]) -> Rule:
    """Dictionaries of these keys at least; a later release may have written more."""
    return lambda x: not _lacks(x, table), f"a dictionary with {', '.join(table)}"


def _lacks(value: Any, table: Mapping[str, Rule]) -> str:
    """As `problem`, of such a dictionary."""
    return problem(value, table, dict.fromkeys(value, ANY)) if isinstance(value, dict) else "it is no dictionary"


# Of keys that a run can have recorded more of than a training can be asked for: imported weights, and no training.
_RECORDED: dict[str, Rule] = {"run": _LINE, "data.dir": _LINE, "epochs": number(0)}
_INPUT = record({"path": _LINE, "hash": maybe(_LINE)})
_RUN: dict[str, Rule] = {
    "inputs": mapping(_LINE, _INPUT),
    "labels": each(WORD),
    "versions": mapping(TEXT, TEXT),
}
_RUN_LATER: dict[str, Rule] = {"order": whole(0, 2**31), "part": RULES["init_skip"], "finished": _TIME}
_METRICS: Rule = (
    lambda x: isinstance(x, dict) and all(_metric(*item) for item in x.items()),
    "shares and counts by name",
)
_DONE: dict[str, Rule] = {"hash": _HASH, "step": _COUNT, "metrics": _METRICS}
_DONE_LATER: dict[str, Rule] = {"code": _LINE, "finished": _TIME, "kept": _holding({"step": _COUNT, "why": _LINE})}
_COSTS = {"indexing": _COST, "skimming": _COST, "recognition": _COST, "gmacs": number(0, over=True)}
_POINT = _holding(
    {"way": WORD, "stride": whole(1, 2**20), "steps": maybe(_COUNT), "top1": _SHARE, "mAP": _MEASURE} | _COSTS
)
_CURVES: dict[str, Rule] = {
    "run": _HASH,
    "split": WORD,
    "examples": _COUNT,
    "mAP_classes": _COUNT,
    "positions": _COST,
    "points": each(_POINT),
    "selections": each(_POINT),
}
_STOP = {"looks": _COST, "gmacs": _COST, "top1": _SHARE, "difference": FINITE, "low": FINITE, "high": FINITE}
_SURE: dict[str, Rule] = {
    "run": _HASH,
    "source": one_of(*SOURCES),
    "temperatures": each(number(0, 10**6, over=True), 1),
    "threshold": number(0, 1 + 1e-6),  # a sum of shares, rounded
    "val": _holding({"examples": _COUNT} | _STOP),
    "test": _holding({"examples": _COUNT} | _STOP),
    "curve": each(_holding(_STOP)),
    "fixed": each(_holding({"looks": _COST, "gmacs": _COST, "top1": _SHARE}), 1),
}
_SURE_LATER: dict[str, Rule] = {"calibrates": SWITCH}
_TRIALS: dict[str, Rule] = {"run": _HASH, "trials": mapping(WORD, _holding({"hard": _SHARE, "uniform": _SHARE}))}
_READING = record({}, {"audio_track": maybe(whole(1, 2**16)), "trust_length": SWITCH})
_PLACE = record({"path": _LINE}, {"start": maybe(FINITE), "end": maybe(FINITE), "reading": _READING})
_PLACES = mapping(_LINE, (lambda x: _LINE[0](x) or _PLACE[0](x), f"a path, or {_PLACE[1]}"))
# By the name of a file: what it must hold, and what it may hold; it may hold more.
_FILES: dict[str, tuple[dict[str, Rule], dict[str, Rule]]] = {
    "done.json": (_DONE, _DONE_LATER),
    "curves.json": (_CURVES, {}),
    "sure.json": (_SURE, _SURE_LATER),
    "sound_trials.json": (_TRIALS, {}),
}


def wrong(name: str, value: Any) -> str:
    """What keeps a value from being the content of a file of this name, "" if nothing does or the name is not known."""
    if not isinstance(value, dict):
        return "it is no dictionary"
    match name:
        case "config.json":
            return _wrong_run(value)
        case "videos.json":
            return _first(value, *_PLACES)
        case "actions.json":
            return _first(value, *ACTIONS)
    needed, later = _FILES.get(name, ({}, {}))
    return _lacks(value, needed | {key: rule for key, rule in later.items() if key in value})


def wrong_line(value: Any) -> str:
    """What keeps a value from being a line of metrics.jsonl, "" if nothing does."""
    # Infinite numbers are what a diverging run may log.
    step = {"step": _COUNT} if isinstance(value, dict) and "step" in value else {}
    return _lacks(value, step) or _first(value, *mapping(_LINE, _NUMBER))


def _wrong_run(value: dict[str, Any]) -> str:
    """As `wrong`, of what a run was asked to do."""
    table = {"config": ANY, "policy": ANY, "student": ANY} | _RUN
    table |= {key: rule for key, rule in _RUN_LATER.items() if key in value}
    if found := _lacks(value, table) or wrong_config(value["config"]) or wrong_policy(value["policy"]):
        return found
    config, student, recogniser = value["config"], value["student"], value.get("recogniser")
    skims = config["mode"] == "train" and config["task"] == "skim"
    if config["mode"] == "train" and (config["model"]["name"] in VIDEO_MODELS) != skims:
        return f"config.model.name is {config['model']['name']!r}, its task is {config['task']}"
    if skims and student is None:
        return "student is None, a skimmer has one"
    if student is not None and (found := wrong_config(student, "student")):
        return found
    if recogniser is None:
        return ""
    if found := problem(recogniser, {"config": ANY, "policy": ANY}):
        return f"recogniser: {found}"
    return wrong_config(recogniser["config"], "recogniser.config") or wrong_policy(recogniser["policy"])


def wrong_config(value: Any, name: str = "config") -> str:
    """What keeps a value from being a config that a run can have had, "" if nothing does.

    Keys that this code does not know are left alone: a later release may have written them.
    """
    if not isinstance(value, dict):
        return f"{name} is {value!r:.60}, it must be a dictionary"
    flat = dict(_leaves(value))
    needed = [key for key in RULES if not key.startswith("model.") and key not in _LATER]
    if missing := [key for key in needed if key not in flat]:
        return f"{name} has no {missing[0]}"
    for key, x in flat.items():
        fits, words = _RECORDED.get(key, RULES.get(key, ANY))
        if not fits(x) or (isinstance(x, str) and "\0" in x):
            return f"{name}.{key} is {x!r:.60}, it must be {words}"
    if value["mode"] == "extract" and name == "config":
        return ""
    return _wrong_model(value.get("model"), name)


def _leaves(config: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested keys, joined by dots; what stands at a key that has a rule is a value, whatever it is."""
    for key, value in config.items():
        if isinstance(value, dict) and before + key not in RULES:
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield before + key, value


def _wrong_model(model: Any, name: str) -> str:
    """Whether a model can be made of these arguments."""
    if not isinstance(model, dict) or "name" not in model:
        return f"{name} has no model.name"
    if name != "config" and model["name"] in VIDEO_MODELS:
        return f"{name}.model.name is {model['name']!r}, it must be that of a model of clips"
    fields = {x.name: x for x in dataclasses.fields(MODELS[model["name"]]) if x.name not in _GIVEN}
    if unknown := sorted(model.keys() - fields.keys() - {"name"}):
        return f"{name}.model has {unknown[0]!r:.60}, which a {model['name']} has not"
    needed = [key for key, x in fields.items() if x.default is x.default_factory is dataclasses.MISSING]
    lacking = [key for key in needed if key not in model]
    return f"{name}.model has no {lacking[0]}" if lacking else ""


def wrong_policy(policy: Any) -> str:
    """What keeps a value from being how clips were cut, "" if nothing does."""
    if found := problem(policy, {}, POLICY):
        return f"policy: {found}"
    try:
        ClipPolicy(**policy)
    except ValueError as error:
        return f"policy: {error}"
    return ""


def _first(value: dict[str, Any], fits: Callable[[Any], Any], words: str) -> str:
    """As `problem` does, of a dictionary of any keys: names the first that will not do."""
    if fits(value):
        return ""
    bad = next(key for key, own in value.items() if not fits({key: own}))
    return f"{bad!r:.60} is {value[bad]!r:.60}, it must be {words.partition(' to ')[2]}"
