"""The videos that a run was measured on, where they can be found: pictures and sounds for its page."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l2l.media.cut import Clip
from l2l.media.decoding.decoder import DecoderError, Decoders
from l2l.media.policy import USUAL, ClipPolicy, Reading
from l2l.media.scan import MediaError
from l2l.runs.run_folder import read_json

THUMB = 96  # largest short side of a picture, pixels
SLACK = 0.05  # seconds by which the clips of a file may lie apart from those that were read


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a video is.

    Attributes:
      file: its path, or its address in a store.
      start, end: the stretch of it that was taken, seconds of the film; None: from its beginning, up to its end.
      reading: which parts of it were read.
    """

    file: str
    start: float | None = None
    end: float | None = None
    reading: Reading = USUAL

    @property
    def remote(self) -> bool:
        return "://" in self.file

    @property
    def path(self) -> Path:
        return Path(self.file)


class Files:
    """The videos behind a directory of clip shards, by `videos.json` beside them, for a page that will lie in a folder.

    Raises:
      RunError: videos.json is damaged.
    """

    def __init__(self, directory: Path | None, policy: Mapping[str, Any], folder: Path = Path()):
        self.places: dict[str, Place] = {}
        self.folder, self.decoder = folder, Decoders()
        self.missing = "the clips that were read are not where they were"
        whole = ClipPolicy(**policy)
        self.policy = dataclasses.replace(whole, short_side=min(whole.short_side, THUMB), width=None)
        if directory is not None:
            listed = directory / "videos.json"
            self.missing = f"there is no {listed}, which says where the videos are"
            self.places = read_places(listed) if listed.is_file() else {}

    def begin(self, name: str) -> float:
        """Where what was taken of a video begins, seconds of the film; 0 where that is not known."""
        return self.places[name].start or 0.0 if name in self.places else 0.0

    def clips(self, name: str, times: Sequence[float]) -> tuple[list[Clip], str]:
        """The clips of a video with small first pictures and their sound; or none and why.

        Args:
          name: video id.
          times: centres of the clips, ascending, seconds of the film.
        """
        if not self.places:
            return [], self.missing
        if name not in self.places:
            return [], "videos.json does not list this video"
        place = self.places[name]
        if place.remote:
            return [], f"{place.file} lies in a store, and pages show files of a disk alone"
        try:
            return self.cut(place, times)
        except (MediaError, DecoderError) as error:
            return [], str(error)

    def clock(self, name: str) -> float:
        """Where a video begins on its file's own clock, seconds; 0 where that cannot be read any more."""
        with contextlib.suppress(MediaError, DecoderError):
            return self.decoder.probe(self.places[name].path, self.places[name].reading).begin
        return 0.0

    def cut(self, place: Place, times: Sequence[float]) -> tuple[list[Clip], str]:
        """As `clips`, of a file. Raises MediaError if it cannot be used."""
        film = self.decoder.film(place.path, self.policy, place.start, place.end, place.reading)
        centres = np.array([clip.start + clip.duration / 2 for clip in film.clips])
        nearest = [int(np.abs(centres - at).argmin()) for at in times]
        if lost := [at for at, i in zip(times, nearest, strict=True) if abs(centres[i] - at) > SLACK]:
            return [], f"{place.path} is not the video that was read: it has no clip at {lost[0]:.2f} s"
        return list(film.cut(nearest, 1)), ""


def read_places(listed: Path) -> dict[str, Place]:
    """videos.json: video id -> path, relative to that file, absolute or remote; or {"path", "start", "end", "reading"}.

    Raises:
      RunError: it is damaged.
    """
    return {name: place_of(listed.parent, value) for name, value in read_json(listed).items()}


def place_of(directory: Path, value: str | Mapping[str, Any]) -> Place:
    """An entry of videos.json; a path of its own is a whole video."""
    known: Mapping[str, Any] = {"path": value} if isinstance(value, str) else value
    reading = Reading(**known.get("reading", {}))
    place = Place(known["path"], known.get("start"), known.get("end"), reading)
    return place if place.remote else dataclasses.replace(place, file=os.path.normpath(directory / place.file))
