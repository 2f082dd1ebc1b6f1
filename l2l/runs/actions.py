"""Where the labelled stretches of videos are: actions.json beside their clips, and beside the features of these."""

from pathlib import Path

import numpy as np

from l2l.data import schema
from l2l.runs.run_folder import CONFIG, read_json

Actions = dict[str, list[list[float]]]  # video id -> [start, stop] of each stretch, seconds


def read_actions(path: Path) -> Actions | None:
    """actions.json; None if there is none.

    Raises:
      RunError: it is damaged.
    """
    if not path.is_file():
        return None
    return {name: [[float(a), float(b)] for a, b in spans] for name, spans in read_json(path).items()}


def actions_of(features: Path) -> Actions | None:
    """The labelled stretches of the videos of a directory of features; None if nobody wrote them down.

    Features that were extracted before these came with them have those of their clips, where the clips still are.

    Raises:
      RunError: a file is damaged.
    """
    own = read_actions(features / schema.ACTIONS)
    if own is not None or not (features / CONFIG).is_file():
        return own
    return read_actions(Path(read_json(features / CONFIG)["config"]["data"]["dir"]) / schema.ACTIONS)


def positions_inside(
    names: np.ndarray, times: np.ndarray, positions: np.ndarray, actions: Actions
) -> dict[int, np.ndarray]:
    """Which positions lie in a labelled stretch; a position covers some time, and it lies where its middle lies.

    Args:
      names: ids of the videos (b,), bytes or text.
      times: (b, n), the middles of their positions, seconds; filled up with zeros.
      positions: int (b,), how many each has.
      actions: the stretches.

    Returns:
      Place of a video in the batch -> bool (n,) over its own positions, of the videos that have stretches.
    """
    texts = [x.decode() if isinstance(x, bytes) else str(x) for x in names]
    own = [row[:count] for row, count in zip(times, positions, strict=True)]
    return {i: in_action(own[i], actions[name]) for i, name in enumerate(texts) if name in actions}


def in_action(times: np.ndarray, spans: list[list[float]]) -> np.ndarray:
    """Which moments (n,) lie in one of the spans; bool (n,)."""
    return np.any([(times >= start) & (times < stop) for start, stop in spans] or [np.zeros(len(times), bool)], axis=0)
