"""metrics.jsonl (one object per logged step), TensorBoard where it is installed, and a line on the terminal."""

import importlib.util
import json
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

Numbers = dict[str, float]


class NotFinite(ArithmeticError):
    """A loss became NaN or infinite; the message names the step and the term."""


def check_finite(step: int, values: Numbers) -> None:
    """Raises NotFinite naming the first value that is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise NotFinite(
                f"{name} became {value} at or before step {step}: lower --config.optim.lr, or clip gradients "
                "with --config.optim.clip_norm"
            )


class MetricLog:
    """Appends to metrics.jsonl and mirrors scalars to TensorBoard; a resumed run first cuts what is after its step."""

    def __init__(self, run: Path, *, step: int, active: bool):
        self._path = run / "metrics.jsonl"
        self._active = active
        self._board = None
        if active:
            keep = [line for line in _lines(self._path) if json.loads(line)["step"] <= step] if step else []
            temporary = run / ".metrics.tmp"
            temporary.write_text("".join(keep), encoding="utf-8")
            os.replace(temporary, self._path)
            self._board = _tensorboard(run)

    def write(self, step: int, values: dict[str, Any]) -> None:
        """One line: {"step": step, ...}."""
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


def _lines(path: Path) -> list[str]:
    """The whole lines of a file; a last one without its end was cut by a kill."""
    if not path.is_file():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def _tensorboard(run: Path) -> Any:
    if not importlib.util.find_spec("tensorboardX"):
        return None
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(run / "tensorboard"))


class Progress:
    """Rate, time left and share of time spent waiting for data, since the last report and for the whole run."""

    def __init__(self, name: str, *, first: int, total: int, batch: int):
        self._name, self._total, self._batch = name, total, batch
        self._step, self._then, self._waited = first, time.perf_counter(), 0.0

    def waited(self, seconds: float) -> None:
        """Adds time that the loop spent without a batch."""
        self._waited += seconds

    def report(self, step: int, values: Numbers) -> Numbers:
        """Prints a line for `step` and returns time/examples_per_s and time/data_wait (share of the step)."""
        now = time.perf_counter()
        seconds = max(now - self._then, 1e-9)
        rate = (step - self._step) / seconds
        wait = self._waited / seconds
        self._step, self._then, self._waited = step, now, 0.0
        left = (self._total - step) / rate if rate else float("inf")
        shown = "  ".join(f"{key.removeprefix('train/')} {value:.4g}" for key, value in values.items())
        speed = f"{rate * self._batch:.{0 if rate * self._batch >= 10 else 1}f} examples/s"
        line = f"{self._name} {step:>6}/{self._total} {100 * step / self._total:3.0f} %  {shown}"
        say(f"{line}  {speed}  data wait {100 * wait:.0f} %  left {clock(left)}")
        return {"time/examples_per_s": rate * self._batch, "time/data_wait": wait}


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss."""
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def say(text: str) -> None:
    """A line for the person at the terminal."""
    print(text, file=sys.stderr, flush=True)
