"""What sweeps are written with: a list of runs, in an order in which each finds what it builds on."""

from collections.abc import Mapping
from typing import Any


class Sweep:
    """A list that grows by runs, and by commands that measure them.

    Attributes:
      entries: what `get_runs` of a sweep returns: of a run {"name", "config", "seed", "overrides"}, of a measurement
        {"command", "makes"}.

    Args:
      out: folder of the runs.
      layout: where below it one is, by its name and seed.
    """

    def __init__(self, out: str, layout: str = "{name}/{seed}"):
        self.out, self.layout = out, layout
        self.entries: list[dict[str, Any]] = []

    def run(self, name: str, config: str, seed: int = 0, changes: Mapping[str, object] | None = None) -> str:
        """Adds a run of configs/CONFIG, some keys of which are changed; returns its folder."""
        overrides = {"run": self.folder(name, seed), **(changes or {})}
        self.entries.append({"name": name, "config": f"configs/{config}", "seed": seed, "overrides": overrides})
        return str(overrides["run"])

    def folder(self, name: str, seed: int = 0) -> str:
        """Where a run is."""
        return f"{self.out}/{self.layout.format(name=name, seed=seed)}"

    def measure(self, command: str, run: str, makes: str, *flags: str) -> None:
        """Adds a command that measures a run, and the file that it makes in the run's folder."""
        self.entries.append({"command": [command, run, *flags], "makes": f"{run}/{makes}"})
