"""Decoded frames as upright RGB pictures."""

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter


class Upright:
    """Frame -> upright RGB of the size and orientation that the video's first frame settles.

    Attributes:
      width, height: what frames are scaled to before they are turned, pixels.

    Args:
      first: the video's first frame.
      short_side: of the pictures, pixels.
      width: if given, they are `short_side` high and this wide instead.
    """

    def __init__(self, first: av.VideoFrame, short_side: int, width: int | None) -> None:
        self.turns = round(first.rotation / 90) % 4
        scale = short_side / min(first.width, first.height)
        self.width, self.height = round(first.width * scale), round(first.height * scale)
        if width:
            upright = width, short_side
            self.width, self.height = upright[::-1] if self.turns % 2 else upright
        self.how = Interpolation.AREA if scale < 1 else Interpolation.BICUBIC
        self.reformatters = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 (h, w, 3); swscale scales the fields of an interlaced frame on their own and keeps both."""
        fields, size = 1 + frame.interlaced_frame, {"width": self.width, "height": self.height}
        size["height"] *= fields
        reformat = self.reformatters[fields - 1].reformat
        rgb = reformat(frame, **size, format="rgb24", interpolation=self.how, threads=1).to_ndarray()
        if fields == 2:
            rgb = ((rgb[::2].astype(np.uint16) + rgb[1::2] + 1) // 2).astype(np.uint8)
        return np.rot90(rgb, self.turns)
