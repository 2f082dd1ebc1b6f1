"""What a config leaves open, decided once: which split is reported, which one chooses what is kept, how many streams.

It follows from the config and its shards alone, and is recorded: a run that is continued takes what it has recorded.
"""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from l2l.data import order
from l2l.data.dataset import Source, widths_of
from l2l.evaluate import evaluation
from l2l.runs import run_folder


def resolved(config: ConfigDict, source: Source) -> ConfigDict:
    """A copy of the config with every open key (`run_folder.OPEN_KEYS`) decided.

    Raises:
      ShardError: a split that it names, or one to train on or to report, is not there or empty.
      ValueError: the split that is reported would also choose what is kept.
    """
    config = config.copy_and_resolve_references()
    there = recorded(Path(config.run), source)
    for key, value in run_folder.OPEN_KEYS.items():
        if config.data[key] == value and key in there:
            config.data[key] = there[key]
    decide_widths(config, source)
    config.data.test = config.data.test or evaluation.reported(source.index)
    can_choose = "val" in source.index.splits and source.index.records("val") and config.data.test != "val"
    config.data.val = config.data.val or ("val" if can_choose else "")
    for key in ("train", "test", "val"):
        if config.data[key]:
            evaluation.records_of(source, config.data[key], f"config.data.{key}")
    check_unseen(config)
    config.data.streams = config.data.streams or order.streams_of(config.data.batch)
    return config


def decide_widths(config: ConfigDict, source: Source) -> None:
    """Takes over the widths of what a model of features reads, where the config leaves them open."""
    if config.model.name == "fusion" and not any(config.model[m] for m in run_folder.OPEN_WIDTHS):
        for m, width in widths_of(str(source.directory), source.index).items():
            config.model[m] = width


def recorded(run: Path, source: Source) -> dict[str, Any]:
    """What a run folder that was begun with the same data has recorded of config.data; {} if there is none."""
    if not (run / run_folder.CONFIG).is_file():
        return {}
    there = run_folder.read_json(run / run_folder.CONFIG)
    return there["config"]["data"] if there["inputs"].get("data", {}).get("hash") == source.index.hash else {}


def check_unseen(config: ConfigDict) -> None:
    """Raises ValueError if what is kept would be chosen on the split that is reported."""
    if config.best and config.data.val == config.data.test:
        raise ValueError(
            f"config.data.val={config.data.val} is also the split that is reported, so config.best={config.best} "
            "would choose on it: leave out --config.data.val (without another split the last step is kept) or set "
            "--config.best=; a run that was begun that way is begun again with another --config.run"
        )
