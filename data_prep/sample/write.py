"""Writes the videos of the built-in sample, as real H.264 + AAC mp4 files, and its shards."""

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from tqdm import tqdm

from l2l.core import atomic
from l2l.data import schema

from .. import storage
from ..datasets.rows import PrepareError, Row
from ..shards import pool
from ..shards.locks import locked
from ..shards.prepare import write_dataset
from . import render
from . import timeline as untrimmed
from .parts import PARTS, SHARDS, Item, items_of

SIZES = ((96, 72), (80, 80), (72, 96), (112, 84))  # width, height
RATES = (Fraction(8), Fraction(10), Fraction(25, 2), Fraction(15))  # frames per second
AUDIO_RATES = (16_000, 22_050, 32_000, 44_100, 48_000)  # samples per second
NO_STREAM, SILENT, STEREO = 0.06, 0.06, 0.5  # shares of the videos
MADE_BY = "made_by.json"
INTERVAL = 0.2 if sys.stderr.isatty() else 10  # seconds between updates of the progress bar


@dataclasses.dataclass(frozen=True)
class Format:
    """How a video is stored: pixels, frames and samples per second, and 0 (no stream), 1 or 2 channels."""

    width: int
    height: int
    fps: Fraction
    rate: int
    channels: int

    @classmethod
    def drawn(cls, part: str, rng: np.random.Generator) -> "Format":
        small = PARTS[part].actions > 0  # long, so stored at lower rates
        width, height = (PARTS[part].scale * side for side in SIZES[rng.integers(len(SIZES) - small)])
        fps = RATES[rng.integers(2 if small else len(RATES))] / PARTS[part].scale
        rate = AUDIO_RATES[rng.integers(2 if small else len(AUDIO_RATES))]
        return cls(width, height, fps, rate, 0 if rng.random() < NO_STREAM else 1 + int(rng.random() < STEREO))


def compose(item: Item, seed: int) -> tuple[Format, Iterable[np.ndarray], np.ndarray]:
    """A video before encoding: its format, its frames uint8 (h, w, 3), its sound float32 (n,) in -1..1."""
    plan, look, hear, file = item.generators(seed)
    form = Format.drawn(item.part, file)
    domain = PARTS[item.part].domain
    ground = render.backdrop(form.width, form.height, domain, look)
    frames: Iterable[np.ndarray]
    if PARTS[item.part].actions:
        segments = untrimmed.timeline(item.labels, plan)
        frames = untrimmed.pictures(segments, ground, float(form.fps), domain, look)
        wave = untrimmed.noises(segments, form.rate, domain, hear)
    else:
        shape, motion = render.parts_of(item.labels[0], plan)
        seconds = plan.uniform(1.0, 1.2)
        times = np.arange(np.ceil(seconds * form.fps)) / float(form.fps)
        frames = render.draw(ground, shape, motion, times, domain=domain, rng=look)
        wave = render.sound(render.MOTIONS[motion][2], seconds, form.rate, domain, hear)
    return form, frames, wave * (file.random() >= SILENT)


def write_mp4(path: Path, form: Format, frames: Iterable[np.ndarray], wave: np.ndarray, keyframes: int) -> None:
    """Encodes H.264 and, if there are channels, AAC; the file is there whole or not at all.

    Args:
      frames: uint8 (h, w, 3) each.
      wave: float32 (n,) in -1..1.
      keyframes: their distance in frames. At 1 every picture is coded by itself, so that the traces of
        compression say nothing of what moves.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with av.open(str(temporary), "w", format="mp4") as container:
            video = container.add_stream("libx264", rate=form.fps, options={"crf": "18", "preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = form.width, form.height, "yuv420p"
            video.codec_context.gop_size, video.codec_context.thread_count = keyframes, 1
            layout = ("", "mono", "stereo")[form.channels]
            fast = {"aac_coder": "fast"}  # the default coder takes four times as long
            audio = container.add_stream("aac", rate=form.rate, layout=layout, options=fast) if layout else None
            for number, frame in enumerate(frames):
                picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
                picture.pts, picture.time_base = number, 1 / form.fps
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
            if audio is not None:
                samples = (wave * 32767).astype(np.int16)[None].repeat(form.channels, 1)
                block = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
                block.sample_rate, block.pts = form.rate, 0
                container.mux(audio.encode(block))
                container.mux(audio.encode(None))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def make_video(item: Item, done: Callable[[], None], *, out: Path, seed: int) -> None:
    """Renders and writes one video, unless it is there."""
    path = out / item.path
    if not path.exists():
        form, frames, wave = compose(item, seed)
        write_mp4(path, form, frames, wave, keyframes=12 if PARTS[item.part].actions else 1)
    done()


def made_by(part: str, seed: int) -> str:
    """What the part's index says of its origin."""
    return f"data_prep.sample --parts={part} --seed={seed}"


def make_part(part: str, out: Path, *, seed: int, workers: int, counts: dict[str, int] | None = None) -> bool:
    """Makes the videos and the shards of one part; False if it was there already.

    Args:
      counts: videos per split, those of PARTS unless given.

    Raises:
      PrepareError: the folder holds the part of another seed, or of something else.
    """
    if _finished(part, out, seed):
        return False
    with locked(out / "videos"):  # which parts share
        return not _finished(part, out, seed) and _make(part, out, seed, workers, counts)


def _make(part: str, out: Path, seed: int, workers: int, counts: dict[str, int] | None) -> bool:
    about, shards = PARTS[part], out / part
    owner = about.videos or part
    videos = out / "videos" / owner
    videos.mkdir(parents=True, exist_ok=True)
    shards.mkdir(parents=True, exist_ok=True)
    atomic.write_json(videos / MADE_BY, {"made_by": made_by(owner, seed)})
    items = items_of(part, counts or about.counts)
    _make_videos(items, out, seed, workers)
    rows = [Row(str(out / x.path), x.labels, x.split, video_id=x.video_id, actions=_actions(x, seed)) for x in items]
    made = made_by(part, seed)
    write_dataset(rows, render.LABELS, shards, about.policy, shards=SHARDS, workers=workers, made_by=made)
    return True


def _actions(item: Item, seed: int) -> tuple[tuple[float, float], ...] | None:
    """Where the action is in an untrimmed video; None of a trimmed clip."""
    return untrimmed.actions(item.segments(seed)) if PARTS[item.part].actions else None


def _finished(part: str, out: Path, seed: int) -> bool:
    """Whether the part is there; raises PrepareError if what is there was made otherwise."""
    owner = PARTS[part].videos or part
    index, marker = out / part / schema.INDEX, out / "videos" / owner / MADE_BY
    found = []
    if index.exists():
        found.append((index, made_by(part, seed), schema.load_index(index.parent, kind="clips").made_by))
    if marker.exists():
        found.append((marker, made_by(owner, seed), _maker(marker)))
    for path, asked, other in found:
        if other != asked:
            raise PrepareError(
                f"{path} says it was made by {other!r}, not by {asked!r}; "
                f"delete {index.parent} and {marker.parent}, or choose another --out"
            )
    return index.exists()


def _maker(marker: Path) -> str:
    """What the videos' folder says of its origin. Raises PrepareError if the file is damaged."""
    try:
        return str(json.loads(storage.read(str(marker)) or b"")["made_by"])[:200]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise PrepareError(f"{marker} is damaged; delete {marker.parent} and make the part again") from error


def _make_videos(items: Sequence[Item], out: Path, seed: int, workers: int) -> None:
    """Makes the videos in worker processes, with a progress bar."""
    for left in (out / "videos" / items[0].part).rglob(".*.tmp"):  # of workers that were killed
        left.unlink()
    work = functools.partial(make_video, out=out, seed=seed)
    with tqdm(total=len(items), desc=f"rendering {items[0].part}", unit=" videos", mininterval=INTERVAL) as bar:
        pool.run(work, items, workers, bar)
