"""Films that are damaged or claim what they do not have, read by the process that decodes."""

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from l2l.data.decoder import Decoder
from l2l.data.media import MediaError
from tests import mutated
from tests.hostile import Kind
from tests.prepared import POLICY

SECONDS = 30.0


class LostError(Exception):
    """The decoding process died of a film, or took too long."""


def clips(decoder: Decoder, path: Path) -> int:
    """How many clips a film gives, all of them decoded. Raises MediaError, or LostError."""
    try:
        return sum(1 for _ in decoder.clips(path, POLICY))
    except MediaError as error:
        if error.status in ("crashed", "timed_out"):
            raise LostError(str(error)) from error
        raise


def containers(folder: Path, dice: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    originals, path = mutated.originals(folder), folder / "film"
    with Decoder(SECONDS) as decoder:
        for claim in mutated.CLAIMS:
            path.write_bytes(mutated.claiming(originals, claim))
            yield claim, functools.partial(clips, decoder, path)
        while True:
            number = dice.randrange(len(originals))
            path.write_bytes(mutated.mutated(originals[number], originals, dice))
            yield f"damaged original {number}", functools.partial(clips, decoder, path)


KINDS = (Kind("containers", containers, (MediaError,), 1000, seconds=SECONDS + 10),)
