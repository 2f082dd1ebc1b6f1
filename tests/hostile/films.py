"""Films that are damaged or claim what they do not have, read by the process that decodes, in every way it is asked."""

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from l2l.media.decoding.asking import FarLive
from l2l.media.decoding.decoder import Decoder
from l2l.media.video import MediaError
from tests.helpers import mutated
from tests.helpers.prepared import POLICY
from tests.helpers.videos import write_video
from tests.hostile import Kind

SECONDS = 30.0
Way = Callable[[Decoder, Path], object]


class LostError(Exception):
    """The decoding process died of a film, or took too long."""


def clips(decoder: Decoder, path: Path) -> int:
    """As preparation does: all of them."""
    return sum(1 for _ in decoder.clips(path, POLICY))


def looks(decoder: Decoder, path: Path) -> int:
    """As a skimmer that listens does: some sound, some pictures, the last clip whole."""
    film = decoder.film(path, POLICY)
    film.sound(0, 8000)
    last = len(film.clips) - 1
    return sum(1 for _ in film.seen([0], 1)) + sum(1 for _ in film.cut([last], POLICY.frames))


def streamed(decoder: Decoder, path: Path) -> int:
    """As a film that is followed, and does not grow."""
    return sum(1 for _ in FarLive(decoder, path, POLICY, stdin=False, patience=0.0).clips(1, POLICY.frames))


def pictures(decoder: Decoder, path: Path) -> int:
    """As a page of a film shows it."""
    return len(decoder.pictures(path, [0.0, 0.5, 3.0], short_side=32, slack=10.0))


def further(folder: Path) -> list[bytes]:
    """A second of video in containers that say little of what they hold, or say it elsewhere."""
    mpeg2, sound = (
        {"codec": "mpeg2video", "fps": 25, "size": (64, 48)},
        {"sample_format": "s16", "rate": 16_000, "layout": "mono"},
    )
    files = {
        "a.ts": mpeg2 | sound | {"audio_codec": "mp2"},
        "b.mpg": mpeg2 | sound | {"audio_codec": "mp2"},
        "c.flv": sound | {"codec": "flv", "audio_codec": "pcm_s16le", "size": (64, 48)},
        "d.nut": sound | {"codec": "mpeg4", "audio_codec": "pcm_s16le", "size": (64, 48)},
        "e.mov": sound | {"codec": "mjpeg", "pix_fmt": "yuvj420p", "audio_codec": "pcm_s16le", "size": (64, 48)},
    }
    return [
        write_video(folder / name, container_options=mutated.ALIKE, **how).read_bytes() for name, how in files.items()
    ]


def told(read: Way, decoder: Decoder, path: Path) -> object:
    """What reading gives. Raises MediaError, or LostError."""
    try:
        return read(decoder, path)
    except MediaError as error:
        if error.status in ("crashed", "timed_out"):
            raise LostError(str(error)) from error
        raise


def films(folder: Path, dice: random.Random, *ways: Way) -> Iterator[tuple[str, Callable[[], object]]]:
    """The claims first, each read in every way."""
    originals, path = mutated.originals(folder), folder / "film"
    others = [*originals, *further(folder)]
    with Decoder(SECONDS) as decoder:
        for claim in mutated.CLAIMS:
            path.write_bytes(mutated.claiming(originals, claim))
            for way in ways:
                yield f"{claim}: {way.__name__}", functools.partial(told, way, decoder, path)
        while True:
            number = dice.randrange(len(others))
            path.write_bytes(mutated.mutated(others[number], others, dice))
            way = dice.choice(ways)
            yield f"damaged original {number}: {way.__name__}", functools.partial(told, way, decoder, path)


WAYS = (looks, streamed, pictures, Decoder.probe, Decoder.audio)
KINDS = (
    Kind("containers", lambda folder, dice: films(folder, dice, clips), (MediaError,), 1000, seconds=SECONDS + 10),
    Kind("films looked at", lambda folder, dice: films(folder, dice, *WAYS), (MediaError,), 1000, seconds=SECONDS + 10),
)
