"""What the keys of a config may be, in one table. Checked before anything is opened or made."""

import re
from collections.abc import Callable
from typing import Any

import flax.traverse_util
from ml_collections import ConfigDict

from l2l.core.rules import ANY, FINITE, NAME, SWITCH, TEXT, Rule, each, number, one_of, pair, whole
from l2l.models import MODELS
from l2l.models.glance import CLOSER, LISTENS
from l2l.models.region_selector import CHOICES
from l2l.models.skimmer import SELECTIONS
from l2l.models.student import MODALITIES
from l2l.runs import processes
from l2l.tasks import TASKS

DTYPES = ("float32", "bfloat16")
OPTIMISERS = ("sgd", "adamw")
SCHEDULES = ("cosine", "milestones", "constant")
BEST = ("", "top1", "top5", "mAP", "mAP_micro", "agree")


def passes(read: Callable[[Any], Any], words: str) -> Rule:
    """Texts that can be read."""

    def fits(x: Any) -> bool:
        try:
            read(x)
        except (ValueError, re.error):
            return False
        return True

    return lambda x: isinstance(x, str) and fits(x), words


PATTERN = passes(re.compile, "a regular expression")
SEVERAL = passes(lambda x: x and processes.parse(x), "nothing, auto, or HOST:PORT,INDEX,COUNT")
POSITIVE, RATIO = number(0, over=True), number(0, 1, under=True)

RULES: dict[str, Rule] = {
    "mode": one_of("train", "extract"),
    "task": one_of(*TASKS),
    "run": NAME,
    "seed": whole(0, 2**31 - 1),
    "mesh": each((lambda x: whole(1)[0](x) or x == -1, "-1 or a whole number from 1 on"), 2, 2),
    "shard_min": whole(0, 2**53),
    "distributed": SEVERAL,
    "patience": POSITIVE,
    "dtype": one_of(*DTYPES),
    "multi_label": SWITCH,
    "makers": each(pair(NAME, NAME)),
    "teacher": TEXT,
    "cache_teacher": (lambda x: isinstance(x, bool | str), "True, False, or a folder"),
    "student": TEXT,
    "recognition": TEXT,
    "init": TEXT,
    "init_skip": each(PATTERN),
    "data.dir": NAME,
    "data.train": NAME,
    "data.val": TEXT,
    "data.test": TEXT,
    "data.batch": whole(1, 2**20),
    "data.eval_batch": whole(1, 2**20),
    "data.streams": whole(0, 2**20),
    "data.draw": one_of("video", "clip"),
    "data.shuffle": whole(1, 2**31),
    "data.frames": whole(1, 64),
    "data.crop": whole(1, 8192),
    "data.resize": whole(1, 65_500),
    "data.scale": number(0, 1, over=True),
    "data.flip": SWITCH,
    "data.mean": each(FINITE, 3, 3),
    "data.std": each(POSITIVE, 3, 3),
    "data.lengths": each(whole(1, 2**20), 1, 64),
    "optim.name": one_of(*OPTIMISERS),
    "optim.lr": POSITIVE,
    "optim.momentum": RATIO,
    "optim.weight_decay": number(0),
    "optim.schedule": one_of(*SCHEDULES),
    "optim.warmup_epochs": number(0),
    "optim.milestones": each(number(0)),
    "optim.factor": POSITIVE,
    "optim.clip_norm": number(0),
    "optim.accumulate": whole(1, 2**20),
    "optim.lr_scale": each(pair(PATTERN, number(0))),
    "epochs": POSITIVE,
    "eval_epochs": number(0),
    "save_epochs": number(0),
    "log_every": whole(1, 2**53),
    "profile": SWITCH,
    "best": one_of(*BEST),
    "distill_weight": number(0),
    "distill_feature": number(0),
    "head": number(0),
    "mute": RATIO,
    "model.name": one_of(*MODELS),
    "model.width": whole(1, 2**14),
    "model.stages": each(whole(1, 256), 1, 8),
    "model.remat": SWITCH,
    "model.bottleneck": SWITCH,
    "model.modality": one_of(*MODALITIES),
    "model.feature": whole(1, 2**20),
    "model.preview": whole(0, 2**14),
    "model.regions": whole(0, 64),
    "model.steps": whole(1, 1000),
    "model.stride": whole(1, 2**20),
    "model.hidden": whole(1, 2**20),
    "model.key": whole(1, 2**20),
    "model.query": whole(1, 2**20),
    "model.selection": one_of(*SELECTIONS),
    "model.index_by": one_of(*MODALITIES),
    "model.fallback": whole(0, 2**20),
    "model.masking": SWITCH,
    "model.count_start": SWITCH,
    "model.weigh": SWITCH,
    "model.listens": one_of(*LISTENS),
    "model.context": (lambda x: whole(1, 2**10)[0](x) and x % 2 == 1, "an odd whole number from 1 to 1024"),
    "model.dropout": RATIO,
    "model.image": whole(0, 2**20),
    "model.audio": whole(0, 2**20),
    "model.closer": one_of("", *CHOICES, CLOSER),
}


def check_values(config: ConfigDict) -> None:
    """Raises ValueError naming the first key whose value will not do, and what will."""
    flat = flax.traverse_util.flatten_dict(config.to_dict(), sep=".")
    for key, value in flat.items():
        fits, words = RULES.get(key, ANY)
        if not fits(value):
            raise ValueError(f"config.{key}={value!r}: it must be {words}")
    if config["mode"] == "train" and config["model"]["name"] == "fusion" and config["task"] != "classify":
        raise ValueError(
            f"config.model.name=fusion reads features: it is trained with config.task=classify, not {config['task']}"
        )
    if config["best"] == "agree" and config["task"] not in ("distill", "preview"):
        raise ValueError(f"config.best=agree: task {config['task']} has no teacher to agree with, choose top1 or mAP")
