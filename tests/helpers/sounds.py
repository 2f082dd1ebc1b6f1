"""Makes small films with several or unusual sound tracks."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from l2l.media.policy import AUDIO_RATE
from l2l.media.sound.track import Track, track_from
from tests.helpers.videos import clicking, numbered

CLICKS = (0.5, 1.3, 1.8)  # seconds
SECONDS = 2.0
PIECE = 960  # samples that are encoded at once
FULL = 0.9 * 32_768  # how loud a click of `clicks_of` is
OPUS = {"codec": "libopus", "rate": 48_000, "form": "flt"}


@dataclasses.dataclass
class Sounding:
    """One sound track of a film.

    Attributes:
      wave: float (channels, n).
      codec, rate, layout, options: of the encoder.
      form: of the encoder's samples.
      disposition: flags of the stream; None leaves them to the writer.
      stamp: (number of a packet, its time in seconds) -> the time it is given, None where it is dropped.
      tags: of the stream.
    """

    wave: np.ndarray
    codec: str = "pcm_s16le"
    rate: int = 16_000
    layout: str = "mono"
    form: str = "s16"
    options: dict[str, str] = dataclasses.field(default_factory=dict)
    disposition: Disposition | None = None
    stamp: Callable[[int, float], float | None] | None = None
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


def clicks_of(
    weights: Sequence[float] = (1.0,), seconds: float = SECONDS, at: Sequence[float] = CLICKS, rate: int = 16_000
) -> np.ndarray:
    """float32 (channels, n): clicks, so loud in each channel."""
    return np.outer(np.asarray(weights, np.float32), clicking(seconds, at, rate))


def write_film(path: str | Path, *tracks: Sounding, seconds: float = SECONDS) -> Path:
    """Writes 10 frames a second, each with its number, and some sound."""
    codec, rate = ("mpeg2video", 25) if str(path).endswith(".mxf") else ("mpeg4", 10)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = 96, 72, "yuv420p"
        streams = [_stream(container, track) for track in tracks]
        for i in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(numbered(i, (96, 72)), format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, stream in zip(tracks, streams, strict=True):
            for i, packet in enumerate(_packets(track, stream)):
                at = track.stamp(i, float(packet.pts * packet.time_base)) if track.stamp else None
                if track.stamp and at is None:
                    continue
                if at is not None:
                    packet.pts = packet.dts = round(at / packet.time_base)
                container.mux(packet)
    return Path(path)


def frames_of(wave: np.ndarray, rate: int, size: int, layout: str, form: str, times: Sequence[float]) -> list[Any]:
    """Frames of a wave (channels, n) as a decoder gives them, `size` samples each, at these times."""
    frames = []
    for i, at in enumerate(times):
        piece = np.ascontiguousarray(wave[:, i * size : (i + 1) * size])
        if not form.endswith("p"):
            piece = np.ascontiguousarray(piece.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(piece, format=form, layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, round(at * 1_000_000), Fraction(1, 1_000_000)
        frames.append(frame)
    return frames


def stamped(times, size=320, rate=16_000):
    """Frames of 20 ms, each with a number, one value all over."""
    wave = np.concatenate([np.full((1, size), 100 + i, np.int16) for i in range(len(times))], 1)
    return frames_of(wave, rate, size, "mono", "s16", times)


def of_frames(frames, seconds=SECONDS, origin=0.0) -> tuple[np.ndarray, Track]:
    """int16 (n,), the first seconds of what frames sound like; and their track."""
    track = track_from(iter(frames), origin, seconds)
    return track.window(0, round(seconds * AUDIO_RATE))[0], track


def jitter(spread: float):
    """Time stamps that stray by up to so many seconds, still in order."""
    draw, last = np.random.default_rng(0), -1.0

    def stamp(i: int, at: float) -> float:
        nonlocal last
        last = max(at + draw.uniform(-spread, spread), last + 0.002)
        return last

    return stamp


def _stream(container: av.container.OutputContainer, track: Sounding) -> Any:
    stream = container.add_stream(track.codec, rate=track.rate, layout=track.layout, options=dict(track.options))
    stream.format = track.form
    stream.metadata.update(track.tags)
    if track.disposition is not None:
        stream.disposition = track.disposition
    return stream


def _packets(track: Sounding, stream: Any) -> Iterator[av.Packet]:
    for at in range(0, track.wave.shape[1], PIECE):
        (frame,) = frames_of(track.wave[:, at : at + PIECE], track.rate, PIECE, track.layout, "flt", [at / track.rate])
        frame.pts, frame.time_base = at, Fraction(1, track.rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)
