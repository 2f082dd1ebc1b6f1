"""A load for a service: clients that send videos beside clients that send what is damaged, odd or made to do harm."""

import contextlib
import dataclasses
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from l2l.media.decoding.decoder import resident
from tests.helpers import mutated, uploads
from tests.helpers.served import Client, form
from tests.helpers.videos import write_video
from tests.hostile import service as hostile_service

GOOD = BAD = 10  # clients of each kind
SLOW = 1.0  # seconds over which a slow client sends
CODECS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "mpeg4.avi": {"codec": "mpeg4", "audio_codec": "mp3", "sample_format": "s16p"},
    "vp8.webm": {"codec": "libvpx", "audio_codec": "libopus", "rate": 48_000, "sample_format": "flt"},
    "mpeg2.ts": {"codec": "mpeg2video", "audio_codec": "mp2", "sample_format": "s16", "fps": 25},
    "mjpeg.mov": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
}


class Good(NamedTuple):
    """An answer to a video: which, the status, the best label and its score, and the seconds that it took."""

    name: str
    status: int
    best: tuple[str, float]
    seconds: float


@dataclasses.dataclass
class Answers:
    """What clients were told: of videos, and by kind and status (0: the connection ended) of all else."""

    good: list[Good] = dataclasses.field(default_factory=list)
    bad: Counter[tuple[str, int]] = dataclasses.field(default_factory=Counter)


Act = Callable[[Client], tuple[str, int]]


def films(folder: Path) -> dict[str, bytes]:
    """Videos of several codecs, three seconds of 320 x 240."""
    how = {"seconds": 3.0, "size": (320, 240), "clicks": (0.4, 2.2)}
    return {name: write_video(folder / name, **how | codec).read_bytes() for name, codec in CODECS.items()}


def acts(folder: Path, damaged: int) -> list[Act]:
    """What clients do that send no good videos, `damaged` of it with films that have faults, in no order.

    Kinds: "damaged" may be readable, "harmful" is not; "odd" tells 0 for the status that is right and else the wrong
    one; "slow" and "dropped" are never sent to their end.
    """
    dice, originals = random.Random(0), mutated.originals(folder)
    broken = [mutated.mutated(dice.choice(originals), originals, dice) for _ in range(damaged)]
    broken += [mutated.claiming(originals, claim) for claim in mutated.CLAIMS]
    found = [_upload("damaged", content) for content in broken]
    found += [_upload("harmful", content) for content in uploads.harmful(folder).values()]
    found += [_odd(request, status) for _, request, status in (*hostile_service.forms(), *hostile_service.requests())]
    request = hostile_service.posted(form(video=("x", originals[0])))
    found += [_broken_off("slow", request, SLOW), _broken_off("dropped", request, 0)] * (len(found) // 20)
    dice.shuffle(found)
    return found


def _upload(kind: str, content: bytes) -> Act:
    return lambda client: (kind, client.classify(video=("x", content))[0])


def _odd(request: bytes, expected: int) -> Act:
    def act(client: Client) -> tuple[str, int]:
        status, _ = hostile_service.answer(client.port, request)
        return "odd", 0 if status == expected else status or -1

    return act


def _broken_off(kind: str, request: bytes, seconds: float) -> Act:
    """Sends half of a request, in ten pieces, and goes."""

    def act(client: Client) -> tuple[str, int]:
        half = len(request) // 2
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", client.port)) as connection:
            for piece in range(10):
                connection.sendall(request[piece * half // 10 : (piece + 1) * half // 10])
                time.sleep(seconds / 10)
        return kind, 0

    return act


def run(client: Client, good: dict[str, bytes], bad: Iterable[Act], seconds: float) -> Answers:
    """What GOOD clients that send videos are told in so many seconds, beside BAD clients if there is anything bad.

    Raises the first error of a client.
    """
    bad, answers, stop, errors = list(bad), Answers(), time.monotonic() + seconds, []

    def guarded(work: Callable[[int], None], number: int) -> None:
        try:
            while time.monotonic() < stop and not errors:
                work(number)
                number += GOOD
        except BaseException as error:
            errors.append(error)

    def send(number: int) -> None:
        name, content = list(good.items())[number % len(good)]
        since = time.perf_counter()
        status, told = client.classify(video=(name, content))
        taken = time.perf_counter() - since
        answers.good.append(Good(name, status, tuple(told["top"][0].values()) if status == 200 else ("", 0.0), taken))

    def harm(number: int) -> None:
        told = bad[number % len(bad)](client)
        with lock:
            answers.bad[told] += 1

    lock, work = threading.Lock(), [(send, i) for i in range(GOOD)] + [(harm, i) for i in range(BAD if bad else 0)]
    threads = [threading.Thread(target=guarded, args=each) for each in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return answers


def memory(client: Client) -> int:
    """Bytes that a service and its decoders hold."""
    threads = Path(f"/proc/{client.process}/task").glob("*/children")
    return sum(map(resident, (client.process, *(int(x) for path in threads for x in path.read_text().split()))))
