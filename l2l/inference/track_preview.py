"""A preview trunk over a whole sound track: log-mel and moments in bounded pieces, then windows read from them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from l2l.inference.programs import by_shape
from l2l.models.backbones.audio_preview import FIELD, STRIDE, moments
from l2l.models.backbones.frontend import HOP, RATE, log_mel

STEP = HOP * STRIDE  # samples from one moment to the next
SIZES = (1, 2, 4, 8)  # how many pieces one call of the program takes: the fewest that hold a short track
AT_ONCE = SIZES[-1]

Moments = Callable[[jax.Array], jax.Array]  # log-mel (b, m, f) -> (b, moments(m), d)
Read = Callable[[int, int], np.ndarray]  # the samples [begin, stop) of a track, int16; begins never go back


def hearer(run: Moments, *, piece: float = 32.0) -> Callable[[Read, np.ndarray], np.ndarray]:
    """A function of a track that is read and of places int (p,), samples, where a second begins: (p, d) float32.

    A place is heard at the nearest whole number of moments (40 ms) from the track's beginning; before it there is
    silence. Samples are held for a few pieces, which overlap by what a moment depends on; while they are heard the next
    ones are read.

    Args:
      run: the trunk.
      piece: seconds of the moments of one piece.
    """
    count = max(1, round(piece * RATE / STEP))
    length = HOP * (FIELD + 3 + STRIDE * (count - 1))  # samples that give so many moments
    program = by_shape(jax.jit(lambda waves: run(log_mel(waves))))

    def heard(read: Read, places: np.ndarray) -> np.ndarray:
        first = np.rint(np.asarray(places) / STEP).astype(int)
        inside = moments(1 + RATE // HOP)  # moments of a second
        before = max(0, -int(first.min()))
        pieces = -(-(before + int(first.max()) + inside) // count)
        at_once = next(size for size in SIZES if size >= min(pieces, AT_ONCE))
        pieces += -pieces % at_once
        found = []
        for i in range(0, pieces, at_once):
            begin = STEP * (count * i - before)
            stop = begin + STEP * count * (at_once - 1) + length
            wave = np.pad(read(max(begin, 0), stop), (max(-begin, 0), 0))
            waves = np.lib.stride_tricks.sliding_window_view(wave, length)[:: STEP * count]
            found.append(program(jnp.asarray(waves)))  # does not wait for what comes out
        every = np.concatenate(found).reshape(pieces * count, -1)
        return every[(first + before)[:, None] + np.arange(inside)].max(1)

    return heard
