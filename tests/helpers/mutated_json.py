"""JSON made wrong in every way: every place in it, and every kind of fault."""

import copy
import itertools
import json
import math
import re

DEEP = "@deep@"  # stands for lists within lists, deeper than any reader goes
GONE = object()
WRONG = {
    "deleted": GONE,
    "null": None,
    "true": True,
    "-5": -5,
    "10^18": 10**18,
    "10^400": 10**400,
    "NaN": math.nan,
    "infinite": math.inf,
    "a text": "text",
    "nothing": "",
    "NUL": "a\0b",
    "elsewhere": "../../x",
    "[]": [],
    "[-4]": [-4],
    "{}": {},
    "{'': {}}": {"": {}},
    "deep": DEEP,
}


def places(value, at=()):
    """Every place in nested containers, as its keys."""
    yield at
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, own in inside:
        yield from places(own, (*at, key))


def changed(value, at, wrong):
    """A copy with something else in one place."""
    value = copy.deepcopy(value)
    inside = value
    for key in at[:-1]:
        inside = inside[key]
    if not at:
        return wrong
    if wrong is GONE:
        del inside[at[-1]]
    else:
        inside[at[-1]] = wrong
    return value


def text(value):
    return json.dumps(value).replace(f'"{DEEP}"', "[" * 100_000 + "]" * 100_000)


def faults(value):
    """(place, what is wrong there, the value with it) of every mutation that changes anything."""
    for at, (name, wrong) in itertools.product(places(value), WRONG.items()):
        if (at or wrong is not GONE) and text(mutant := changed(value, at, wrong)) != text(value):
            yield "/".join(map(str, at)), name, mutant


def one_line(error, name):
    assert name in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 600


def harmless(table, place, name):
    return any(re.fullmatch(places, place) and name in names for places, names in table)
