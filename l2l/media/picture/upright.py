"""Decoded frames as a player shows them: with square pixels, upright, in RGB of ordinary brightness.

Where what a file says of them makes no sense, it is set aside and a note says so.
"""

import dataclasses
import math
import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.sidedata.sidedata import SideData, Type
from av.video.reformatter import ColorPrimaries, Colorspace, Interpolation, VideoReformatter

from l2l.media.picture.tone import Tone, tone_of

OBLONG = 8  # times as wide as high that a pixel may be, or as high as wide; beyond it the file is not believed
SLANT = 1.0  # degrees that a display matrix may stray from a quarter turn
KINDS = 64  # of side data, more than FFmpeg knows

# How red, green and blue are mixed before they are stored, as ITU-T H.273 numbers it.
UNSAID, CONSTANT, CHROMA, CHROMA_CONSTANT = 2, 10, 12, 13
UNREAD = {8: "YCgCo", 11: "Y'D'zD'x", 14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro"}


@dataclasses.dataclass(frozen=True)
class Display:
    """How the frames of a video are shown; what its first frame and its file say.

    Attributes:
      width, height: of a frame with square pixels, before it is turned.
      mirrored: whether left and right change places, before it is turned.
      turns: quarters, anticlockwise.
      tone: how its light becomes that of ordinary films; None where it is.
      mixture: of red, green and blue in what is stored; None for what the frames say themselves.
      unread: the name of that mixture where it cannot be undone; "" where it can.
      notes: what has to be known of it, a line each.
    """

    width: int
    height: int
    mirrored: bool = False
    turns: int = 0
    tone: Tone | None = None
    mixture: Colorspace | None = None
    unread: str = ""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as shown, pixels."""
        return (self.height, self.width) if self.turns % 2 else (self.width, self.height)


def display_of(first: av.VideoFrame, pixel: Fraction | None) -> Display:
    """What is known of a video once its first frame is there.

    Args:
      first: the frame.
      pixel: width of a pixel over its height, see `av.VideoStream.sample_aspect_ratio`; None where it is not known.
    """
    notes, (mirrored, turned) = [], orientation(first)
    if pixel and not 1 / OBLONG <= pixel <= OBLONG:
        notes.append(f"its pixels would be {pixel.numerator}:{pixel.denominator}, width to height: taken as square")
        pixel = None
    if turned is None:
        notes.append("its display matrix leaves no picture: shown as stored")
        turned = 0.0
    quarters = round(turned / 90)
    if abs(turned - quarters * 90) > SLANT:
        said = f"its display matrix turns it by {turned:.0f} degrees (anticlockwise)"
        notes.append(f"{said}: turned by {quarters * 90}")
    tone = tone_of(first)
    notes += [tone.note] if tone else []
    mixture = mixture_of(first, tone)
    if first.colorspace in (CONSTANT, CHROMA_CONSTANT):
        notes.append("its colours are stored with constant luminance: read as those without, which is nearly the same")
    width = max(round(first.width * (pixel or 1)), 1)  # a player changes the width, whatever the pixels' shape
    unread = UNREAD.get(first.colorspace, "")
    return Display(width, first.height, mirrored, quarters % 4, tone, mixture, unread, tuple(notes))


def mixture_of(first: av.VideoFrame, tone: Tone | None) -> Colorspace | None:
    """What swscale has to be told of the mixture of colours, which it does not see or does not know by that name."""
    if first.colorspace in (CONSTANT, CHROMA, CHROMA_CONSTANT) or (first.colorspace == UNSAID and tone):
        return Colorspace.BT2020 if tone and tone.primaries == ColorPrimaries.BT2020 else Colorspace.ITU709
    return None


def orientation(frame: av.VideoFrame) -> tuple[bool, float | None]:
    """What a frame's display matrix says: whether left and right change places, and how far it is turned after that.

    Where both the file and its bitstream have a matrix, the decoder has chosen the latter's, as FFmpeg's tools do.

    Returns:
      (mirrored, degrees anticlockwise, None if the matrix makes no picture).
    """
    found = known_side_data(frame).get("DISPLAYMATRIX")
    if not isinstance(found, SideData):
        return False, 0.0
    # 16.16 fixed point; (x, y) @ [[a, b], [c, d]] is where a point is shown, y going down.
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(found))
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not (across and down):
        return False, None
    mirrored = a * d < b * c
    x, y = (-a, -b) if mirrored else (a, b)
    return mirrored, -math.degrees(math.atan2(y / down, x / across))


def known_side_data(frame: av.VideoFrame) -> Mapping[str, object]:
    """What a frame carries besides its picture, without the kinds that PyAV has no name for: it fails on them."""
    try:
        return frame.side_data
    except ValueError:
        graph, named = Graph(), {kind.value for kind in Type}
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        unnamed = (str(kind) for kind in range(KINDS) if kind not in named)
        drops = [graph.add("sidedata", mode="delete", type=kind) for kind in unnamed]
        graph.link_nodes(source, *drops, graph.add("buffersink")).configure()
        graph.push(frame)
        return graph.pull().side_data


class Upright:
    """Frame -> upright RGB of one size.

    Attributes:
      width, height: what frames are scaled to before they are turned, pixels.

    Args:
      display: how they are shown.
      short_side: of the pictures, pixels.
      width: if given, they are `short_side` high and this wide instead.
    """

    def __init__(self, display: Display, short_side: int, width: int | None) -> None:
        self.display = display
        scale = short_side / min(display.size)
        self.width, self.height = round(display.width * scale), round(display.height * scale)
        if width:
            upright = width, short_side
            self.width, self.height = upright[::-1] if display.turns % 2 else upright
        by = Interpolation.AREA if scale < 1 else Interpolation.BICUBIC
        self.how: dict[str, Any] = {
            "format": "rgb24",
            "interpolation": by,
            "src_colorspace": display.mixture,
            "threads": 1,
        }
        if display.tone:  # whose steep curve would show what swscale rounds otherwise
            self.how |= {"format": "rgb48le", "interpolation": by | Interpolation.ACCURATE_RND}
        self.reformatters = VideoReformatter(), VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """uint8 (h, w, 3); swscale scales the fields of an interlaced frame on their own and keeps both."""
        fields = 1 + frame.interlaced_frame
        reformat = self.reformatters[fields - 1].reformat
        rgb: np.ndarray = reformat(frame, width=self.width, height=self.height * fields, **self.how).to_ndarray()
        if fields == 2:
            rgb = ((rgb[::2].astype(np.uint32) + rgb[1::2] + 1) // 2).astype(rgb.dtype)
        rgb = self.display.tone(rgb) if self.display.tone else rgb
        return np.rot90(rgb[:, ::-1] if self.display.mirrored else rgb, self.display.turns)
