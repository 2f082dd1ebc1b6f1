"""Listen first: of a film that a skimmer chooses moments of by sound, the frames at those moments are read, no others.

The sound track is heard once. What is chosen at a look depends on the images of the looks before, so the frames are
read one after another, each when its turn comes; with `stop_when_sure` no more than that needs. Where a picture is
looked at closer, that is one more thing to wait for.
"""

import time
from collections.abc import Iterator

import numpy as np

from l2l.answer import Clock
from l2l.data.batches import fit_positions
from l2l.data.media import Film
from l2l.programs import Programs
from l2l.view import Record, View, place, record_of, stack

Glance = tuple[int, int | None]  # position, and the region of its picture; None: all of it


def listen(view: View, film: Film, how: Programs) -> None:
    """Describes every position of a film by its second of sound; the image descriptors are zeros as yet."""
    place(view, film, stride=1)
    since = time.perf_counter()
    track, _ = film.track.window(0, film.track.limit)
    view.seconds["decode"] += time.perf_counter() - since
    with Clock() as clock:
        heard = how.listen.hear(track, np.array([clip.second for clip in film.clips])).astype(np.float16)
    view.seconds["features"] += clock.seconds
    blank = {"image": np.zeros(how.listen.image, np.float16)}
    view.rows = [blank | {"audio": row} for row in heard]


def look(view: View, film: Film | None, how: Programs, stop_when_sure: bool) -> Record:
    """Looks where the skimmer wants to until all that counts has been seen; one row of `Programs.skim`.

    What it picks depends on what earlier picks have shown alone, so once all is there the answer is that of everything.

    Args:
      view: of a video whose positions are described by their sound.
      film: what is looked at. None if every picture has been seen, and is at hand to be looked at closer.
      how: the programs.
      stop_when_sure: see `Model`.

    Raises:
      MediaError: a frame is damaged.
    """
    seen: set[Glance] = set() if film else {(row, None) for row in range(len(view.rows))}
    if how.closer:
        blank = {key: np.zeros(width, np.float16) for key, width in how.closer.widths.items()}
        view.rows = [blank | row for row in view.rows]
    while True:
        out = skimmed(view, how)
        wanted = next((glance for glance in glances(out, how, stop_when_sure) if glance not in seen), None)
        if wanted is None:
            return out
        position, region = wanted
        new = see(view, film, how, position) if region is None else see_closer(view, how, position, region)
        view.rows[position] = view.rows[position] | new
        seen.add(wanted)


def skimmed(view: View, how: Programs) -> Record:
    """The skimmer's answer as far as the film was seen."""
    _, banks = fit_positions(view.banks(), how.lengths)
    banks |= {"has_audio": np.bool_(view.has_audio)} if how.listen.fallback else {}
    with Clock() as clock:
        out = how.skim(stack([banks], how.videos_at_once[0]))
    view.seconds["skimming"] += clock.seconds
    return {key: value[0] for key, value in out.items()}


def glances(out: Record, how: Programs, stop_when_sure: bool) -> Iterator[Glance]:
    """The positions that count, in the order in which they are looked at, each followed by its region."""
    steps = len(out["counted"])
    if stop_when_sure:
        start = int(out["looks"] - out["counted"].sum())
        steps = int(how.sure.looks({key: out[key][None] for key in (how.sure.source, "looks")})[0]) - start
    for step in np.flatnonzero(out["counted"][:steps]):
        position = int(out["picked_audio"][step])
        yield position, None
        if how.closer:
            yield position, int(out["region"][step])


def see(view: View, film: Film, how: Programs, position: int) -> Record:
    """What a picture shows, "image" float16 (d,), and "cells" if it may be looked at closer; then it is kept."""
    since = time.perf_counter()
    (clip,) = film.seen([position], how.frames)
    record = record_of(clip, how)
    decoded = time.perf_counter()
    found = how.describe(stack([record], how.videos_at_once[0]))
    view.seconds["decode"] += decoded - since
    view.seconds["features"] += time.perf_counter() - decoded
    if how.closer:
        view.pictures[position] = record["frames"][0]
    return {key: found[key][0].astype(np.float16) for key in ("image", "cells") if key in found}


def see_closer(view: View, how: Programs, position: int, region: int) -> Record:
    """What a region of a picture shows, in its place among the "regions" of that picture."""
    top, left = how.closer.regions.corners[region]
    side = how.closer.regions.side
    square = {"squares": view.pictures[position][top : top + side, left : left + side]}
    with Clock() as clock:
        found = how.closer.look(stack([square], how.videos_at_once[0]))["image"][0]
    view.seconds["features"] += clock.seconds
    regions = view.rows[position]["regions"].copy()
    regions.reshape(-1, len(found))[region] = found
    return {"regions": regions}
