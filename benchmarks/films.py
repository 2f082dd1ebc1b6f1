"""Makes the films that the benchmarks read: H.264 and AAC in mp4, a textured picture that moves under noise."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from l2l.media.container import unit_of

SOUND_RATE = 44_100
GAP = 0.1  # seconds between a film and itself: sound begins before the pictures and may end after them


def write_film(
    path: Path, size: tuple[int, int], seconds: float, *, fps: int = 25, noise: int = 8, keyframes: int = 250
) -> Path:
    """Writes a film whose picture moves by two pixels a frame; without `noise` (grey levels) it stands still."""
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "crf": "23", "g": str(keyframes)}
        video = container.add_stream("libx264", rate=fps, options=options)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        for number, planes in enumerate(_pictures(size, round(seconds * fps), noise)):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for tone in _tones(round(seconds * SOUND_RATE)):
            container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    return path


def repeated(film: Path, path: Path, times: int) -> Path:
    """The film so many times over, its packets as they are, with a GAP between."""
    with av.open(str(film)) as source, av.open(str(path), "w") as container:
        length = GAP + max(map(_length, source.streams))
        streams = [container.add_stream_from_template(stream) for stream in source.streams]
        for number in range(times):
            with av.open(str(film)) as again:
                for packet in again.demux():
                    if packet.pts is None or packet.dts is None:
                        continue
                    later = round(number * length / packet.time_base)
                    packet.pts, packet.dts = packet.pts + later, packet.dts + later
                    packet.stream = streams[packet.stream_index]
                    container.mux(packet)
    return path


def _length(stream: av.stream.Stream) -> float:
    """Seconds."""
    if stream.duration is None:
        raise ValueError(f"stream {stream.index} does not say how long it is")
    return float(stream.duration * unit_of(stream))


def _pictures(size: tuple[int, int], count: int, noise: int) -> Iterator[np.ndarray]:
    """Planes as PyAV takes them: uint8 (h * 3 / 2, w), luma above the two chroma planes."""
    width, height = size
    rng, blur = np.random.default_rng(0), np.hanning(17) / np.hanning(17).sum()
    texture = np.kron(rng.uniform(16, 235, (height // 4, width // 4)), np.ones((8, 8)))
    for axis in (0, 1):
        texture = np.apply_along_axis(np.convolve, axis, texture, blur, "same")
    texture, grain = texture.astype(np.int16), rng.integers(-noise, noise + 1, texture.shape, np.int16)
    for number in range(count):
        if noise or not number:
            step, (x, y) = 2 * number % height, rng.integers(0, (width, height))
            luma = texture[step : step + height, :width] + grain[y : y + height, x : x + width]
            luma = np.clip(luma, 16, 235).astype(np.uint8)
            chroma = (luma[::2, ::2] // 2 + 64).reshape(-1, width)
        yield np.concatenate([luma, chroma, 255 - chroma])


def _tones(samples: int) -> Iterator[av.AudioFrame]:
    for at in range(0, samples, 1024):
        wave = 0.3 * np.sin(np.arange(at, at + 1024) * (2 * np.pi * 440 / SOUND_RATE))
        frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), format="fltp", layout="stereo")
        frame.rate, frame.pts, frame.time_base = SOUND_RATE, at, Fraction(1, SOUND_RATE)
        yield frame
