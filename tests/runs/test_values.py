"""Every key of every config: what it may be, and that anything else ends a run in one line before it starts."""

import math

import flax.traverse_util
import pytest

from configs import common
from l2l import main
from l2l.models import MODELS
from l2l.runs.config import load_config
from l2l.runs.values import RULES, check_values
from tests.runs.test_configs import ALL

# What will not do, for keys of which more than the type can be wrong.
WRONG = {
    "mode": ["evaluate"],
    "task": ["nope", ""],
    "run": ["", None],
    "seed": [-1, 2**31],
    "mesh": [(0, 8), (-1,), (1, 2.0)],
    "distributed": ["yes", "10.0.0.1:80,2,2"],
    "patience": [0.0],
    "dtype": ["float8"],
    "makers": [(("data/a",),)],
    "init_skip": [("(",)],
    "data.batch": [0],
    "data.eval_batch": [0],
    "data.streams": [-1],
    "data.draw": ["record"],
    "data.shuffle": [0],
    "data.frames": [0, 65],
    "data.scale": [0.0, 1.5],
    "data.mean": [(0.5, 0.5), (0.5, 0.5, math.inf)],
    "data.std": [(0.2, 0.2, 0.0)],
    "data.lengths": [(), (0,)],
    "optim.name": ["adam"],
    "optim.lr": [0.0, math.nan, math.inf],
    "optim.momentum": [1.0],
    "optim.schedule": ["linear"],
    "optim.milestones": [(-1,)],
    "optim.factor": [0.0],
    "optim.accumulate": [0],
    "optim.lr_scale": [((".*", -1.0),), (("(", 1.0),)],
    "epochs": [0.0, -1.0],
    "log_every": [0],
    "best": ["accuracy"],
    "mute": [1.0],
    "model.name": ["resnet"],
    "model.width": [0],
    "model.stages": [(), (1, 0)],
    "model.modality": ["sound"],
    "model.feature": [0],
    "model.steps": [0],
    "model.stride": [0],
    "model.selection": ["hard"],
    "model.index_by": ["nothing"],
    "model.closer": ["left"],
}


def flat(config) -> dict:
    return flax.traverse_util.flatten_dict(config.to_dict(), sep=".")


def wrong_for(value) -> list:
    """What will not do for any key of a default's type."""
    if isinstance(value, bool | str):
        return [None, 7]
    return [None, "nope", -2 if isinstance(value, int) else math.nan]


def changed(config, key: str, value):
    """A copy of a config with any value at a key, as only a config file can have it."""
    config = config.copy_and_resolve_references()
    place, _, last = key.rpartition(".")
    there = config[place] if place else config
    with config.unlocked(), there.ignore_type():
        there[last] = value
    return config


@pytest.mark.parametrize(("stage", "variant"), ALL)
def test_every_key_of_every_config_has_a_rule_that_it_keeps(stage, variant):
    config = load_config(f"configs/{stage}.py:{variant}")
    assert flat(config).keys() <= RULES.keys()
    check_values(config)


def test_every_argument_of_every_model_has_a_rule():
    given = {"num_classes", "dtype", "fusion", "multi_label", "parent", "name"}
    for model in MODELS.values():
        own = set(model.__dataclass_fields__) - given
        assert {f"model.{name}" for name in own} <= RULES.keys()


@pytest.mark.parametrize("key", RULES)
def test_a_value_that_will_not_do_is_named_with_what_will(key):
    config = load_config("configs/skim.py")
    for value in [*wrong_for(flat(config).get(key)), *WRONG.get(key, ())]:
        with pytest.raises(ValueError, match=r"it must be .+") as error:
            check_values(changed(config, key, value))
        assert str(error.value).startswith(f"config.{key}={value!r}: ")
        assert "\n" not in str(error.value)


def test_it_is_said_before_anything_is_opened():
    config = load_config("configs/teacher.py")
    config.data.dir, config.makers, config.epochs = "/nowhere", (), -1.0
    with pytest.raises(ValueError, match=r"config.epochs=-1.0: it must be a number above 0$"):
        main.run(config)


def test_only_distillation_agrees_with_a_teacher():
    config = load_config("configs/distill.py")
    config.best = "agree"
    check_values(config)
    with pytest.raises(ValueError, match=r"config.best=agree: task classify has no teacher to agree with"):
        check_values(changed(config, "task", "classify"))


def test_rules_are_of_keys_that_there_are():
    named = {key for key in RULES if not key.startswith("model.")}
    assert named == flat(common.get_config()).keys()
