"""HDR and wide colours shown on an ordinary (SDR, BT.709) display.

One curve for all: light of an HDR film is put on the scale on which its reference white, 203 cd/m2 (ITU-R BT.2408),
is 1; brought to the colours of BT.709 (ITU-R BT.2087); compressed by the EETF of ITU-R BT.2390 from a display of
1000 cd/m2 to one of 203 cd/m2, by the largest of red, green and blue, so that hues stay; and encoded for the display
that SDR films are made for (ITU-R BT.1886, gamma 2.4). Up to 88 cd/m2 the curve changes nothing; reference white
itself comes out as 230 of 255, which leaves the rest to what is brighter. Colours that BT.709 does not have are
clipped.
"""

import dataclasses
import functools
from typing import TypeVar

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc

WHITE = 203.0  # cd/m2, of a white page in an HDR film
PEAK = 1000.0  # cd/m2, of the display that HDR films are made for
GAMMA = 2.4  # of an SDR display
LEVELS = 1 << 16
Values = TypeVar("Values", float, np.ndarray)

KINDS: dict[int, str] = {ColorTrc.ARIB_STD_B67: "HLG", ColorTrc.SMPTE2084: "PQ"}  # of HDR

# Linear RGB -> linear RGB of BT.709; rows are outputs.
TO_BT709: dict[int, list[list[float]]] = {
    ColorPrimaries.BT2020: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    ColorPrimaries.SMPTE432: [[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]],
    ColorPrimaries.BT709: np.eye(3).tolist(),
}
LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)  # luminance of BT.2020's red, green and blue


@dataclasses.dataclass(frozen=True)
class Tone:
    """RGB as stored, uint16 (h, w, 3), -> RGB of an SDR display, uint8 (h, w, 3).

    Attributes:
      kind: "HLG" or "PQ"; "" where only the colours are wide.
      primaries: a key of TO_BT709.
    """

    kind: str
    primaries: int

    @property
    def note(self) -> str:
        return f"HDR ({self.kind}): tone-mapped to SDR" if self.kind else "wide colours: mapped to those of BT.709"

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        light = decoding(self.kind)[rgb]
        if self.kind == "HLG":
            light *= opening()[(light @ LUMA * (LEVELS - 1)).astype(np.uint16)][..., None]
        light = light @ np.array(TO_BT709[self.primaries], np.float32).T
        if self.kind:
            red, green, blue = np.moveaxis(light, -1, 0)
            most = np.maximum(np.maximum(red, green), blue)
            light *= np.interp(most, *compression()).astype(np.float32)[..., None]
        return encoding()[(light.clip(0, 1) * (LEVELS - 1) + 0.5).astype(np.uint16)]


def tone_of(frame: av.VideoFrame) -> Tone | None:
    """What brings a video's light to an SDR display; None where it is made for one."""
    kind = KINDS.get(frame.color_trc, "")
    primaries = frame.color_primaries
    if not kind and primaries not in (ColorPrimaries.BT2020, ColorPrimaries.SMPTE432):
        return None
    primaries = primaries if primaries in TO_BT709 else ColorPrimaries.BT2020
    return Tone(kind, primaries)


@functools.cache
def decoding(kind: str) -> np.ndarray:
    """Stored value -> light, 1 for reference white; of HLG what the camera saw, 1 at most: float32 (LEVELS,)."""
    stored = np.linspace(0, 1, LEVELS)
    light = {"HLG": hlg_scene, "PQ": lambda x: pq_light(x) / WHITE, "": lambda x: x**GAMMA}[kind](stored)
    return light.astype(np.float32)


@functools.cache
def opening() -> np.ndarray:
    """Luminance that the camera saw -> what its light is multiplied by on a display of PEAK: float32 (LEVELS,).

    The OOTF of HLG, ITU-R BT.2100, with a system gamma of 1.2.
    """
    return (PEAK / WHITE * np.linspace(0, 1, LEVELS) ** 0.2).astype(np.float32)


@functools.cache
def compression() -> tuple[np.ndarray, np.ndarray]:
    """(light, share of it that is left), ascending; the same share beyond the first and the last."""
    light = np.geomspace(0.25, 4 * pq_light(1.0) / WHITE, 1024)
    return light, compressed(light) / light


@functools.cache
def encoding() -> np.ndarray:
    """Light in steps of 1 / (LEVELS - 1) -> value of an SDR film, uint8 (LEVELS,)."""
    return np.rint(255 * np.linspace(0, 1, LEVELS) ** (1 / GAMMA)).astype(np.uint8)


def hlg_scene(stored: np.ndarray) -> np.ndarray:
    """The inverse of HLG's OETF, ITU-R BT.2100: 0..1 -> 0..1."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(stored <= 0.5, stored**2 / 3, (np.exp((stored - c) / a) + b) / 12)


M1, M2, C1, C2, C3 = 1305 / 8192, 2523 / 32, 107 / 128, 2413 / 128, 2392 / 128  # of SMPTE ST 2084


def pq_light(stored: Values) -> Values:
    """The EOTF of SMPTE ST 2084: 0..1 -> cd/m2."""
    x = stored ** (1 / M2)
    return 10_000 * (np.maximum(x - C1, 0) / (C2 - C3 * x)) ** (1 / M1)


def pq_stored(light: Values) -> Values:
    """Its inverse: cd/m2 -> 0..1."""
    x = (light / 10_000) ** M1
    return ((C1 + C2 * x) / (1 + C3 * x)) ** M2


def compressed(light: np.ndarray) -> np.ndarray:
    """The EETF of ITU-R BT.2390 for black at 0: light up to PEAK -> up to WHITE, both over WHITE; above, WHITE."""
    top = pq_stored(PEAK)
    most, x = pq_stored(WHITE) / top, np.minimum(pq_stored(light * WHITE) / top, 1)
    knee = 1.5 * most - 0.5
    t = np.maximum((x - knee) / (1 - knee), 0)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    return pq_light(np.where(x < knee, x, bent) * top) / WHITE
