"""A film that was cut ahead of being looked at, in a process that may die of it (`decoder.py`)."""

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator, Sequence

from l2l.data.cut import Clip
from l2l.data.media import open_film
from l2l.data.scan import MediaError
from l2l.data.schema import ClipPolicy
from l2l.data.tally import Tally


@dataclasses.dataclass(frozen=True)
class CutFilm:
    """Stands in for a `media.Film` of which only some clips will be asked for.

    Attributes:
      path: of the file.
      clips: of the whole video, without their content.
      content: those that will be asked for, with it.
      has_audio: whether there is any sound.
      seconds: that cutting took.
      tally: of what was decoded for it.
    """

    path: str
    clips: Sequence[Clip]
    content: Sequence[Clip]
    has_audio: bool
    seconds: float
    tally: Tally

    def seen(self, positions: Iterable[int], frames: int) -> Iterator[Clip]:
        """The clips that were cut, which are those at these positions with so many frames."""
        del positions, frames
        return iter(self.content)

    def heard(self, clips: Iterable[Clip]) -> Iterable[Clip]:
        """The clips as they are: they have their sound."""
        return clips


def cut(path: str | os.PathLike, *, policy: ClipPolicy, frames: int, stride: int, longest: float) -> Iterator[CutFilm]:
    """Cuts every stride-th clip of a video; yields one film.

    Args:
      path: a video file.
      policy: how clips are cut.
      frames: of each clip, how many to decode.
      stride: see `Model`.
      longest: seconds that a video may last.

    Raises:
      MediaError: the file cannot be used, or lasts longer ("too_long").
    """
    since = time.perf_counter()
    film = open_film(path, policy)
    if film.stop > longest:
        raise MediaError("too_long", path, f"it lasts {film.stop:.1f} s, {longest:g} s are allowed")
    content = list(film.heard(film.seen(range(0, len(film.clips), stride), frames)))
    seconds = time.perf_counter() - since
    yield CutFilm(os.fspath(path), film.clips, content, film.has_audio, seconds, film.tally)
