"""Classifies a video while it is still coming: from a pipe, a file that grows, or stretches in memory.

What is kept of the past is its descriptors, about 2 kB a clip, and none is ever dropped: at the end of the video the
answer is the one that the whole video gets. `cut.CLIPS` clips, 200 MB, are the most.
"""

import dataclasses
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from l2l.ahead import Ahead
from l2l.data import coming
from l2l.data.coming import Source
from l2l.data.live import LiveFilm
from l2l.data.scan import MediaError
from l2l.result import Result
from l2l.view import View, record_of

if TYPE_CHECKING:
    from l2l.look import Model


def results(model: "Model", source: Source, every: float, patience: float) -> Iterator[Result]:
    """See `Model.stream`."""
    view, since, answered = View(coming.name_of(source)), time.perf_counter(), float("-inf")
    ahead = Ahead(positions(model, source, patience), 2 * model.programs.clips_at_once)
    film = None
    try:
        while found := ahead.take(model.programs.clips_at_once):
            film, last = found[-1][0], found[-1][1]
            model.describe(view, [record for _, _, record in found])
            reach(view, film, last + 1, model.stride)
            if time.perf_counter() - answered >= every:
                answered = time.perf_counter()
                yield answered_now(model, view, since)
    finally:
        ahead.close()
    reach(view, film, film.count, model.stride)
    yield answered_now(model, view, since)


def positions(model: "Model", source: Source, patience: float) -> Iterator[tuple[LiveFilm, int, dict[str, np.ndarray]]]:
    """(film, number, record) of every position that is described, as soon as it is there; waits for them."""
    with coming.opened(source, model.programs.policy, patience) as film:
        for clip in film.clips(model.stride, model.programs.frames):
            yield film, clip.index, record_of(clip, model.programs)


def reach(view: View, film: LiveFilm, count: int, stride: int) -> None:
    """Places so many positions on the time line."""
    starts = np.array([i * film.hop for i in range(count)], np.float32)
    view.times = starts + np.float32(film.length) / 2
    view.indexed = np.arange(count) % stride == 0
    view.has_audio, view.tally = film.has_audio, film.tally


def answered_now(model: "Model", view: View, since: float) -> Result:
    """The answer so far, in which all that has no other name is decoding, waiting included. Raises MediaError."""
    found = model.answer(view)
    if isinstance(found, MediaError):
        raise found
    named = sum(seconds for part, seconds in view.seconds.items() if part != "decode")
    return dataclasses.replace(found, seconds=view.seconds | {"decode": time.perf_counter() - since - named})
