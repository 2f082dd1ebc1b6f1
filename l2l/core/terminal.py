"""What a person at a terminal is told while work goes on: lines, and how far it is."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

import jax
from tqdm import tqdm

from l2l.core.texts import clock

PATIENCE = 20.0  # seconds between the lines of what takes long, where there is no terminal to draw a bar on


def rate_of(rate: float, unit: str) -> str:
    return f"{rate:.{0 if rate >= 10 else 1}f} {unit}s/s"


class Bar:
    """How far something is that takes long: a bar on a terminal, elsewhere a line every PATIENCE seconds.

    Args:
      what: is done.
      total: how many there are.
      unit: one of them.
      keep: whether the end is told, or the bar left, too.
    """

    def __init__(self, what: str, *, total: int, unit: str, keep: bool = False):
        first, drawn = jax.process_index() == 0, sys.stderr.isatty()
        self._what, self._total, self._unit = what, total, unit
        self._bar = tqdm(total=total, desc=what, unit=unit, leave=keep, disable=not (first and drawn))
        self._silent, self._keep = drawn or not first, keep
        self._done, self._began = 0, time.perf_counter()
        self._told = self._began

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self._bar.close()
        if self._keep and error is None and not self._silent:
            say(f"{self._what}: {self._done} {self._unit}s in {clock(time.perf_counter() - self._began)}")

    def update(self, count: int = 1) -> None:
        """So many more are done."""
        self._done += count
        self._bar.update(count)
        if not self._silent and time.perf_counter() - self._told >= PATIENCE:
            self._tell()

    def over(self, items: Iterable[Any]) -> Iterator[Any]:
        """Passes items through and counts them."""
        for item in items:
            yield item
            self.update()

    def _tell(self) -> None:
        self._told = time.perf_counter()
        rate = self._done / max(self._told - self._began, 1e-9)
        share = f"{100 * self._done / self._total:3.0f} %" if self._total else ""
        left = clock((self._total - self._done) / rate if rate else float("inf"))
        counts = f"{self._what} {self._done}/{self._total} {self._unit}s {share}"
        say(f"{counts}  {rate_of(rate, self._unit)}  left {left}")


def say(text: str) -> None:
    """A line for the person at the terminal; of several processes the first one speaks."""
    if jax.distributed.is_initialized() and jax.process_index() > 0:
        return
    print(text, file=sys.stderr, flush=True)
