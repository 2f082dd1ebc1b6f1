"""docs/reference/run_folder.md: the files of a run folder and their keys, from the tables of rules that check them."""

import types
from collections.abc import Mapping
from typing import Any

from l2l.core.rules import ANY, Rule
from l2l.evaluate.evaluation import KEPT_WEIGHTS
from l2l.models.glance import Glance
from l2l.runs import prediction_rules, run_rules
from l2l.runs.names import CURVES, EARLY_EXIT, SOUND_TRIALS
from scripts.reference.markdown import json_rule, page, table

HEAD = ("key", "allowed", "meaning")
OPTIONAL = "A key that is marked as optional is missing in some runs. A later release may write more keys."
FILES = (
    ("config.json", "before training", "what the run was asked to do, and what it is made from"),
    ("metrics.jsonl", "while training", "what was measured, a JSON object per line"),
    ("checkpoints/STEP/", "while training", "state of the training after a step, from which the same command goes on"),
    ("best.npz", "while training", "variables of the best validation so far, if `config.best` names a metric"),
    ("tensorboard/, profile/", "while training", "scalars, if TensorBoard is installed; a trace with `config.profile`"),
    (".lock", "while a process works", "held by the one process that works in the folder"),
    ("predictions.npz", "at the end", "what the model says of every example of the split that is reported"),
    ("classes.json", "at the end", "average precision of every class, if the data have labels"),
    ("variables.npz", "at the end", "all weights that prediction needs"),
    ("done.json", "last", "marks a finished run; its metrics and its hash"),
    (CURVES, "by `python -m l2l.curves`", "accuracy and cost at every stride and after every step"),
    (EARLY_EXIT, "by `python -m l2l.sure`", "when the skimmer may stop early"),
    (SOUND_TRIALS, "by `python -m l2l.sound_trials`", "accuracy with other sound"),
)
INTRODUCTION = """\
A run folder is what a training writes. It can be moved: prediction needs nothing else. A run is finished when
`done.json` is there. What extraction writes is a directory of [records](records.md) with a `config.json` beside them.
The rules below are those that readers check; a file that breaks one is an error that names the key."""
CONFIG = {
    "config": "every key with its value, see [configs](configs.md)",
    "inputs": "name (data, teacher, student, init, ...) -> `{path, hash}` of what the run was made from",
    "labels": "class names; a label id is a place in this list",
    "versions": "package -> version",
    "policy": "how clips were cut, see [records](records.md)",
    "student": "config of the clip model whose features a skimmer reads; null of any other run",
    "recogniser": "`{config, policy}` of a second model that answers at the picked positions; null or missing if none",
    "order": "number of the rule by which examples are ordered; another number is another order",
    "part": "patterns of the variables that it holds, where not the whole model was imported",
    "finished": "when an extraction was finished",
}
METRICS = """\
Each line is `{"step": ..., NAME: number, ...}`. Names begin with `train/` (of a batch), `val/` (of the validation
split), or `time/`: `time/examples_per_s`, `time/data_wait` (share of the time that the device had no batch) and
`time/memory_gib`."""
METRIC_NAMES = {
    "top1": "share of the examples whose best class is right",
    "top5": "share of the examples with the right class among the best five",
    "mAP": "mean over classes with positives of the average precision",
    "mAP_micro": "average precision over all pairs of example and class together",
    "inside": "share of the looks at positions whose middle lies in a labelled stretch, of the videos that have any",
    "inside_chance": "the share of as many looks at random positions of the same videos",
    "agree": "share of the examples of which student and teacher have the same best class",
}
DONE = {
    "hash": "identifies labels, inputs and weights; what is built on the run records it",
    "step": "the last one of the training",
    "metrics": "of the split that is reported, see below",
    "code": "version of the code",
    "finished": "when",
    "kept": "`{step, why}`: of which step the variables are, and why",
}
PREFIXES = """\
Metrics are shares from 0 to 1; `examples`, `mAP_classes` and `inside_examples` (how many videos have labelled
stretches, of a model that picks positions) are counts. A skimmer's have no prefix with hard selection,
`soft_` with soft selection, and the name of a selection that does not learn before its metrics, such as `uniform_top1`.
`with_audio_` and `without_audio_` are those of the examples with and without sound, if there are both."""
ARRAYS = {
    "logits": "scores before softmax (or sigmoid, with `config.multi_label`); a skimmer's with hard selection",
    "labels": "1 for each class of the example, else 0",
    "video_id": "text",
    "times": "seconds: of clips (n) their centres, of videos (n, p) those of the positions, then zeros",
    "step_logits": "scores after each step",
    "counted": "whether what the step picked counts in the prediction",
    "modality": "shares of image and audio in what the step read",
    "looks": "number of steps that count",
    "has_audio": "1 if the example has sound",
    "picked_image": "number of the position that the image query picked",
    "picked_audio": "number of the position that the audio query picked",
    "weights_image": "attention over positions, of the first examples only",
    "weights_audio": "attention over positions, of the first examples only",
    "logits_all": "scores of the judge that reads all positions",
    "picked": "number of the position that was picked, the likeliest first",
    "worth": "the judge's share of the pick in the answer",
    "listener": "how much each position calls for a look, before the softmax",
}
SELECTED = {
    "soft": "scores with soft selection",
    "uniform": "T positions at equal distances",
    "random": "T random positions",
    "front": "the first T positions",
    "centre": "the middle T positions",
    "end": "the last T positions",
    "confident": "the T positions at which the clip model is most confident",
    "dense": "all positions",
    "oracle": "the T positions at which the true class scores highest, which nobody knows in earnest",
}
CLASSES = """\
`examples`, `split`, `data` and `labels` (hashes), and `classes`: name of a class -> `{positives, AP}`. `AP`, the
average precision, is null for a class without positives."""
VARIABLES = """\
Arrays under paths such as `model/params/classifier/kernel`. The first part is `model`, of a skimmer also `student` (the
clip model whose features it reads), and `recogniser` if a second model answers at the picked positions."""
CURVES_KEYS = {
    "run": "hash of the run that was measured",
    "split": "of which split",
    "examples": "how many videos",
    "mAP_classes": "how many classes have positives",
    "positions": "mean number of positions of a video",
    "points": "the skimmer itself, one entry for each stride, number of steps and kind of selection",
    "selections": "selections that do not learn",
}
POINT = """\
Each point has `way` (hard, soft, or the name of a selection), `stride`, `steps` (null where it has none), `top1`,
`mAP`, `gmacs` (1e9 multiply-adds of a video, mean over the split) and its parts `indexing`, `skimming` and
`recognition`. The file also has `data` and `labels` (hashes), `metrics` (their names), `config` and `versions` of the
measured run."""
SURE_KEYS = {
    "run": "hash of the run that was measured",
    "source": "whose scores count: of the classifier on the steps so far, or of the one on the LSTM's state",
    "temperatures": "one for each step; scores are divided by it",
    "threshold": "a video is done when its confidence is larger",
    "val": "measured on the split that it was fitted on",
    "test": "measured on the split that is reported",
    "curve": "the same on the reported split, for other thresholds",
    "fixed": "for comparison: every video stops after the same number of steps",
    "calibrates": "whether scores divided by the temperatures may be read as probabilities",
}
OUTCOME = """\
What is measured: `looks` (mean number of steps), `gmacs`, `top1`, and `difference` in top-1 to all steps with its 95 %
interval from `low` to `high`. Of `val` and `test` also `examples`, and the calibration error `error_before` and
`error_after` dividing by the temperatures. The file also has `tolerance` (what top-1 was allowed to lose), `data` and
`labels` (hashes), `config` and `versions`."""
TRIALS = {
    "run": "hash of the run that was measured",
    "trials": "sound (as it is, muted, swapped, hiss, music) -> top-1 with `hard` selection, and of `uniform` ones",
}


def run_folder() -> str:
    parts = [
        INTRODUCTION,
        "## Files",
        table(("file", "written", "holds"), [(f"`{name}`", when, holds) for name, when, holds in FILES]),
        f"## config.json\n\n{OPTIONAL}",
        _config(),
        f"## metrics.jsonl\n\n{METRICS}",
        "## done.json",
        _rules(run_rules._DONE, run_rules._DONE_LATER, DONE),
        PREFIXES,
        table(("metric", "meaning"), [(f"`{name}`", text) for name, text in METRIC_NAMES.items()]),
        f"## predictions.npz\n\n{_predictions()}",
        "## classes.json",
        CLASSES,
        f"## variables.npz\n\n{VARIABLES}",
        f"## {CURVES}",
        _rules(run_rules._CURVES, {}, CURVES_KEYS),
        POINT,
        f"## {EARLY_EXIT}",
        _rules(run_rules._SURE, run_rules._SURE_LATER, SURE_KEYS),
        OUTCOME,
        f"## {SOUND_TRIALS}",
        _rules(run_rules._TRIALS, {}, TRIALS),
    ]
    return page("Run folder", *parts)


def _config() -> str:
    """The keys of which the rules have a table, and those that have checks of their own."""
    dictionary, perhaps = (ANY[0], "a dictionary"), (ANY[0], "a dictionary, or null")
    needed = {"config": dictionary, **run_rules._RUN, "policy": dictionary, "student": perhaps}
    return _rules(needed, {"recogniser": perhaps, **run_rules._RUN_LATER}, CONFIG)


def _rules(needed: Mapping[str, Rule], later: Mapping[str, Rule], texts: Mapping[str, str]) -> str:
    """A table of keys, what each may be, and what it means; every key must have a meaning."""
    rows = [(f"`{key}`", json_rule(words), texts[key]) for key, (_, words) in needed.items()]
    rows += [(f"`{key}` (optional)", json_rule(words), texts[key]) for key, (_, words) in later.items()]
    return table(HEAD, rows)


def _predictions() -> str:
    """Names and shapes as the rules have them, with letters for the numbers."""
    every = {"logits": ("k",), "labels": ("k",), "video_id": (), "times": None}
    model: Any = types.SimpleNamespace(steps="T", index_by="both")
    there = dict.fromkeys(f"logits_{name}" for name in prediction_rules.OTHERS if name != "all")
    skim = prediction_rules.skim_shapes(there, "k", model)
    at_once = prediction_rules.skim_shapes({}, "k", Glance(1, None, steps="T"))
    head = "n is the number of examples, k of classes, T of steps, p the largest number of positions of a video."
    rows = [(f"`{name}`", _shape(name, shape), _array(name)) for name, shape in every.items()]
    more = [(f"`{name}`", _shape(name, shape), _array(name)) for name, shape in skim.items()]
    columns = ("array", "shape", "meaning")
    other = [(f"`{name}`", _shape(name, shape), _array(name)) for name, shape in at_once.items() if name not in skim]
    skims, glances = (
        "Of a skimmer also:",
        "Of a run that chooses all its looks at once, instead of what picks and weighs:",
    )
    return "\n\n".join([head, table(columns, rows), skims, table(columns, more), glances, table(columns, other)])


def _shape(name: str, shape: tuple | None) -> str:
    if shape is None:
        return {"times": "(n) or (n, p)", "listener": "(n, p)"}.get(name) or f"(up to {KEPT_WEIGHTS}, T, p)"
    return f"({', '.join(['n', *map(str, shape)])})"


def _array(name: str) -> str:
    if name in ARRAYS:
        return ARRAYS[name]
    way = name.removeprefix("logits_")
    return SELECTED[way] if way == "soft" else f"mean score over {SELECTED[way]}, as logits"
