"""Rounds of calls that take turns, so that a noisy machine is noisy for all; and peers in environments of their own."""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"


def timed(call: Callable[[], Any]) -> Callable[[], float]:
    """A call that returns the seconds it took."""

    def run() -> float:
        since = time.perf_counter()
        call()
        return time.perf_counter() - since

    return run


def medians(calls: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Seconds by name, each the median of so many rounds after one that does not count; the calls take turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            seconds = call()
            if number:
                taken[name].append(seconds)
    return {name: statistics.median(values) for name, values in taken.items()}


class Peer:
    """A program of peers/ that runs in an environment of its own and measures when it is told to.

    It gets its numbers as JSON in its first argument, says "ready", and then answers every line with seconds.
    """

    def __init__(self, python: str, program: str, **numbers: Any):
        command = [python, str(PEERS / program), json.dumps(numbers)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        asks, answers = self._process.stdin, self._process.stdout
        if asks is None or answers is None or answers.readline() != "ready\n":
            raise SystemExit(f"error: {' '.join(command[:2])} did not start; what it said stands above")
        self._asks, self._answers = asks, answers

    def __call__(self, what: str) -> float:
        """Seconds that it took to do `what`."""
        self._asks.write(f"{what}\n")
        self._asks.flush()
        return float(self._answers.readline())

    def close(self) -> None:
        self._asks.close()
        self._process.wait()


def parser(module: str, doc: str) -> argparse.ArgumentParser:
    """The flags that every benchmark has."""
    result = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{module}", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    result.add_argument("--rounds", type=int, default=5, help="measured rounds (default: %(default)s)")
    return result


def show(found: Mapping[str, Any], *, as_json: bool) -> None:
    """Prints the figures, numbers with three significant digits."""
    found = {key: float(f"{x:.3g}") if isinstance(x, float) else x for key, x in found.items()}
    print(json.dumps(found) if as_json else "\n".join(f"{name}: {value}" for name, value in found.items()))
