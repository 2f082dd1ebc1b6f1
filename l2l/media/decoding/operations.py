"""What a decoding process can be asked: the closed table of what it does with a file.

Each is a generator function of a path and of numbers and texts that JSON has; what it yields `messages` knows.
"""

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from l2l.media import coming, video
from l2l.media.cut import Clip
from l2l.media.decoding.messages import PIECE, Pace, Plan, Sound, Told
from l2l.media.picture import thumbnails
from l2l.media.policy import ClipPolicy, Reading
from l2l.media.scan import MediaError, Scan, walk
from l2l.media.video import Film, Probe

Numbers = dict[str, Any]  # a ClipPolicy's or a Reading's
_FILMS: dict[tuple[int, ClipPolicy], Film] = {}  # the film opened last, by its number and how it is cut
_SCANS: dict[tuple[Any, ...], Scan] = {}  # of the file scanned last, by what tells it from others and from itself later


def scan_of(path: str, reading: Reading) -> Scan:
    """What `walk` finds in a file. A page asks about the film that was just classified: it is scanned once for both.

    Raises:
      MediaError: the file cannot be used as a video.
    """
    try:
        facts = os.stat(path)
    except OSError:  # which is `walk`'s to tell
        return walk(path, reading)
    key = (path, reading, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    if key not in _SCANS:
        found = walk(path, reading)
        _SCANS.clear()
        _SCANS[key] = found
    # What is decoded from here on is counted for one film, and not for all that ask.
    return dataclasses.replace(_SCANS[key], tally=_SCANS[key].tally.copy())


def probe(path: str, *, reading: Numbers) -> Iterator[Probe]:
    """See `video.probe`."""
    how = Reading(**reading)
    yield video.probe(path, how, scan_of(path, how))


def clips(
    path: str,
    *,
    policy: Numbers,
    start: float | None = None,
    end: float | None = None,
    reading: Numbers,
    stride: int = 1,
    frames: int | None = None,
    longest: float | None = None,
) -> Iterator[Plan | Clip | Told]:
    """A film's plan, every stride-th of its clips with their first frames, and what there is to know of it.

    Raises:
      MediaError: as `video.read_clips`; it is longer than allowed ("too_long").
    """
    how = Reading(**reading)
    film = video.open_film(path, ClipPolicy(**policy), start, end, how, scan_of(path, how))
    if longest is not None and film.stop > longest:
        raise MediaError("too_long", path, f"it lasts {film.stop:.1f} s, {longest:g} s are allowed")
    yield plan_of(film)
    yield from film.cut(range(0, len(film.clips), stride), frames or film.policy.frames)
    yield told_of(film)


def opened(path: str, *, film: int, **how: Any) -> Iterator[Plan | Told]:
    """Opens a film anew, and keeps it until another is opened."""
    _FILMS.clear()
    yield from plan(path, film=film, **how)


def plan(path: str, *, policy: Numbers, **which: Any) -> Iterator[Plan | Told]:
    """How the clips of an open film lie by a policy."""
    film = the_film(path, policy=policy, **which)
    yield plan_of(film)
    yield told_of(film)


def cut(path: str, *, positions: Sequence[int], frames: int, sound: bool, **which: Any) -> Iterator[Clip | Told]:
    """Clips of an open film at some positions (ascending), with or without their sound."""
    film = the_film(path, **which)
    yield from (film.cut if sound else film.seen)(positions, frames)
    yield told_of(film)


def sound(path: str, *, begin: int, stop: int, **which: Any) -> Iterator[Sound | Told]:
    """The samples [begin, stop) of an open film, see `Track.window`."""
    film = the_film(path, **which)
    yield from pieces(*film.track.window(begin, stop))
    yield told_of(film)


def the_film(
    path: str,
    *,
    film: int,
    policy: Numbers,
    start: float | None = None,
    end: float | None = None,
    reading: Numbers,
) -> Film:
    """The film with this number, which is opened again where this process does not hold it."""
    asked = ClipPolicy(**policy)
    if (film, asked) in _FILMS:
        return _FILMS[film, asked]
    if same := next((held for (number, _), held in _FILMS.items() if number == film), None):
        found = same.recut(asked)
    else:
        _FILMS.clear()
        how = Reading(**reading)
        found = video.open_film(path, asked, start, end, how, scan_of(path, how))
    _FILMS[film, asked] = found
    return found


def read_pictures(
    path: str, *, times: Sequence[float], short_side: int, slack: float, reading: Numbers
) -> Iterator[bytes]:
    """See `thumbnails.read_pictures`."""
    how = Reading(**reading)
    scan = scan_of(path, how)
    yield from thumbnails.read_pictures(path, times, short_side=short_side, slack=slack, reading=how, scan=scan)


def read_audio(path: str, *, reading: Numbers) -> Iterator[Sound]:
    """The whole sound, see `video.read_audio`; nothing where there is none."""
    how = Reading(**reading)
    if found := video.read_audio(path, how, scan_of(path, how)):
        yield from pieces(*found)


def stream(
    path: str, *, stdin: bool, policy: Numbers, patience: float, stride: int, frames: int
) -> Iterator[Pace | Told | Clip]:
    """The clips of what still comes, each after how far that is and what is known by then; at the end these two.

    It comes through the standard input, or the file is one that grows.
    """
    with coming.opened("-" if stdin else path, ClipPolicy(**policy), patience) as film:
        for clip in film.clips(stride, frames):
            yield Pace(film.length, film.hop, clip.index + 1)
            yield told_of(film)
            yield clip
        yield Pace(film.length, film.hop, film.count)
        yield told_of(film)


def pieces(wave: np.ndarray, covered: tuple[int, int]) -> Iterator[Sound]:
    """A sound in as many messages as it takes."""
    for at in range(0, len(wave), PIECE):
        yield Sound(wave[at : at + PIECE], covered)


def plan_of(film: Film) -> Plan:
    starts = np.array([clip.start for clip in film.clips], np.float64)
    return Plan(film.stop, film.clips[0].duration, film.has_audio, starts)


def told_of(film: Any) -> Told:
    return Told(film.has_audio, dict(film.tally.decoded), film.notes)


OPERATIONS: dict[str, Callable[..., Iterator[Any]]] = {
    x.__name__: x for x in (probe, clips, opened, plan, cut, sound, read_pictures, read_audio, stream)
}
