"""How sure a skimmer is after every look, and when that is enough; `fit_early_exit.py` finds the numbers."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from l2l.evaluate import metrics

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Sure:
    """When a skimmer stops.

    Attributes:
      source: whose predictions count, one of SOURCES.
      temperatures: of each look, T values.
      threshold: 0..1; a video is done once the confidence is larger.
      calibrates: whether the temperatures were found to make scores that can be read as probabilities.
    """

    source: str
    temperatures: tuple[float, ...]
    threshold: float
    calibrates: bool = True

    def confidence(self, arrays: Arrays) -> np.ndarray:
        """Calibrated chance (n, T) that the prediction after each look is right; `arrays` as `Skim.predict` gives."""
        logits = arrays[self.source].astype(np.float64) / np.asarray(self.temperatures)[:, None]
        return metrics.probabilities(logits, multi_label=False).max(axis=-1)

    def looks(self, arrays: Arrays) -> np.ndarray:
        """How many looks each video gets, int (n,), 1..T: the first that suffices, else all that it may have."""
        enough = self.confidence(arrays) > self.threshold
        first = np.where(enough.any(axis=1), enough.argmax(axis=1), enough.shape[1] - 1)
        return np.minimum(first + 1, arrays["looks"])

    def logits(self, arrays: Arrays) -> np.ndarray:
        """The calibrated prediction (n, k) after the last look of each video."""
        last = self.looks(arrays) - 1
        return arrays[self.source][np.arange(len(last)), last] / np.asarray(self.temperatures)[last, None]
