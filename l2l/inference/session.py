"""A video on its way through a model: what is read of it at every position, and what became of that."""

import os
import time
from collections.abc import Iterator, Sequence

import numpy as np

from l2l.data.batching import descriptions
from l2l.data.preprocess import centre_crop, silent
from l2l.inference.programs import COMPILING, Programs, Recogniser
from l2l.media.arrays import Arrays
from l2l.media.cut import Clip
from l2l.media.decoding.asking import Asking, FarFilm, FarLive
from l2l.media.decoding.cut_film import CutFilm
from l2l.media.live import LiveFilm
from l2l.media.memory import film_of
from l2l.media.picture.jpeg import decode_jpeg
from l2l.media.policy import USUAL, ClipPolicy, Reading
from l2l.media.scan import MediaError
from l2l.media.tally import Tally
from l2l.media.video import Film

Record = dict[str, np.ndarray]
Open = Film | FarFilm | CutFilm  # of which clips can be asked for


class Clock:
    """Measures what is done while it is entered: `seconds`, and apart from these `compile`, what compiling took."""

    def __enter__(self) -> "Clock":
        self.since, self.before = time.perf_counter(), COMPILING.seconds
        return self

    def __exit__(self, *error: object) -> None:
        self.compile = COMPILING.seconds - self.before
        self.seconds = time.perf_counter() - self.since - self.compile


class View:
    """One video.

    Attributes:
      video: the file, or the video in memory.
      film: the same opened, once it is; or what of it has come.
      times: float32 (n,), centres of its positions, seconds.
      indexed: bool (n,), which of them are described.
      has_audio: whether it has a sound track that is read.
      heard: whether there was anything on that, as far as it was read.
      error: why it cannot be used, or None.
      seconds: spent on it so far, by part.
      tally: of what was decoded of it so far.
      rows: what is known of each described position, see `Programs`.
      unseen: whether it was described by its sound alone, as far as it was not looked at.
      pictures: described position -> its square, uint8 (side, side, 3), of those that may be looked at closer.
      live: whether it is still coming.
      kept: of a glance, position -> its clip, or the sound of it, while these may still be read.
      lost: of a glance, positions that were chosen after their clips had been forgotten.
    """

    def __init__(
        self, video: str | os.PathLike | Arrays | CutFilm, asking: Asking | None = None, reading: Reading = USUAL
    ) -> None:
        """`asking` reads a file, the parts of it that `reading` says; nothing else needs it."""
        self.video, self.asking, self.reading = video, asking, reading
        self.times, self.indexed = np.zeros(0, np.float32), np.zeros(0, bool)
        self.has_audio, self.heard = False, False
        self.error: MediaError | None = None
        self.seconds = dict.fromkeys(("decode", "features", "skimming", "compile"), 0.0)
        self.seconds["decode"] += video.seconds if isinstance(video, CutFilm) else 0.0
        self.rows: list[Record] = []
        self.film: Open | LiveFilm | FarLive | None = None
        self.tally, self.unseen = Tally(), False
        self.pictures: dict[int, np.ndarray] = {}
        self.live, self.lost = False, set[int]()
        self.kept: dict[int, Record] = {}

    @property
    def path(self) -> str:
        if isinstance(self.video, CutFilm):
            return self.video.path
        return "" if isinstance(self.video, Arrays) else os.fspath(self.video)

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be known of the file, as far as it was read."""
        return self.film.notes if self.film else ()

    @property
    def whole(self) -> bool:
        """Whether nothing more is to come, once all that is read has been handed out."""
        return self.error is not None or len(self.rows) == self.indexed.sum()

    def spend(self, part: str, clock: Clock, among: int = 1) -> None:
        """Adds its share of what was measured, of something that was done for so many at once."""
        self.seconds[part] += clock.seconds / among
        self.seconds["compile"] += clock.compile / among

    def take(self, record: Record, row: Record) -> None:
        """Keeps what became of the next position, and whether anything was heard there."""
        self.heard = self.heard or not silent(record["audio"])
        kept = {key: value.astype(np.float16) for key, value in descriptions(row).items()}
        self.rows.append(kept | {"logits": row["logits"]})

    def open(self, policy: ClipPolicy) -> Open:
        """Opens it, unless that was done.

        Raises:
          MediaError: it cannot be used.
          ValueError: it is still coming, or a file without what reads it.
        """
        film = self.film
        if isinstance(film, LiveFilm | FarLive):
            raise ValueError(f"{self.path} is still coming: what there is of it is open")
        if film is None:
            film = self.film = self._opened(policy)
            self.has_audio = film.has_audio
        return film

    def _opened(self, policy: ClipPolicy) -> Open:
        if isinstance(self.video, CutFilm):
            return self.video
        if isinstance(self.video, Arrays):
            return film_of(self.video, policy)
        if self.asking is None:
            raise ValueError(f"{self.path} is a file, and nothing was given that reads it")
        return self.asking.film(self.video, policy, reading=self.reading)

    def banks(self) -> Record:
        """ "image" and "audio", float16 (n, d) each, of the positions that were described; width 0 if there is none.

        Beside them "recognition" where another model recognises, "cells" and "regions" where pictures are looked at
        closer.
        """
        none = np.zeros(0, np.float16)
        further = tuple(key for key in ("recognition", "cells", "regions") if key in self.rows[0])
        return {key: np.stack([row.get(key, none) for row in self.rows]) for key in ("image", "audio", *further)}


def records_of(view: View, how: Programs, stride: int) -> Iterator[Record]:
    """The clips of a video as a clip model takes them, see `Programs.describe`; every stride-th one.

    An error ends them and stays in the view.
    """
    since = time.perf_counter()
    try:
        film = view.open(how.policy)
        place(view, film, stride)
        for clip in film.cut(np.flatnonzero(view.indexed), how.frames):
            record = record_of(clip, how, view.path)
            view.seconds["decode"] += time.perf_counter() - since
            yield record
            since = time.perf_counter()
    except MediaError as error:
        view.error = error
    except ValueError as error:  # of a library, for content that it cannot make sense of
        view.error = MediaError("undecodable", view.path, str(error))


def place(view: View, film: Open, stride: int) -> None:
    """Writes down where a film's positions lie, of which every stride-th one is described."""
    view.times = np.array([c.start for c in film.clips], np.float32)
    view.times += np.float32(film.clips[0].duration) / 2
    view.indexed = np.arange(len(film.clips)) % stride == 0
    view.tally = film.tally


def record_of(clip: Clip, how: Programs | Recogniser, path: str) -> Record:
    """A clip of a file as a clip model takes it. Raises MediaError where its pictures are none."""
    try:
        frames = np.stack([centre_crop(decode_jpeg(jpeg), how.side) for jpeg in clip.jpegs])
    except (OSError, ValueError) as error:
        raise MediaError("undecodable", path, f"its pictures cannot be used: {error}") from error
    return {"frames": frames, "audio": clip.audio}


def stack(records: Sequence[Record], size: int) -> Record:
    """Records -> a batch of that size; missing rows are zero."""
    pad = lambda x: np.concatenate([x, np.zeros((size - len(x), *x.shape[1:]), x.dtype)])
    return {key: pad(np.stack([record[key] for record in records])) for key in records[0]}
