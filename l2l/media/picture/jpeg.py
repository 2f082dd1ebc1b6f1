"""Pictures as JPEG, and back."""

import io
import os
import warnings

import av
import numpy as np
from PIL import Image

from l2l.media.container import MediaError
from l2l.media.picture.upright import Display, Upright
from l2l.media.policy import ClipPolicy

LONGEST = 65_500  # pixels, JPEG's limit


def encode_jpeg(rgb: np.ndarray, quality: int) -> bytes:
    """uint8 (h, w, 3) -> JPEG with 4:2:0 colour."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode_jpeg(data: bytes) -> np.ndarray:
    """JPEG -> uint8 (h, w, 3); the same values as `tf.io.decode_jpeg(dct_method="INTEGER_ACCURATE")`."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB"))


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(width, height) that a JPEG says it has, pixels; decodes nothing. Raises OSError or ValueError if it is none."""
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return image.size
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


class Encoder:
    """Frame -> JPEG of the size and orientation that the video's first frame settles."""

    def __init__(self, path: str | os.PathLike, policy: ClipPolicy, display: Display) -> None:
        if display.unread:
            reason = f"its colours are stored as {display.unread}, which is not read: encode it anew as BT.709"
            raise MediaError("undecodable", path, reason)
        self.upright, self.quality = Upright(display, policy.short_side, policy.width), policy.quality
        if max(self.upright.width, self.upright.height) > LONGEST:
            raise MediaError("undecodable", path, f"its frames of {display.width} x {display.height} are too narrow")

    def __call__(self, frame: av.VideoFrame) -> bytes:
        return encode_jpeg(self.upright(frame), self.quality)
