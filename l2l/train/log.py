"""metrics.jsonl (one object per logged step), TensorBoard where it is installed, and a line on the terminal."""

import importlib.util
import itertools
import json
import math
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import jax

from l2l.core.terminal import rate_of, say
from l2l.core.texts import clock
from l2l.runs.names import SHARES

Numbers = dict[str, float]
TRACED = 5  # steps of a trace
WARM = 3  # steps before it: the first ones compile
GIB = 2**30


class NotFinite(ArithmeticError):
    """A loss became NaN or infinite; the message names the step and the term."""


def check_finite(step: int, values: Numbers) -> None:
    """Raises NotFinite naming the first value that is not finite: terms of the loss, the loss, then the norms."""
    for name in sorted(values, key=lambda name: ("norm" in name, name.endswith("/loss"), name)):
        if not math.isfinite(values[name]):
            raise NotFinite(
                f"{name} became {values[name]} at step {step}: lower --config.optim.lr, or clip gradients "
                "with --config.optim.clip_norm"
            )


class MetricLog:
    """Appends to metrics.jsonl and mirrors scalars to TensorBoard; a resumed run first cuts what it will write again.

    Args:
      run: the run folder.
      lines: how many lines to keep of what is there, those that were written when the run was saved.
      active: whether this process writes.
    """

    def __init__(self, run: Path, *, lines: int, active: bool):
        self._path = run / "metrics.jsonl"
        self._active = active
        self._board = None
        self.lines = lines
        if active:
            temporary = run / ".metrics.tmp"
            temporary.write_bytes(b"".join(line + b"\n" for line in written(self._path)[:lines]))
            os.replace(temporary, self._path)
            self._board = _tensorboard(run)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """One line: {"step": step, ...}."""
        self.lines += 1
        if not self._active:
            return
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | values) + "\n")
        if self._board:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board:
            self._board.close()


def written(path: Path) -> list[bytes]:
    """The whole lines of a file; a last one without its end was cut by a kill."""
    return path.read_bytes().split(b"\n")[:-1] if path.is_file() else []


def _tensorboard(run: Path) -> Any:
    if not importlib.util.find_spec("tensorboard"):
        return None
    from tensorboard.summary import Writer

    return Writer(str(run / "tensorboard"))


def told(name: str, value: float) -> str:
    """A metric for a person: shares in percent, anything else as it is."""
    share = any(name == end or name.endswith(f"_{end}") for end in SHARES)
    return f"{name} {100 * value:.1f} %" if share else f"{name} {value:.4g}"


class Progress:
    """Tells how training goes: newest numbers, rate, time left, share of time without data, memory."""

    def __init__(self, name: str, *, first: int, total: int, batch: int):
        self._name, self._total, self._batch = name, total, batch
        self._step, self._then, self._waited = first, time.perf_counter(), 0.0

    def begin(self, step: int) -> None:
        """Counts from here on: what lies before this step was compiling, or measuring."""
        self._step, self._then, self._waited = step, time.perf_counter(), 0.0

    def waited(self, seconds: float) -> None:
        """Adds time that the device spent without a batch."""
        self._waited += seconds

    def report(self, step: int, values: Numbers) -> Numbers:
        """Prints a line of a step that the device has finished, with its own loss and shares.

        Returns time/examples_per_s and time/data_wait (share of the time since the report before), which the first step
        does not have, and time/memory_gib.
        """
        line = f"{self._name} {step:>6}/{self._total} {100 * step / self._total:3.0f} %"
        shown = {name.removeprefix("train/"): value for name, value in values.items()}
        shown = {name: value for name, value in shown.items() if name == "loss" or name in SHARES}
        held = memory() / GIB
        parts = [line, *itertools.starmap(told, shown.items())]
        times = self._times(step)
        if times:
            speed, left = times["time/examples_per_s"], self._total - step
            parts += [rate_of(speed, "example"), f"data wait {100 * times['time/data_wait']:.0f} %"]
            parts += [f"memory {held:.2f} GiB", f"left {clock(left * self._batch / speed)}"]
        say("  ".join(parts))
        return times | {"time/memory_gib": held}

    def _times(self, step: int) -> Numbers:
        """Rate and waiting since the report before; {} if no step was made since."""
        now, steps, waited = time.perf_counter(), step - self._step, self._waited
        seconds = max(now - self._then, 1e-9)
        self._step, self._then, self._waited = step, now, 0.0
        if not steps:
            return {}
        return {"time/examples_per_s": steps * self._batch / seconds, "time/data_wait": waited / seconds}


def memory() -> int:
    """Bytes at the peak: of this process' fullest device or, where the backend does not tell (CPU), of the process."""
    stats = [device.memory_stats() for device in jax.local_devices()]
    if all(stats):
        return max(x["peak_bytes_in_use"] for x in stats)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Trace:
    """A profile of a few steps in RUN/profile, for TensorBoard's profiler or Perfetto."""

    def __init__(self, run: Path, *, first: int, active: bool):
        self._folder = run / "profile"
        self._left = range(first + WARM, first + WARM + TRACED) if active else range(0)
        self._running = False

    def after(self, step: int, state: Any) -> None:
        """Starts and ends the trace between steps; `step` was the last one, `state` its result."""
        if step + 1 == self._left.start:
            jax.block_until_ready(state)
            options = jax.profiler.ProfileOptions()
            # Following the calls of Python slows the steps, and has crashed where threads came and went.
            options.python_tracer_level = 0
            jax.profiler.start_trace(self._folder, profiler_options=options)
            self._running = True
        elif step + 1 == self._left.stop:
            jax.block_until_ready(state)
            self.close()

    def close(self) -> None:
        if self._running:
            jax.profiler.stop_trace()
            self._running = False
            say(f"a trace is in {self._folder}")
