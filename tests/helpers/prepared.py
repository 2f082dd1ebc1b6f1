"""What the tests of preparation share: rows of real videos, a video that is never read to its end, what was written."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from data_prep.datasets.rows import Row
from data_prep.shards import tfds_metadata
from l2l.data import schema
from l2l.media import policy
from l2l.media.cut import Clip
from tests.helpers.videos import write_video

POLICY = policy.ClipPolicy(frames=4, short_side=32, hop=0.5)
LABELS = ["jump", "run"]


def rows_of(folder: Path) -> list[Row]:
    """Five videos in two splits: one without sound, one for both labels, one stretch."""
    path = lambda name, **how: str(write_video(folder / name, **how))
    return [
        Row(path("a.mp4", clicks=[0.3]), ("run",), "train", video_id="a"),
        Row(path("b c.mp4", audio=False), ("jump",), "train", video_id="b c"),
        Row(path("d.mp4", seconds=2), ("run", "jump"), "train", 0.5, 1.5, video_id="d@0.5-1.5"),
        Row(path("e.mp4", fps=10, size=(72, 96)), ("jump",), "val", video_id="e"),
        Row(path("f\n'\".mp4", rate=16_000, layout="mono"), ("run",), "val", video_id="f"),
    ]


class Cutting:
    """What a decoder gives of a film: its clips and, after them, its notes."""

    def __init__(self, clips: Iterable[Clip], notes: tuple[str, ...] = ()) -> None:
        self.clips, self.due, self.notes = clips, notes, ()

    def __iter__(self) -> Iterator[Clip]:
        yield from self.clips
        self.notes = self.due


def hanging(path: Path) -> str:
    """A video after which come 1 TB of nothing, which a decoder searches for more frames: that takes hours."""
    write_video(path, codec="mpeg4", audio_codec="mp3", sample_format="s16p")
    os.truncate(path, 1 << 40)
    return str(path)


def content(out: str | Path) -> dict[str, bytes]:
    """All that a finished directory is read for, wherever it lies and is called: shards, index and metadata."""
    inside = (path for path in Path(out).iterdir() if path.is_file() and path.name != schema.VIDEOS)
    own = f'"name": "{tfds_metadata.name_of(Path(out).name, "clips")}"'.encode()
    return {path.name: path.read_bytes().replace(own, b'"name": ""') for path in inside}


def records(out: str | Path, index: schema.Index, split: str) -> Iterator[Any]:
    import tensorflow as tf

    for path in schema.shard_paths(out, index, split):
        for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield tf.train.Example.FromString(raw).features.feature


def stored(out: str | Path, index: schema.Index, split: str) -> set[str]:
    """The videos that have records."""
    return {record["video_id"].bytes_list.value[0].decode() for record in records(out, index, split)}


def flags(videos: Path, out: str | Path, *more: str) -> list[str]:
    return [f"--videos={videos}", f"--out={out}", "--frames=4", "--short_side=32", "--workers=1", *more]


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "data_prep.write_shards", *flags(*arguments)]


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def children() -> Iterator[int]:
    """The processes that this one has started."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            if int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                yield int(stat.parent.name)


def alive(group: int) -> bool:
    """Whether any process of a group is left, a worker for instance."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
