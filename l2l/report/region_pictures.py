"""Pictures of where a skimmer looked closer: bright where it attended, with the region that it chose framed."""

import io
import os

import numpy as np
from PIL import Image, ImageDraw

from l2l.inference.result import Result
from l2l.media.container import told
from l2l.media.decoding.asking import Asking
from l2l.media.policy import USUAL, Reading
from l2l.report.video_parts import Moment, uri

SHORT_SIDE = 192  # of a picture, pixels
DARK = 0.35  # brightness of what got no attention
FRAME = (255, 220, 0)
QUALITY = 85


def gallery(decoder: Asking, result: Result, video: str | os.PathLike, reading: Reading = USUAL) -> list[Moment]:
    """A picture of every look, in their order; none of a result that did not look closer.

    Raises:
      MediaError: the file cannot be used.
    """
    if result.closer is None:
        return []
    times = [moment.at for moment in result.moments]
    jpegs = decoder.pictures(video, times, short_side=SHORT_SIDE, reading=reading)
    looks = zip(result.moments, jpegs, result.closer.attention, strict=True)
    with told(video):
        pictures = [drawn(jpeg, result.closer.boxes, attention, m.region) for m, jpeg, attention in looks]
    numbered = enumerate(zip(result.moments, pictures, strict=True), start=1)
    return [Moment(i, m.at, uri("jpeg", picture), m.weight) for i, (m, picture) in numbered]


def drawn(jpeg: bytes, boxes: np.ndarray, attention: np.ndarray, chosen: tuple[float, float, float] | None) -> bytes:
    """One picture as JPEG.

    Args:
      jpeg: the picture, whose middle square has the regions.
      boxes: float (r, 3), left, top and side of every region, see `result.Closer`.
      attention: (r,).
      chosen: the box that is framed, if one is.
    """
    picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
    pixels = np.asarray(picture, np.float32)
    side = min(picture.size)
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    light = np.full(pixels.shape[:2], DARK, np.float32)
    light[top : top + side, left : left + side] += (1 - DARK) * heat(boxes, attention, side)
    picture = Image.fromarray((pixels * light[..., None]).astype(np.uint8))
    if chosen is not None:
        x, y, width = (side * share for share in chosen)
        frame = (left + x, top + y, left + x + width - 1, top + y + width - 1)
        ImageDraw.Draw(picture).rectangle(frame, outline=FRAME, width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def heat(boxes: np.ndarray, attention: np.ndarray, side: int) -> np.ndarray:
    """Attention of the regions that cover each pixel, the mean of them, 0..1 of the largest: float32 (side, side)."""
    total, covered = np.zeros((2, side, side), np.float32)
    for (left, top, width), weight in zip(np.rint(boxes * side).astype(int), attention, strict=True):
        inside = np.s_[top : top + width, left : left + width]
        total[inside] += weight
        covered[inside] += 1
    mean = total / np.maximum(covered, 1)
    return mean / max(float(mean.max()), 1e-9)
