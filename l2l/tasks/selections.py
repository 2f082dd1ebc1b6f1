"""Ways to choose the positions of a video that do not learn; the scores of what they choose are averaged (table 1)."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from l2l.models.positions import highest


@dataclasses.dataclass(frozen=True)
class Videos:
    """What a selection may know of b videos of up to n positions.

    Attributes:
      valid: bool (b, n), True for the first positions, as many as the video has.
      example: int (b,), numbers of the videos, of which chance is a function.
      confidence: (b, n), the highest score that the classifier of the indexing features gives at each position.
      truth: (b, n), the score of the true classes at each position, which nobody knows in earnest.
    """

    valid: jax.Array
    example: jax.Array
    confidence: jax.Array
    truth: jax.Array

    @property
    def place(self) -> jax.Array:
        """int (n,), the numbers of the positions."""
        return jnp.arange(self.valid.shape[1])

    @property
    def length(self) -> jax.Array:
        """int (b, 1), how many positions each video has."""
        return jnp.sum(self.valid, axis=-1, keepdims=True)


def random(videos: Videos, count: int) -> jax.Array:
    """Draws without replacement, by the example's number alone and whatever the padding."""
    key = jax.random.key(0)
    draw = lambda e, n: jax.random.uniform(jax.random.fold_in(jax.random.fold_in(key, e), n))
    drawn = jax.vmap(lambda e: jax.vmap(lambda n: draw(e, n))(videos.place))(videos.example)
    return highest(-drawn, videos.valid, count)


def uniform(videos: Videos, count: int) -> jax.Array:
    """The centres of as many equal parts."""
    centres = jnp.floor((jnp.arange(count) + 0.5) * videos.length / count)  # (b, count)
    return jnp.any(videos.place == centres[..., None], axis=1) & videos.valid


def front(videos: Videos, count: int) -> jax.Array:
    """The first ones."""
    return videos.valid & (videos.place < count)


def centre(videos: Videos, count: int) -> jax.Array:
    """Those in the middle, one after another."""
    first = jnp.maximum(videos.length - count, 0) // 2
    return videos.valid & (videos.place >= first) & (videos.place < first + count)


def end(videos: Videos, count: int) -> jax.Array:
    """The last ones."""
    return videos.valid & (videos.place >= videos.length - count)


def confident(videos: Videos, count: int) -> jax.Array:
    """Where the classifier of the indexing features is surest of something (SCSampler's idea)."""
    return highest(videos.confidence, videos.valid, count)


def dense(videos: Videos, count: int) -> jax.Array:
    """All of them."""
    del count
    return videos.valid


def oracle(videos: Videos, count: int) -> jax.Array:
    """Where the true classes score highest: what choosing could give at best."""
    return highest(videos.truth, videos.valid, count)


# Each marks `count` positions of every video, bool (b, n); a video with fewer has them all marked.
SELECTIONS: dict[str, Callable[[Videos, int], jax.Array]] = {
    "random": random,
    "uniform": uniform,
    "front": front,
    "centre": centre,
    "end": end,
    "confident": confident,
    "dense": dense,
    "oracle": oracle,
}
ALL = ("confident", "dense", "oracle")  # these must look at every position, the others only where they choose
