"""Recordings that were joined: where the clock of a file jumps, what follows is moved to where the film went on.

Transport and program streams may begin a new clock in their middle. A player shows what comes next after what came
last, and so do these: the times of packets are mended before anything else sees them. A clock that goes back has
jumped; one that goes forward has, if by more than FORWARD and if no other stream reaches so far: a still picture, or
sound that pauses, has neighbours whose time passes.
"""

import dataclasses
from collections.abc import Iterable, Iterator

import av

BACK = 0.1  # seconds; frames are stored a little out of order
FORWARD = 10.0  # seconds; shorter ones are what a receiver lost, and that time has passed
ALIKE = 1.0  # seconds by which the jumps of streams may differ: each goes to the end of its own last packet
MOVES = 10_000  # of one file; one that jumps at every packet has no clock
DISCONTINUOUS = 0x0200  # flag of a format whose clock may jump, AVFMT_TS_DISCONT of FFmpeg


@dataclasses.dataclass(frozen=True)
class Moves:
    """By how much the packets of a file are moved.

    Attributes:
      shifts: seconds, one for each part between two jumps, the first part's 0.
      begins: stream -> for each part that it has, but the first: number of its first packet, and number of the part.
      settled: (stream, number of a packet) -> when it is to be shown, ticks, where the file says so of another part.
    """

    shifts: tuple[float, ...] = (0.0,)
    begins: dict[int, tuple[tuple[int, int], ...]] = dataclasses.field(default_factory=dict)
    settled: dict[tuple[int, int], int] = dataclasses.field(default_factory=dict)

    def __bool__(self) -> bool:
        return len(self.shifts) > 1

    def moved(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """The packets of some of the streams, from the beginning of the file, at their mended times."""
        return self._moved(packets) if self else iter(packets)

    def _moved(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        seen = dict.fromkeys(self.begins, 0)
        for packet in packets:
            number, begins = seen.get(packet.stream_index, 0), self.begins.get(packet.stream_index, ())
            seen[packet.stream_index] = number + 1
            packet.pts = self.settled.get((packet.stream_index, number), packet.pts)
            part = next((part for first, part in reversed(begins) if first <= number), 0)
            move(packet, self.shifts[part])
            yield packet


NONE = Moves()


class Splicer:
    """Finds the jumps of a clock in packets as they come, and mends their times."""

    def __init__(self, container: av.container.InputContainer) -> None:
        self.jumps = bool(container.format.flags & DISCONTINUOUS)
        self.settles = container.format.name == "mpeg"
        self.shifts = [0.0]
        self.streams: dict[int, _Stream] = {}
        self.settled: dict[tuple[int, int], int] = {}

    @property
    def moves(self) -> Moves:
        """What was mended so far."""
        begins = {place: tuple(stream.begins) for place, stream in self.streams.items()}
        return Moves(tuple(self.shifts), begins, self.settled)

    def moved(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """All packets of the streams that are read, from the beginning of the file, at their mended times."""
        return self._moved(packets) if self.jumps else iter(packets)

    def _moved(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        for packet in packets:
            if packet.size:
                self._mend(packet)
            yield packet

    def _mend(self, packet: av.Packet) -> None:
        stream = self.streams.setdefault(packet.stream_index, _Stream(packet.stream.type == "video"))
        at = _time(packet.dts, packet)
        if at is not None:
            if self.settles:
                self._settle(stream, packet, at)
            if stream.next is not None and self._jumped(stream, at, stream.next):
                stream.part = self._part(stream, packet, at, stream.next)
                stream.begins.append((stream.count, stream.part))
            stream.pass_by(at, packet, self.shifts[stream.part])
        move(packet, self.shifts[stream.part])
        stream.count += 1

    def _settle(self, stream: "_Stream", packet: av.Packet, at: float) -> None:
        """In a program stream the last packet before a jump may have been given a time of display from after it."""
        shown = _time(packet.pts, packet)
        if shown is not None and stream.end is not None and not at - BACK < shown < at + FORWARD:
            packet.pts = round((stream.end - self.shifts[stream.part]) / packet.time_base)
            self.settled[packet.stream_index, stream.count] = packet.pts

    def _jumped(self, stream: "_Stream", at: float, due: float) -> bool:
        """Whether a stream's next packet goes on at another time than it should, which is `due`."""
        ahead = at + self.shifts[stream.part] - due
        if ahead < -BACK:
            return True
        if ahead > BACK and any(abs(at + shift - due) < BACK for shift in self.shifts):
            return True  # what came last was astray
        others = (other.next for other in self.streams.values() if other is not stream and other.next is not None)
        reached = max(others, default=float("-inf"))
        return ahead > FORWARD and reached < due + ahead / 2 and len(self.shifts) < MOVES

    def _part(self, stream: "_Stream", packet: av.Packet, at: float, due: float) -> int:
        """The part in which a stream goes on: one that another stream has reached already, or a new one."""
        shift = self._shift(stream, packet, at, due)
        known = (*range(stream.part + 1, len(self.shifts)), *range(stream.part))
        part = next((i for i in known if abs(self.shifts[i] - shift) < ALIKE), len(self.shifts))
        if part == len(self.shifts):
            self.shifts.append(shift)
        elif stream.pictures and part > stream.part:  # no picture is to be lost or doubled; the sound follows
            self.shifts[part] = shift
        return part

    def _shift(self, stream: "_Stream", packet: av.Packet, at: float, due: float) -> float:
        """By how much a stream's packets have to be moved from here on."""
        if not stream.pictures:
            ends = [other.end for other in self.streams.values() if other.pictures and other.end is not None]
            return max([due, *ends]) - at
        shown = _time(packet.pts, packet)
        if packet.is_keyframe and shown is not None and stream.end is not None:
            return stream.end - shown
        return due - at


class _Stream:
    """How far a stream has come, seconds on the mended time line.

    Attributes:
      next: when its next packet is to be decoded.
      end: when the last of its content ends.
      count: packets so far.
      part: where it is.
      begins: see `Moves`.
    """

    def __init__(self, pictures: bool) -> None:
        self.pictures, self.count, self.part = pictures, 0, 0
        self.next: float | None = None
        self.end: float | None = None
        self.begins: list[tuple[int, int]] = []

    def pass_by(self, at: float, packet: av.Packet, shift: float) -> None:
        length = _seconds(packet.duration or 0, packet)
        shown = _time(packet.pts, packet)
        self.next = at + shift + length
        self.end = max(self.end or self.next, (at if shown is None else shown) + shift + length)


def move(packet: av.Packet, seconds: float) -> None:
    """Changes the times of a packet."""
    if seconds and packet.size:
        ticks = round(seconds / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks


def _time(ticks: int | None, packet: av.Packet) -> float | None:
    return None if ticks is None else _seconds(ticks, packet)


def _seconds(ticks: int, packet: av.Packet) -> float:
    base = packet.time_base
    return ticks * base.numerator / base.denominator
