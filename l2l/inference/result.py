"""What a model says of one video, ready to be kept, sent and shown."""

import dataclasses
from typing import Any

import numpy as np

from l2l.media.tally import Decoded

TOP = 5
Box = tuple[float, float, float]  # a region of a picture: left, top and side as shares of its side
SILENCES = NO_SOUND, SILENT, NOT_READ = "no sound", "sound track is silent", "sound is not read"


@dataclasses.dataclass(frozen=True)
class Moment:
    """A place in a video that counted.

    Attributes:
      modality: "image" or "audio"; "both" for a clip model that takes in the two at once.
      at: the centre of what was read, seconds from the moment at which the first frame comes on display.
      weight: its share of the prediction, 0..1.
      look: of a skimmer, at which look it was picked, from 1.
      region: what was seen closer of the picture there: left, top and side as shares of the square in the picture's
        middle. None if nothing was.
    """

    modality: str
    at: float
    weight: float
    look: int | None = None
    region: Box | None = None

    @property
    def seconds(self) -> float:
        """The name that `at` had before."""
        return self.at

    def to_json(self) -> dict[str, Any]:
        told = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        return told | {"seconds": self.at}


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
class Choice:
    """How all looks were chosen at once.

    Attributes:
      by: what chose: the "audio" of every position, the "image" of every few, or "both".
      times: float32 (m,), centres of the positions that might be chosen, seconds.
      shares: float32 (m,), how much each called for a look; they sum to 1.
    """

    by: str
    times: np.ndarray
    shares: np.ndarray


@dataclasses.dataclass(frozen=True)
class Asked:
    """Which run gave an answer, and how it was to look.

    Attributes:
      name: of its folder or file.
      hash: of its content; of an exported file, that of the run that it was made from.
      classes: how many it knows.
      stride: of a skimmer: every so many-th position is described.
      stop_when_sure: of a skimmer: whether it looks no longer than it has to.
    """

    name: str
    hash: str
    classes: int
    stride: int
    stop_when_sure: bool


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """One video as a model sees it. All arrays are numpy; it can be pickled.

    A skimmer looks at T moments of n positions. A clip model takes in every position, which counts as one look: T = 1.

    Attributes:
      path: of the file; "" for a video in memory.
      asked: which run looked, and how.
      labels: the k class names.
      scores: float32 (k,), softmax.
      calibrated: whether the scores went through the run's temperature, so that they can be read as probabilities.
      moments: of a skimmer, what its looks picked, in their order, for every modality that indexes; the weight is the
        share of the prediction that was read there. (Where the mean of the video counts as a look, it has a share
        too.) Of a clip model, the clips that speak most for the best class, strongest first; the weight is a clip's
        share of that class's score. None is "audio" or "both" where nothing was heard: what a skimmer then picks for
        its sound shows a picture as well, and is named "image" with its weight. A run that listens alone names none.
        Where all looks were chosen at once, they come in the order of the choice, the likeliest first, and the weight
        is what the judge gave it; what is read there is a picture and its sound, "both".
      times: float32 (n,), centres of the positions, seconds.
      indexed: bool (n,), which positions were described; the others (with a stride) were filled in between.
      attention: modality that indexes -> float32 (T, n). Of a skimmer, the attention of every look, rows sum to 1. Of
        a clip model, every clip's share of the best class's score. Like the moments it is of images alone where
        nothing was heard.
      shares: float32 (T, 2), how much image and sound make up of every look.
      evidence: float32 (looks, k), the class scores after every look; the last row is `scores`. Of a skimmer for which
        the mean of the video counts, that is the first one: then looks = T + 1. Of a clip model the mean over the
        first clips: looks = n.
      looks: how many looks the scores are the mean of.
      silence: why nothing was heard: "no sound", "sound track is silent" (no second of it that was read is louder than
        -60 dB), or "sound is not read", by a run whose clips have none; "" if anything was.
      notes: what has to be known to read the answer, a sentence each: first of the file (what of it was chosen, guessed
        or changed), then the silence, then of the run.
      gmacs: "indexing", "skimming", "recognition" -> 1e9 multiply-adds that the method needs.
      seconds: "decode", "features", "skimming", "compile" -> measured; of videos classified together, each one's share.
        Programs are compiled for the first video of a length, and kept.
      decoded: "image", "audio" -> how much of the file's pictures and sound was decoded; nothing of a video in memory.
      closer: of a skimmer that looks closer.
      choice: of a skimmer that chooses all its looks at once; it has no attention then.
    """

    path: str
    asked: Asked
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
    silence: str
    notes: tuple[str, ...]
    gmacs: dict[str, float]
    seconds: dict[str, float]
    decoded: dict[str, Decoded]
    closer: Closer | None = None
    choice: Choice | None = None

    @property
    def has_audio(self) -> bool:
        """Whether anything was heard."""
        return not self.silence

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
        chosen = {"chosen_by": self.choice.by} if self.choice else {}
        return {
            "path": self.path,
            "top": [{"label": label, "score": score} for label, score in self.best(top)],
            "calibrated": self.calibrated,
            "moments": [moment.to_json() for moment in self.moments],
            **chosen,
            "looks": self.looks,
            "positions": len(self.times),
            "has_audio": self.has_audio,
            "notes": list(self.notes),
            "gmacs": sum(self.gmacs.values()),
            "seconds": sum(self.seconds.values()),
            "gmacs_of": dict(self.gmacs),
            "seconds_of": dict(self.seconds),
            "decoded": {kind: dataclasses.asdict(each) for kind, each in self.decoded.items()},
            "run": dataclasses.asdict(self.asked),
        }
