"""Frames: from stored pixels to what the trunks expect."""

import numpy as np

QUIET = 32  # of 32768, -60 dB: a track without a louder sample is none


def crop_side(crop: int, resize: int, short_side: int) -> int:
    """Pixels of a stored image that become the model's `crop` pixels, when images count as `resize` pixels high.

    Raises:
      ValueError: the stored images are smaller than what the model looks at.
    """
    if short_side < crop:
        raise ValueError(
            f"the shards' images have a short side of {short_side} pixels, data.crop={crop} needs at least as many: "
            f"prepare them with --short_side={max(resize, crop)}"
        )
    return round(crop * short_side / resize)


def centre_crop(image: np.ndarray, side: int) -> np.ndarray:
    """(h, w, c) -> the square (side, side, c) in its middle."""
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def silent(wave: np.ndarray) -> bool:
    """Whether there is nothing in a stretch of sound, int16 (n,)."""
    return bool(np.abs(wave.astype(np.int32)).max(initial=0) <= QUIET)
