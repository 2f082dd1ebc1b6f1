"""Makes small real video files for tests: H.264 and AAC in mp4 unless asked otherwise.

Every frame carries its number as eight black or white stripes, which survive compression and scaling.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from l2l.media import video as media
from l2l.media.picture.jpeg import decode_jpeg
from l2l.media.policy import AUDIO_RATE
from l2l.media.tally import Decoded

TICKS = 90_000  # time stamps per second


def in_a_thread(function: Callable[..., Path]) -> Callable[..., Path]:
    """Runs it in a thread that ends with it.

    For root, the encoder of AV1 makes the thread that calls it a real-time one, and so all that this one starts later.
    """

    @functools.wraps(function)
    def run(*args: Any, **how: Any) -> Path:
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(function, *args, **how).result()

    return run


@in_a_thread
def write_video(
    path: str | Path,
    *,
    seconds: float = 1.0,
    fps: float = 15,
    size: tuple[int, int] = (96, 72),
    times: Sequence[float] | None = None,
    audio: bool = True,
    clicks: Sequence[float] = (),
    audio_start: float = 0.0,
    audio_stop: float | None = None,
    rate: int = 44_100,
    layout: str = "stereo",
    audio_codec: str = "aac",
    sample_format: str = "fltp",
    audio_options: dict[str, str] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Writes a video file.

    Args:
      path: the file; its suffix says the container.
      seconds: its length.
      fps: frames per second.
      size: width and height, pixels.
      times: presentation times of the frames, seconds, for a variable rate; None for `seconds * fps` even ones.
      audio: False leaves the sound stream out.
      clicks: seconds at which a burst of 10 ms begins; without any the track is silent.
      audio_start, audio_stop: presentation time of the first sample and of the end, seconds; None for the video's end.
      rate, layout, audio_codec, sample_format, audio_options: of the sound and its encoder.
      codec, pix_fmt: of the picture.
      options: of the picture's encoder.
      container_options: of what writes the container.
    """
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001), options=options or {})
        video.width, video.height, video.pix_fmt = *size, pix_fmt
        if times is not None:
            video.codec_context.time_base = Fraction(1, TICKS)
        if audio:
            sound = container.add_stream(audio_codec, rate=rate, layout=layout, options=audio_options or {})
            sound.format = sample_format
        for i, at in enumerate(np.arange(round(seconds * fps)) / fps if times is None else times):
            frame = av.VideoFrame.from_ndarray(numbered(i, size), format="rgb24")
            frame.pts, frame.time_base = round(at * TICKS), Fraction(1, TICKS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            wave = clicking((audio_stop or seconds) - audio_start, [at - audio_start for at in clicks], rate)
            for frame in _sound_frames(wave, audio_start, rate, layout, sample_format):
                container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return Path(path)


def packets_of(path: str | Path, kind: str) -> list[Decoded]:
    """Seconds and bytes of every packet of a file's first "video" or "audio" stream."""
    with av.open(str(path)) as container:
        packets = container.demux(**{kind: 0})
        return [Decoded(float(p.duration * p.time_base), p.size) for p in packets if p.size]


def touch(root: Path, names: Iterable[str]) -> None:
    """Makes files that are videos by name only."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def numbered(number: int, size: tuple[int, int]) -> np.ndarray:
    """uint8 (h, w, 3): a frame that carries a number of eight bits."""
    width, height = size
    bits = [(number >> bit) & 1 for bit in range(8)]
    row = np.repeat(np.array(bits, np.uint8) * 220 + 16, -(-width // 8))[:width]
    return np.repeat(np.repeat(row[None, :, None], height, 0), 3, 2)


def number_of(rgb: np.ndarray) -> int:
    """The number that a frame carries, whatever its size now is."""
    centres = ((np.arange(8) + 0.5) * -(-96 // 8) / 96 * rgb.shape[1]).astype(int)
    return sum(int(rgb[rgb.shape[0] // 2, x].mean() > 128) << bit for bit, x in enumerate(centres))


def numbers(clip: media.Clip) -> list[int]:
    """The numbers that a clip's frames carry."""
    return [number_of(decode_jpeg(jpeg)) for jpeg in clip.jpegs]


def clicks_in(wave: np.ndarray) -> np.ndarray:
    """Seconds at which bursts begin in sound of 16 kHz."""
    loud = np.flatnonzero(np.abs(wave.astype(int)) > 8000) / AUDIO_RATE
    return loud[np.diff(loud, prepend=-1) > 0.1]


def clicking(seconds: float, clicks: Sequence[float], rate: int) -> np.ndarray:
    """float32 (n,): silence with a burst of 10 ms at each of `clicks`, seconds."""
    wave = np.zeros(round(seconds * rate), np.float32)
    for at in clicks:
        begin = round(at * rate)
        wave[begin : begin + rate // 100] = 0.9 * np.sin(np.arange(rate // 100) * 2 * np.pi * 2000 / rate)
    return wave


def _sound_frames(
    wave: np.ndarray, start: float, rate: int, layout: str, sample_format: str
) -> Iterator[av.AudioFrame]:
    channels = av.AudioLayout(layout).nb_channels
    resampler = av.AudioResampler(sample_format, layout, rate, frame_size=1024)
    for at in range(0, len(wave), 1024):
        piece = np.repeat(wave[at : at + 1024], channels)[None]
        frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout)
        frame.rate, frame.pts, frame.time_base = rate, at + round(start * rate), Fraction(1, rate)
        yield from resampler.resample(frame)
    yield from resampler.resample(None)
