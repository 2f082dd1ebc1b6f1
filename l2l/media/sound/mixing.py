"""Sound of any layout, mixed down to mono where the resampler does not do it, or not well."""

import functools
from collections.abc import Iterable, Iterator

import av
import numpy as np

from l2l.media.sound.steady import kind_of

LOUD = 16.0  # times full scale, beyond which a value is no sound
QUIET = 1e-6  # mean square, -60 dB: below it nothing is concluded
CANCELS, MIXES = 0.01, 0.1  # share of the channels' power, below which their mix is lost; above which it is back
LASTS = 0.5  # seconds after which what was heard counts half
PLANES = 8  # PyAV reads fewer planes of a frame safely
GUESSED = 8  # channels without places, up to which the resampler guesses them
MOST = 64  # channels that it takes
FAST = 3_000_000  # Hz, beyond which it takes much memory; no sound has it

# Names of channels in the order in which all layouts of known places have them.
_ORDER = {channel.name: i for i, channel in enumerate(av.AudioLayout("22.2").channels)}
_LOW = {"LFE", "LFE2", "UNSD"}  # of little to hear: low tones alone, what is declared unused


def settle(context: av.AudioCodecContext) -> tuple[int, tuple[str, ...]]:
    """Sees to it that a decoder's channels are in a usual order, or in none, before it is opened.

    PyAV frees an unusual order once for the decoder and once for every frame, which ends the process.

    Returns:
      How many channels there are; and, where the file puts them in an order of its own, their names.
    """
    layout = context.layout
    name, names = layout.name, tuple(channel.name for channel in layout.channels)
    if not names or context.is_open:
        return len(names), ()
    own = "(" in name and [*names] != sorted({*names} & {*_ORDER}, key=_ORDER.__getitem__)
    context.layout = f"{len(names)} channels" if own else "+".join(names) if "(" in name else name
    return len(names), names if own else ()


def audible(frames: Iterable[av.AudioFrame]) -> Iterator[bool]:
    """Whether any sample of each frame is not 0, as 16 bits."""
    resampler, kind = None, None
    for frame in frames:
        if resampler is None or kind_of(frame) != kind:
            resampler, kind = av.AudioResampler("s16", frame.layout, frame.sample_rate), kind_of(frame)
        yield any(piece.to_ndarray().any() for piece in resampler.resample(_unstamped(frame)))


class Mixer:
    """Frames of one format -> frames that the resampler mixes down well: as they are, or mono already.

    It is changed no more than necessary: unknown channels, values that are no sound, channels that cancel out.

    Attributes:
      plain: whether frames are left as they are.

    Args:
      frame: one of them.
      names: of their channels, where their layout does not tell them.
      notes: gets what is changed, a line each.

    Raises:
      ValueError: there are more channels than MOST, or more samples a second than FAST.
    """

    def __init__(self, frame: av.AudioFrame, names: tuple[str, ...], notes: list[str]) -> None:
        self.notes, self.rate, self.count = notes, frame.sample_rate, frame.layout.nb_channels
        self.real = frame.format.name.startswith(("flt", "dbl"))
        if self.count > MOST or self.rate > FAST:
            raise ValueError(f"{self.count} channels of {self.rate:,} Hz are more than can be mixed")
        unplaced = frame.layout.name == f"{len(names)} channels"  # else a decoder knows better than the file
        self.weights, how = weights(frame.layout.name, names if unplaced else ())
        self.plain = not how
        self.only: int | None = None  # the one channel that is heard
        self._note(how)
        self.power, self.mixed = np.zeros(self.count), 0.0
        kind = "dbl" if frame.format.name.startswith("dbl") else "flt"
        self.opened = av.AudioResampler(kind + "p" * (self.count < PLANES), frame.layout, self.rate)

    def __call__(self, frame: av.AudioFrame) -> av.AudioFrame:
        if self.plain and self.count == 1 and not self.real:
            return frame
        wave = self._checked(self._wave(frame))
        if self.count > 1:
            self._judge(wave)
        if self.plain:
            return frame
        mono = wave[self.only] if self.only is not None else np.einsum("c,cn->n", self.weights, wave)
        made = av.AudioFrame.from_ndarray(mono.astype(np.float32)[None], format="flt", layout="mono")
        made.sample_rate = self.rate
        return made

    def _wave(self, frame: av.AudioFrame) -> np.ndarray:
        """float (channels, n)."""
        (opened,) = self.opened.resample(_unstamped(frame))
        wave = opened.to_ndarray()
        return wave if len(wave) == self.count else wave.reshape(-1, self.count).T

    def _checked(self, wave: np.ndarray) -> np.ndarray:
        """The same without what is no sound; from the first such value on, the frames are mixed here."""
        if not self.real or (wave.min() > -LOUD and wave.max() < LOUD):  # not so either where one is no number
            return wave
        self.plain, numbers = False, np.isfinite(wave)
        self._note("sound beyond full scale: clipped" if numbers.all() else "sound that is no number: taken as silence")
        return np.where(numbers, np.clip(wave, -1, 1), 0)

    def _judge(self, wave: np.ndarray) -> None:
        """Whether channels (c, n) cancel out, by what was heard of late; once they did, they are mixed here."""
        wave = wave - wave.mean(1, keepdims=True)
        share = 1 - 0.5 ** (wave.shape[1] / self.rate / LASTS)
        mono = np.einsum("c,cn->n", self.weights, wave)
        self.power += (np.einsum("cn,cn->c", wave, wave) / wave.shape[1] - self.power) * share
        self.mixed += (float(np.einsum("n,n->", mono, mono)) / wave.shape[1] - self.mixed) * share
        power = self.power * self.weights / self.weights.sum()
        if power.sum() < QUIET:
            return
        if self.only is None and self.mixed < CANCELS * power.sum():
            self.plain, self.only = False, int(np.argmax(power > power.max() / 2))
            self._note(f"sound channels cancel out: channel {self.only + 1} of {self.count} alone is heard")
        elif self.mixed > MIXES * power.sum():
            self.only = None

    def _note(self, line: str) -> None:
        if line and line not in self.notes:
            self.notes.append(line)


@functools.lru_cache(maxsize=64)
def weights(layout: str, names: tuple[str, ...] = ()) -> tuple[np.ndarray, str]:
    """How much of each channel the mono mix holds, float32 (channels,), as the resampler mixes where it can.

    Args:
      layout: its name.
      names: of its channels, where the layout does not know them.

    Returns:
      The weights; and, where the resampler is not to mix by itself, what is done instead.
    """
    if names and len({*names} & {*_ORDER}) == len(names):
        usual = sorted(names, key=_ORDER.__getitem__)
        found = _resampler_weights("+".join(usual))
        if found is not None:
            return found[[usual.index(name) for name in names]], f"sound channels in the order {' '.join(names)}"
    known = tuple(channel.name for channel in av.AudioLayout(layout).channels)
    guessed = layout == f"{len(known)} channels"
    found = None if names or (guessed and len(known) > GUESSED) else _resampler_weights(layout)
    names = names or known
    if found is not None:
        lost = (found == 0) & [name not in _LOW and not guessed for name in names]
        mended = np.where(lost, found[found > 0].min(), found)
        return (mended / mended.sum(), f"sound of {layout}: all channels mixed") if lost.any() else (found, "")
    if "AMBI0" in names:  # it has what comes from anywhere; others may not turn with the head, and be no part of it
        parts = np.array([2 if name == "AMBI0" else not name.startswith("AMBI") for name in names], np.float32)
        how = "ambisonic sound: what comes from all around"
    else:
        parts = np.array([name not in _LOW for name in names], np.float32)
        how = f"sound of {len(names)} channels in no usual layout: their mean"
    parts = parts if parts.any() else np.ones(len(names), np.float32)
    return parts / parts.sum(), how


def _resampler_weights(layout: str) -> np.ndarray | None:
    """The same of a layout that the resampler knows, else None: each channel sounds for one sample."""
    channels = av.AudioLayout(layout).nb_channels
    each = np.eye(channels, dtype=np.float32).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(each, format="flt", layout=layout)
    frame.sample_rate = 48_000
    resampler = av.AudioResampler("s16", "mono", 48_000)
    try:
        pieces = [piece.to_ndarray()[0] for x in (frame, None) for piece in resampler.resample(x)]
    except (av.FFmpegError, ValueError):
        return None
    return np.concatenate(pieces).astype(np.float32) / (1 << 15)


def _unstamped(frame: av.AudioFrame) -> av.AudioFrame:
    frame.pts = None  # filters insist on stamps without the least jitter
    return frame
