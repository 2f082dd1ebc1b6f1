"""Classifies a video while it is still coming: from a pipe, a file that grows, or stretches in memory.

What is kept of the past is its descriptors, about 2 kB a clip, and none is ever dropped: at the end of the video the
answer is the one that the whole video gets. `cut.CLIPS` clips, 200 MB, are the most. Where all looks are chosen at
once, the clips that may still be among the chosen are kept as well, a few dozen; see `at_once.take`.
"""

import contextlib
import dataclasses
import math
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from l2l.core.prefetch import Ahead
from l2l.inference.result import Result
from l2l.inference.session import View, record_of
from l2l.media import coming
from l2l.media.coming import Source
from l2l.media.decoding.asking import FarLive
from l2l.media.decoding.decoder import Decoder
from l2l.media.live import LiveFilm
from l2l.media.scan import MediaError

if TYPE_CHECKING:
    from l2l.inference.model import Model


def results(model: "Model", source: Source, every: float, patience: float) -> Iterator[Result]:
    """See `Model.stream`."""
    view, since, answered = View(coming.name_of(source)), time.perf_counter(), float("-inf")
    view.live = True
    with far(source) as decoder:  # whose end is one for a thread that waits for it
        ahead = Ahead(positions(model, source, patience, decoder), 2 * model.programs.clips_at_once)
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


def far(source: Source) -> contextlib.AbstractContextManager[Decoder | None]:
    """What decodes a file that has a name, or the standard input; None for what is decoded in this process."""
    if not isinstance(source, (str, os.PathLike)):
        return contextlib.nullcontext()
    if source != "-":
        return Decoder(math.inf)
    try:
        sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):  # an object stands in for it
        return contextlib.nullcontext()
    return Decoder(math.inf, stdin=sys.stdin.buffer)


def positions(
    model: "Model", source: Source, patience: float, decoder: Decoder | None
) -> Iterator[tuple[LiveFilm | FarLive, int, dict[str, np.ndarray]]]:
    """(film, number, record) of every position that is described, as soon as it is there; waits for them."""
    name, policy = coming.name_of(source), model.programs.policy
    with contextlib.ExitStack() as stack:
        film: LiveFilm | FarLive
        if decoder and isinstance(source, (str, os.PathLike)):
            film = FarLive(decoder, source, policy, stdin=source == "-", patience=patience)
        else:
            film = stack.enter_context(coming.opened(source, policy, patience))
        for clip in film.clips(model.stride, model.programs.frames):
            yield film, clip.index, record_of(clip, model.programs, name)


def reach(view: View, film: LiveFilm | FarLive, count: int, stride: int) -> None:
    """Places so many positions on the time line."""
    view.film = film
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
