"""When to save and stop: at SIGTERM, at Ctrl-C, and when a machine is about to be taken away."""

import signal
from types import FrameType, TracebackType
from typing import Any

import jax
from jax.experimental import multihost_utils

from l2l.core.terminal import say


class Stop:
    """Notices the wish to stop while it is entered; the second Ctrl-C or SIGTERM ends the process at once.

    Several processes stop at the same step, whichever of them was asked: JAX's preemption service, which takes their
    SIGTERM, finds one that none of them has passed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._several = jax.process_count() > 1
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Stop":
        signals = (signal.SIGINT,) if self._several else (signal.SIGTERM, signal.SIGINT)
        self._before = {number: signal.signal(number, self._ask) for number in signals}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        say(f"{signal.Signals(number).name}: saving, then stopping")
        self.asked = True
        if self._several:
            signal.raise_signal(signal.SIGTERM)

    def due(self, step: int) -> bool:
        """Whether the run stops at this step; several processes must ask at every step."""
        if self._several:
            return multihost_utils.reached_preemption_sync_point(step)
        return self.asked

    @property
    def now(self) -> bool:
        """Whether to drop what can be done again later. Several processes could not agree on that."""
        return self.asked and not self._several
