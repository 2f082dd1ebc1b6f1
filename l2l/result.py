"""What a model says of one video, ready to be kept, sent and shown."""

import dataclasses
from typing import Any

import numpy as np

from l2l.data.tally import Decoded

TOP = 5


@dataclasses.dataclass(frozen=True)
class Moment:
    """A place in a video that counted.

    Attributes:
      modality: "image" or "audio"; "both" for a clip model that takes in the two at once.
      seconds: the centre of what was read, from the moment at which the first frame comes on display.
      weight: its share of the prediction, 0..1.
      region: what was seen closer of the picture there: left, top and side as shares of the square in the picture's
        middle. None if nothing was.
    """

    modality: str
    seconds: float
    weight: float
    region: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclasses.dataclass(frozen=True, eq=False)
class Closer:
    """Where a skimmer looked closer in the pictures that it picked.

    Attributes:
      boxes: float32 (r, 3), the regions of a picture, as a moment has them.
      attention: float32 (T, r), that of every look over the regions of its picture; rows sum to 1.
    """

    boxes: np.ndarray
    attention: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """One video as a model sees it. All arrays are numpy; it can be pickled.

    A skimmer looks at T moments of n positions. A clip model takes in every position, which counts as one look: T = 1.

    Attributes:
      path: of the file; "" for a video in memory.
      labels: the k class names.
      scores: float32 (k,), softmax.
      calibrated: whether the scores went through the run's temperature, so that they can be read as probabilities.
      moments: of a skimmer, what its looks picked, in their order, for every modality that indexes; the weight is the
        share of the prediction that was read there. (Where the mean of the video counts as a look, it has a share
        too.) Of a clip model, the clips that speak most for the best class, strongest first; the weight is a clip's
        share of that class's score.
      times: float32 (n,), centres of the positions, seconds.
      indexed: bool (n,), which positions were described; the others (with a stride) were filled in between.
      attention: modality that indexes -> float32 (T, n). Of a skimmer, the attention of every look, rows sum to 1. Of
        a clip model, every clip's share of the best class's score.
      shares: float32 (T, 2), how much image and sound make up of every look.
      evidence: float32 (looks, k), the class scores after every look; the last row is `scores`. Of a skimmer for which
        the mean of the video counts, that is the first one: then looks = T + 1. Of a clip model the mean over the
        first clips: looks = n.
      looks: how many looks the scores are the mean of.
      has_audio: whether the video has sound.
      gmacs: "indexing", "skimming", "recognition" -> 1e9 multiply-adds that the method needs.
      seconds: "decode", "features", "skimming" -> measured; of videos classified together, each one's share.
        The first video of a length also waits for its program to be compiled.
      decoded: "image", "audio" -> how much of the file's pictures and sound was decoded; nothing of a video in memory.
      closer: of a skimmer that looks closer.
    """

    path: str
    labels: tuple[str, ...]
    scores: np.ndarray
    calibrated: bool
    moments: tuple[Moment, ...]
    times: np.ndarray
    indexed: np.ndarray
    attention: dict[str, np.ndarray]
    shares: np.ndarray
    evidence: np.ndarray
    looks: int
    has_audio: bool
    gmacs: dict[str, float]
    seconds: dict[str, float]
    decoded: dict[str, Decoded]
    closer: Closer | None = None

    @property
    def top(self) -> tuple[tuple[str, float], ...]:
        """The five best (label, score), best first."""
        return self.best(TOP)

    def best(self, count: int) -> tuple[tuple[str, float], ...]:
        """The best (label, score), best first."""
        order = (-self.scores).argsort(kind="stable")[:count]
        return tuple((self.labels[i], float(self.scores[i])) for i in order)

    def to_json(self, top: int = TOP) -> dict[str, Any]:
        """The object that `infer --json` prints, see `infer --help`; without attention and evidence."""
        return {
            "path": self.path,
            "top": [{"label": label, "score": score} for label, score in self.best(top)],
            "calibrated": self.calibrated,
            "moments": [moment.to_json() for moment in self.moments],
            "looks": self.looks,
            "positions": len(self.times),
            "has_audio": self.has_audio,
            "gmacs": sum(self.gmacs.values()),
            "seconds": sum(self.seconds.values()),
            "gmacs_of": dict(self.gmacs),
            "seconds_of": dict(self.seconds),
            "decoded": {kind: dataclasses.asdict(each) for kind, each in self.decoded.items()},
        }
