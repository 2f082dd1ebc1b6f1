"""A film of which all that will be looked at was cut ahead, by a process that may die of it (`decoding/decoder.py`)."""

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from l2l.media.cut import Clip
from l2l.media.decoding.asking import Cutting
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import USUAL, ClipPolicy
from l2l.media.scan import MediaError
from l2l.media.tally import Tally


@dataclasses.dataclass(frozen=True)
class CutFilm:
    """Stands in for a `video.Film` of which only some clips will be asked for.

    Attributes:
      path: of the file.
      clips: of the whole video, without their content.
      content: those that will be asked for, with it.
      has_audio: whether there is any sound.
      seconds: that cutting took.
      tally: of what was decoded for it.
      notes: what has to be known of it, a line each.
    """

    path: str
    clips: Sequence[Clip]
    content: Sequence[Clip]
    has_audio: bool
    seconds: float
    tally: Tally
    notes: tuple[str, ...] = ()

    def cut(self, positions: Iterable[int], frames: int) -> Iterator[Clip]:
        """The clips that were cut, which are those at these positions with so many frames."""
        del positions, frames
        return iter(self.content)


def cut(
    decoder: Decoder, path: str | os.PathLike, *, policy: ClipPolicy, frames: int, stride: int, longest: float
) -> CutFilm:
    """Cuts every stride-th clip of a video.

    Args:
      decoder: where that is done.
      path: a video file.
      policy: how clips are cut.
      frames: of each clip, how many to decode.
      stride: see `Model`.
      longest: seconds that a video may last.

    Raises:
      MediaError: the file cannot be used, lasts longer ("too_long"), or its clips would take as much memory as
        decoding may.
    """
    since, content, room = time.perf_counter(), [], decoder.memory
    reading = dataclasses.asdict(USUAL)
    how: dict[str, Any] = {"stride": stride, "frames": frames, "longest": longest, "reading": reading}
    cutting = Cutting(decoder, path, policy, **how)
    for clip in cutting:
        content.append(clip)
        room -= clip.audio.nbytes + sum(map(len, clip.jpegs))
        if room < 0:
            raise MediaError("undecodable", path, f"its clips take more than {decoder.memory / 2**30:g} GiB")
    plan = cutting.plan
    clips = [Clip(i, len(plan.starts), at, plan.duration) for i, at in enumerate(plan.starts.tolist())]
    seconds = time.perf_counter() - since
    return CutFilm(os.fspath(path), clips, content, cutting.has_audio, seconds, cutting.tally, cutting.notes)
