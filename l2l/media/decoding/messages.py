"""What a decoding process says: messages of a fixed header and raw numbers, read as what a stranger sends.

A message is MARK, the number of its kind, how many bytes follow, and these. Every kind has a bound on its bytes that is
checked before any of them is read, and every number in it is checked. Numbers are little-endian.
"""

import dataclasses
import json
import math
import struct
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from l2l.media.cut import CLIPS, SILENCE, Clip
from l2l.media.picture.jpeg import LONGEST
from l2l.media.policy import AUDIO_RATE
from l2l.media.scan import PIXELS
from l2l.media.tally import KINDS as STREAMS
from l2l.media.tally import Decoded
from l2l.media.video import Probe

T = TypeVar("T")
HEADER = struct.Struct("<4sBI")
MARK = b"l2l\x01"
FRAMES = 64  # of a clip
PIECE = 1 << 22  # samples of one message
TEXT = 1 << 18  # bytes
NOTES, NOTE = 64, 500  # at most so many, and characters of each
HEAD = 4096  # bytes, in which a JPEG says its size
SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # the parts of a JPEG that say it
COUNT = 1 << 62  # of bytes, samples or frames

_CLIP = struct.Struct("<IIddHHHHBB")
_PROBE = struct.Struct("<ddIIQBd")
_PLAN = struct.Struct("<ddBI")
_PACE = struct.Struct("<ddI")
_SPAN = struct.Struct("<QQ")
_TOLD = struct.Struct("<dQdQB")


class BadMessage(Exception):
    """It is not one that a decoding process sends."""


@dataclasses.dataclass(frozen=True)
class Ready:
    """The process can be asked."""


@dataclasses.dataclass(frozen=True)
class Done:
    """All was said of what was asked."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why no more can be said, see `MediaError`."""

    status: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Plan:
    """Where a film ends, how long its clips are, whether it has sound, and where clips start: seconds, float64 (n,)."""

    stop: float
    duration: float
    has_audio: bool
    starts: np.ndarray


@dataclasses.dataclass(frozen=True)
class Pace:
    """Of a film that is still coming: length and distance of its clips, seconds, and how many there are so far."""

    length: float
    hop: float
    count: int


@dataclasses.dataclass(frozen=True, eq=False)
class Sound:
    """Samples, int16 (n,), that follow those of the message before; which of all the track covers, [first, stop)."""

    wave: np.ndarray
    covered: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Told:
    """What is known of a film by now: whether it has sound, what of it was decoded, what has to be known of it."""

    has_audio: bool
    decoded: dict[str, Decoded]
    notes: tuple[str, ...]


def packed(value: Any) -> bytes:
    """A value as a message."""
    number, pack = _PACK[type(value)]
    body = pack(value)
    return HEADER.pack(MARK, number, len(body)) + body


def length_of(header: bytes | bytearray) -> tuple[int, int]:
    """(kind, bytes that follow). Raises BadMessage."""
    mark, kind, length = HEADER.unpack(header)
    if mark != MARK or kind >= len(_KINDS):
        raise BadMessage("no such kind")
    if length > _KINDS[kind].most:
        raise BadMessage(f"{length:,} bytes of kind {kind}")
    return kind, length


def unpacked(kind: int, body: bytearray) -> Any:
    """The value of a message. Raises BadMessage."""
    try:
        return _KINDS[kind].unpack(body)
    except (struct.error, ValueError, IndexError) as error:
        raise BadMessage(str(error)) from error


def _clip(clip: Clip) -> bytes:
    jpegs, lengths, before = [], [], None
    for jpeg in clip.jpegs:  # one that stands for several is sent once
        lengths.append(0 if jpeg is before else len(jpeg))
        jpegs += [] if jpeg is before else [jpeg]
        before = jpeg
    sound = b"" if clip.audio is SILENCE else clip.audio.astype("<i2", copy=False).tobytes()
    numbers = (clip.index, clip.clips, clip.start, clip.duration, clip.frames_valid, len(lengths), *clip.audio_valid)
    head = _CLIP.pack(*numbers, clip.has_audio, bool(sound))
    return b"".join([head, struct.pack(f"<{len(lengths)}I", *lengths), *jpegs, sound])


def _clip_of(body: bytearray) -> Clip:
    index, clips, start, duration, valid, count, first, stop, has_audio, sound = _CLIP.unpack_from(body)
    lengths = struct.unpack_from(f"<{_most(count, FRAMES)}I", body, _CLIP.size)
    _demand(count and lengths[0] and valid <= count and first <= stop <= AUDIO_RATE)
    _demand(max(index, clips) <= CLIPS and (clips == 0 or index < clips))
    at = _CLIP.size + 4 * count
    _demand(len(body) == at + sum(lengths) + 2 * AUDIO_RATE * _flag(sound))
    jpegs: list[bytes] = []
    view = memoryview(body)
    for length in lengths:
        jpegs.append(_picture_of(view[at : at + length]) if length else jpegs[-1])
        at += length
    audio = np.frombuffer(body[at:], "<i2") if sound else SILENCE
    return Clip(index, clips, _finite(start), _length(duration), jpegs, valid, audio, (first, stop), _flag(has_audio))


def _picture_of(data: bytearray | memoryview) -> bytes:
    """A JPEG whose header names a size that can be."""
    body, at = bytes(data), 2
    _demand(body[:2] == b"\xff\xd8")
    while at < HEAD and body[at + 1] not in SIZES:
        _demand(body[at] == 0xFF)
        at += 2 + max(int.from_bytes(body[at + 2 : at + 4]), 2)
    _demand(at < HEAD)
    height, width = (int.from_bytes(body[at + i : at + i + 2]) for i in (5, 7))
    _demand(0 < height <= LONGEST and 0 < width <= LONGEST and height * width <= PIXELS)
    return body


def _probe_of(body: bytearray) -> Probe:
    duration, fps, width, height, frames, has_audio, begin = _PROBE.unpack(body)
    _demand(math.isfinite(begin))
    duration, fps, width, height = _length(duration), _length(fps), _most(width, PIXELS), _most(height, PIXELS)
    return Probe(duration, fps, width, height, _most(frames, COUNT), _flag(has_audio), begin)


def _plan_of(body: bytearray) -> Plan:
    stop, duration, has_audio, count = _PLAN.unpack_from(body)
    _demand(0 < count <= CLIPS and len(body) == _PLAN.size + 8 * count)
    starts = np.frombuffer(body[_PLAN.size :], "<f8")
    _demand(np.isfinite(starts).all() and (np.diff(starts) >= 0).all())
    return Plan(_length(stop), _length(duration), _flag(has_audio), starts)


def _pace_of(body: bytearray) -> Pace:
    length, hop, count = _PACE.unpack(body)
    return Pace(_length(length), _length(hop), _most(count, CLIPS))


def _sound_of(body: bytearray) -> Sound:
    first, stop = (_most(x, COUNT) for x in _SPAN.unpack_from(body))
    _demand(first <= stop)
    return Sound(np.frombuffer(body[_SPAN.size :], "<i2"), (first, stop))


def _told(value: Told) -> bytes:
    spent = (x for kind in STREAMS.values() for x in (value.decoded[kind].seconds, value.decoded[kind].bytes))
    notes = [_line(note)[:NOTE] for note in value.notes[:NOTES]]
    return _TOLD.pack(*spent, value.has_audio) + json.dumps(notes).encode()


def _told_of(body: bytearray) -> Told:
    *spent, has_audio = _TOLD.unpack_from(body)
    pairs = zip(spent[::2], spent[1::2], strict=True)
    decoded = [Decoded(_length(seconds, least=0.0), _most(size, COUNT)) for seconds, size in pairs]
    try:
        notes = json.loads(body[_TOLD.size :])
    except RecursionError as error:
        raise BadMessage("notes in notes") from error
    _demand(isinstance(notes, list) and all(isinstance(note, str) and note.isprintable() for note in notes))
    return Told(_flag(has_audio), dict(zip(STREAMS.values(), decoded, strict=True)), tuple(notes))


def _problem_of(body: bytearray) -> Problem:
    status, _, reason = body.decode().partition("\n")
    _demand(status.isidentifier() and status.isascii() and len(status) < 32 and reason.isprintable())
    return Problem(status, reason)


def _problem(value: Problem) -> bytes:
    return f"{value.status}\n{_line(value.reason)[: TEXT // 8]}".encode()


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _empty(value: T) -> Callable[[bytearray], T]:
    """Reads a message of no bytes as this value."""

    def read(body: bytearray) -> T:
        _demand(not body)
        return value

    return read


def _demand(right: Any) -> None:
    if not right:
        raise BadMessage("a number in it cannot be")


def _finite(x: float) -> float:
    _demand(math.isfinite(x))
    return x


def _length(x: float, least: float = 5e-324) -> float:
    _demand(least <= x < math.inf)
    return x


def _most(x: int, most: int) -> int:
    _demand(x <= most)
    return x


def _flag(x: int) -> bool:
    _demand(x in (0, 1))
    return bool(x)


@dataclasses.dataclass(frozen=True)
class _Kind:
    """A kind of message: the type of its value, the most bytes it has, and what writes and reads them."""

    type: type
    most: int
    pack: Callable[[Any], bytes]
    unpack: Callable[[bytearray], Any]


_KINDS = (
    _Kind(Ready, 0, lambda _: b"", _empty(Ready())),
    _Kind(Done, 0, lambda _: b"", _empty(Done())),
    _Kind(Problem, TEXT, _problem, _problem_of),
    _Kind(Clip, 1 << 28, _clip, _clip_of),
    _Kind(bytes, 1 << 26, bytes, _picture_of),
    _Kind(Probe, _PROBE.size, lambda x: _PROBE.pack(*dataclasses.astuple(x)), _probe_of),
    _Kind(
        Plan,
        _PLAN.size + 8 * CLIPS,
        lambda x: _PLAN.pack(x.stop, x.duration, x.has_audio, len(x.starts)) + x.starts.astype("<f8").tobytes(),
        _plan_of,
    ),
    _Kind(Pace, _PACE.size, lambda x: _PACE.pack(*dataclasses.astuple(x)), _pace_of),
    _Kind(
        Sound,
        _SPAN.size + 2 * PIECE,
        lambda x: _SPAN.pack(*x.covered) + x.wave.astype("<i2", copy=False).tobytes(),
        _sound_of,
    ),
    _Kind(Told, _TOLD.size + TEXT, _told, _told_of),
)
_PACK = {kind.type: (number, kind.pack) for number, kind in enumerate(_KINDS)}
