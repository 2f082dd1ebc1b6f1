"""Numbers of every flag of every command, and of every key of a config: what cannot be is refused in one line."""

import flax.traverse_util
import pytest

from l2l.core import command
from l2l.runs import values
from tests.helpers import commands

HUGE = "1" + "0" * 400
WRONG = ("nan", "inf", "-inf", "1e400", "-1", "many", "", HUGE)
MODULES = [name for name in commands.modules() if name.startswith("l2l.") and name != "l2l.main"]


def numbers(module):
    """The flags of a command that take a number."""
    return [x for x in commands.loaded(module).parser()._actions if takes_number(x)]


def takes_number(action):
    try:
        return not isinstance(action.type("1"), str) and isinstance(action.type("1"), int | float)
    except (TypeError, ValueError):
        return False


FLAGS = [(module, action.option_strings[0]) for module in MODULES for action in numbers(module)]


def test_flags_of_several_commands_are_found():
    assert {"l2l.infer", "l2l.serve", "l2l.evaluate", "l2l.report", "l2l.sure"} <= {module for module, _ in FLAGS}
    assert ("l2l.evaluate", "--batch") in FLAGS
    assert len(FLAGS) > 12


def needed(module):
    """Words without which a command does not begin."""
    found = []
    for action in commands.loaded(module).parser()._actions:
        if action.required:
            found += [f"{action.option_strings[0]}=x"] if action.option_strings else ["x"]
    return found


@pytest.mark.parametrize(("module", "flag"), FLAGS)
def test_numbers_that_cannot_be(module, flag, capsys):
    parse = commands.loaded(module).parser().parse_args
    for wrong in WRONG:
        with pytest.raises(SystemExit) as end:
            parse([*needed(module), f"{flag}={wrong}"])
        assert end.value.code == 2, wrong
        *usage, last = capsys.readouterr().err.splitlines()
        assert f": error: argument {flag}: must be a" in last
        assert f", got {wrong[: command.SHOWN]!r}".removesuffix("'") in last
        assert all(line.startswith(("usage: ", " ")) for line in usage)


def keys():
    """Key -> config, of every number that a config has, the first config that has it."""
    found = {}
    for name, config in commands.configs().items():
        flat = flax.traverse_util.flatten_dict(config.to_dict(), sep=".")
        numbers = {key for key, x in flat.items() if isinstance(x, int | float) and not isinstance(x, bool)}
        found |= {key: name for key in numbers if key not in found}
    return found


def test_numbers_of_configs():
    found = keys()
    assert len(found) > 30
    for key, name in found.items():
        for wrong in ("nan", "1e400", "-1", "many"):
            with pytest.raises((commands.Mistake, ValueError)) as caught:
                values.check_values(commands.config_of(f"--config={name}", f"--config.{key}={wrong}"))
            assert key in str(caught.value), (key, wrong)
            assert "\n" not in str(caught.value), (key, wrong)
