"""What values may be, each rule with words for it."""

import math
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Rule = tuple[Callable[[Any], object], str]  # whether a value will do, and what will, in words


def whole(least: int, most: int | None = None) -> Rule:
    """Whole numbers."""
    fits = lambda x: isinstance(x, int) and not isinstance(x, bool) and least <= x <= (x if most is None else most)
    return fits, f"a whole number from {least} on" if most is None else f"a whole number from {least} to {most}"


def number(low: float, high: float = math.inf, *, over: bool = False, under: bool = False) -> Rule:
    """Finite numbers from low to high, none that a float cannot hold; `over` and `under` leave the two ends out."""

    def fits(x: Any) -> bool:
        real = isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= sys.float_info.max
        return real and (x > low if over else x >= low) and (x < high if under else x <= high)

    most = "" if high == math.inf else f" and {'below' if under else 'at most'} {high:g}"
    return fits, f"a number {'above' if over else 'of at least'} {low:g}{most}"


def one_of(*names: str) -> Rule:
    return lambda x: isinstance(x, str) and x in names, "one of " + ", ".join(name or "nothing" for name in names)


def each(rule: Rule, least: int = 0, most: float = math.inf) -> Rule:
    """Tuples of what fits a rule, of a length from least to most."""
    fits, words = rule
    many = f"{least:g}" if least == most else f"at least {least}" if least else "any number"
    return (
        lambda x: isinstance(x, list | tuple) and least <= len(x) <= most and all(map(fits, x)),
        f"a tuple of {many}, each {words}",
    )


def pair(first: Rule, second: Rule) -> Rule:
    fits = lambda x: isinstance(x, list | tuple) and len(x) == 2 and first[0](x[0]) and second[0](x[1])
    return fits, f"a pair of {first[1]} and {second[1]}"


def maybe(rule: Rule) -> Rule:
    return lambda x: x is None or rule[0](x), f"{rule[1]}, or null"


def mapping(key: Rule, rule: Rule) -> Rule:
    """Dictionaries of any keys that fit one rule, whose values fit another."""
    fits = lambda x: isinstance(x, dict) and all(key[0](k) and rule[0](v) for k, v in x.items())
    return fits, f"a dictionary of {key[1]} to {rule[1]}"


def record(table: Mapping[str, Rule], optional: Mapping[str, Rule] = MappingProxyType({})) -> Rule:
    """Dictionaries of these keys and no others, each value as its rule wants."""
    return lambda x: not problem(x, table, optional), f"a dictionary of {', '.join([*table, *optional])}"


def problem(value: Any, table: Mapping[str, Rule], optional: Mapping[str, Rule] = MappingProxyType({})) -> str:
    """What keeps a value from being such a dictionary, in words that name the first key; "" if nothing does."""
    if not isinstance(value, dict):
        return "it is no dictionary"
    if missing := [key for key in table if key not in value]:
        return f"it has no {missing[0]}"
    rules = {**optional, **table}
    for key, own in value.items():
        if key not in rules:
            return f"it has {key!r:.60}, which is not known"
        fits, words = rules[key]
        if not fits(own):
            return f"{key} is {own!r:.60}, it must be {words}"
    return ""


def _is_written(text: str) -> bool:
    return "\0" not in text and not any(0xD800 <= ord(c) < 0xE000 for c in text)


ANY: Rule = lambda x: True, "anything"
FINITE: Rule = number(-math.inf)[0], "a finite number"
TEXT: Rule = lambda x: isinstance(x, str), "a text"
NAME: Rule = lambda x: isinstance(x, str) and bool(x.strip()), "a text that is not empty"
WORD: Rule = lambda x: NAME[0](x) and _is_written(x), "a text that is not empty, of characters that can be written"
SWITCH: Rule = lambda x: isinstance(x, bool), "True or False"
