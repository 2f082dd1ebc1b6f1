"""What a page shows of one video, whichever run it comes from: attention over time, moments, evidence, a player."""

import base64
import dataclasses
import io
import os
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from l2l.core.texts import clock
from l2l.report.charts import SHAPES, Chart, Series, chart, nice_step

NAMES = {"image": "picture", "audio": "sound", "both": "picture and sound", "closer": "picture, and closer"}
COLOURS = {"image": (47, 129, 214), "audio": (222, 120, 20)}  # as in the page's style
QUIET, LOUD = -4.0, 4.0  # log-mel values shown as black and as the lightest
EARLY = 0.5  # seconds: a moment is the centre of a clip and of its second of sound; the player begins with that
LEAST = 1e-3  # share of the largest attention that is drawn as none
MOST_CURVES = 5
MOST_MARKS = 30  # on a curve; longer ones are plain


@dataclasses.dataclass(frozen=True)
class Axis:
    """A stretch of time that is drawn, and the n positions on it; all in seconds.

    Attributes:
      left, right: the ends of the stretch.
      start: where the first position begins.
      hop: from one position to the next.
      positions: n.
    """

    left: float
    right: float
    start: float
    hop: float
    positions: int

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """(percent of the stretch, time) of about six round times."""
        width = self.right - self.left
        times = [at for at in time_ticks(self.left + 0.95 * width) if at >= self.left]
        close = len(times) > 1 and times[1] - times[0] < 1
        return [(100 * (at - self.left) / width, clock(at, tenths=close)) for at in times]


@dataclasses.dataclass(frozen=True)
class Lane:
    """Attention of one modality: T looks over n positions, `picks` as (position, look), `shares` of this modality."""

    modality: str
    name: str
    looks: int
    heat: str
    picks: list[tuple[int, int]]
    shares: list[float]


@dataclasses.dataclass(frozen=True)
class Prior:
    """Where a skimmer wanted to look, by what it had heard, or seen of a few positions, and nothing else.

    Attributes:
      outline: SVG path of the area below the curve; x in seconds, y from 1, nothing, up to 0, most.
      chosen: where it then looked, seconds.
    """

    outline: str
    chosen: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Moment:
    """One look, or one clip of a clip model.

    Attributes:
      number: from 1.
      seconds: the centre of its clip.
      image: what was seen or heard, as a URI; "" if that is not there.
      weight: share of the answer that was read here; None if it is shown elsewhere.
      inside: whether inside the true action; None if that is unknown.
    """

    number: int
    seconds: float
    image: str
    weight: float | None = None
    inside: bool | None = None

    @property
    def begin(self) -> float:
        """Where a player begins, seconds."""
        return round(max(self.seconds - EARLY, 0.0), 3)


def axis(times: np.ndarray, length: float | None = None) -> Axis:
    """The axis of positions with centres at `times` (n,); of a whole video, if its length in seconds is known."""
    n = len(times)
    hop = float(np.median(np.diff(times))) if n > 1 else 2 * float(times[0])
    start = float(times[0]) - hop / 2
    left, right = (start, start + n * hop) if length is None else (0.0, length)
    return Axis(left, right, start, hop, n)


def lane(modality: str, weights: np.ndarray, picks: list[tuple[int, int]], shares: np.ndarray) -> Lane:
    """Attention of one modality in one video.

    Args:
      modality: "image" or "audio".
      weights: (T, n), a row for each look.
      picks: (position, look), what each look chose.
      shares: (T,), of this modality in what each look read.
    """
    weights = weights.astype(np.float32)
    strength = np.sqrt(weights / np.maximum(weights.max(axis=1, keepdims=True), 1e-6))
    pixels = np.empty((*weights.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = COLOURS[modality], (255 * strength).round()
    heat = png(Image.fromarray(pixels))
    return Lane(modality, NAMES[modality], len(weights), heat, picks, shares.astype(float).tolist())


def prior(place: Axis, attention: np.ndarray, chosen: Sequence[float], most: int, *, log: bool = True) -> Prior:
    """The curve of how much each position called for a look, (n,).

    Args:
      place: of the positions.
      attention: of these.
      chosen: see `Prior`.
      most: points of the curve; where there are more positions, each point is the highest of several.
      log: whether the scale is logarithmic.
    """
    height = attention / max(attention.max(), 1e-9)
    height = 1 - np.log(np.maximum(height, LEAST)) / np.log(LEAST) if log else height
    step = -(-len(height) // most)
    peaks = [float(height[i : i + step].max()) for i in range(0, len(height), step)]
    xs = place.start + place.hop * (step * (np.arange(len(peaks)) + 0.5))
    points = "".join(f"L{x:.5g} {1 - y:.3f}" for x, y in zip(xs, peaks, strict=True))
    return Prior(f"M{xs[0]:.5g} 1{points}L{xs[-1]:.5g} 1Z", tuple(chosen))


def evidence_chart(names: Sequence[str], scores: np.ndarray, what: str = "look") -> Chart | None:
    """Scores of some classes after each look, of the first few; None if there are no looks.

    Args:
      names: of the classes, c of them.
      scores: softmax, (T, c).
      what: was taken in, one after another, T of them.
    """
    shapes = [name for name in SHAPES if name != "none"] if len(scores) <= MOST_MARKS else ["none"] * MOST_CURVES
    curves = [
        Series(name, [(t + 1, 100 * float(p)) for t, p in enumerate(column)], f"class{i}", shapes[i])
        for i, (name, column) in enumerate(zip(names[:MOST_CURVES], scores.T, strict=False))
    ]
    return chart(f"Probability after each {what}", f"{what}s", "probability, %", curves, percent=True)


def sources(path: Path, folder: Path) -> list[str]:
    """Where a page in a folder finds a video: on the way from there, which tells least of the machine, or beside it."""
    quoted = lambda x: urllib.parse.quote(x.encode("utf-8", "surrogateescape"))
    try:
        way = quoted(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # none leads to another drive
        way = path.absolute().as_uri()
    return list(dict.fromkeys((way, quoted(path.name))))


def spectrogram(mel: np.ndarray) -> str:
    """log-mel (t, bands) -> picture with time to the right and pitch upwards: black, the sound's colour, white."""
    level = np.clip((mel.T[::-1] - QUIET) / (LOUD - QUIET), 0, 1)
    picture = Image.fromarray((63 * level).round().astype(np.uint8)).convert("L")
    stops, colours = (0, 0.6 * 63, 63), np.array([(12, 12, 12), COLOURS["audio"], (255, 255, 255)])
    palette = np.stack([np.interp(np.arange(64), stops, colours[:, i]) for i in range(3)], -1)
    picture.putpalette(palette.round().astype(np.uint8).tobytes())
    return png(picture)


def time_ticks(seconds: float) -> list[float]:
    """About six round times from 0, in seconds, of short videos in tenths of them, of long ones in whole minutes."""
    unit = 60.0 if seconds > 300 else 1.0
    step = max(nice_step(seconds / unit / 6), 0.1) * unit
    return np.arange(0, seconds, step).tolist()


def png(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return uri("png", buffer.getvalue())


def uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
