"""Where the labelled stretches of videos are: actions.json beside their clips, and beside the features of these."""

from pathlib import Path

import numpy as np

from l2l.runs.run_folder import read_json

Actions = dict[str, list[list[float]]]  # video id -> [start, stop] of each stretch, seconds


def read_actions(path: Path) -> Actions | None:
    """actions.json; None if there is none.

    Raises:
      RunError: it is damaged.
    """
    if not path.is_file():
        return None
    return {name: [[float(a), float(b)] for a, b in spans] for name, spans in read_json(path).items()}


def in_action(times: np.ndarray, spans: list[list[float]]) -> np.ndarray:
    """Which moments (n,) lie in one of the spans; bool (n,)."""
    return np.any([(times >= start) & (times < stop) for start, stop in spans] or [np.zeros(len(times), bool)], axis=0)
