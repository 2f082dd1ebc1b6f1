"""What values may be, each rule with words for it."""

import math
from collections.abc import Callable
from typing import Any

Rule = tuple[Callable[[Any], bool], str]  # whether a value will do, and what will, in words


def whole(least: int, most: int | None = None) -> Rule:
    """Whole numbers."""
    fits = lambda x: isinstance(x, int) and not isinstance(x, bool) and least <= x <= (most or x)
    return fits, f"a whole number from {least} on" if most is None else f"a whole number from {least} to {most}"


def number(low: float, high: float = math.inf, *, over: bool = False, under: bool = False) -> Rule:
    """Finite numbers from low to high; `over` and `under` leave the two ends out."""

    def fits(x: Any) -> bool:
        real = isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
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


ANY: Rule = lambda x: True, "anything"
FINITE: Rule = lambda x: number(0)[0](abs(x)), "a finite number"
TEXT: Rule = lambda x: isinstance(x, str), "a text"
NAME: Rule = lambda x: isinstance(x, str) and bool(x.strip()), "a text that is not empty"
SWITCH: Rule = lambda x: isinstance(x, bool), "True or False"
