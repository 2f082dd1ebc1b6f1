"""Broken video files: the ways in which downloads, disks and encoders break them, and some that only malice finds."""

import random
from collections.abc import Callable
from pathlib import Path

from tests.helpers.videos import write_video

# What follows these bytes says how long, how large or how fast a video is: in mp4, in avi, in Matroska.
NUMBERS = (b"mvhd", b"mdhd", b"tkhd", b"stts", b"stsz", b"stsc", b"ctts", b"elst", b"avc1", b"mp4a")
NUMBERS += (b"avih", b"strh", b"strf", b"idx1")
NUMBERS += (b"\x44\x89", b"\x2a\xd7\xb1", b"\xb0\x81", b"\xba\x81", b"\x23\xe3\x83", b"\xe7\x81", b"\x1f\x43\xb6\x75")
ALIKE = {"fflags": "+bitexact"}  # of containers: without numbers by chance, which Matroska has
ABSURD = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\xff\xff", b"\xff\xff\0\0", b"\0\0\0\1")


def originals(folder: Path) -> list[bytes]:
    """A second of video in each of the four containers."""
    how = {"options": {"preset": "ultrafast", "g": "5"}, "size": (64, 48)}
    mpeg4 = {"codec": "mpeg4", "audio_codec": "mp3", "sample_format": "s16p", "size": (64, 48)}
    webm = {"codec": "libvpx", "audio_codec": "libopus", "rate": 48_000, "sample_format": "flt", "size": (64, 48)}
    files = {"a.mp4": how, "b.avi": mpeg4, "c.webm": webm, "d.mkv": how}
    return [write_video(folder / name, container_options=ALIKE, **how).read_bytes() for name, how in files.items()]


def mutated(data: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """A file with one to three faults of random kinds."""
    for _ in range(dice.randint(1, 3)):
        data = dice.choice(FAULTS)(bytearray(data), others, dice)
    return bytes(data)


def flipped(data: bytearray, others: list[bytes], dice: random.Random) -> bytearray:
    for _ in range(dice.randint(1, 40)):
        data[dice.randrange(len(data))] = dice.randrange(256)
    return data


def headers_flipped(data: bytearray, others: list[bytes], dice: random.Random) -> bytearray:
    """In the first or the last 2 kB, which is where most containers say what they hold."""
    reach = min(2048, len(data))
    for _ in range(dice.randint(1, 10)):
        data[dice.choice((dice.randrange(reach), -1 - dice.randrange(reach)))] = dice.randrange(256)
    return data


def truncated(data: bytearray, others: list[bytes], dice: random.Random) -> bytearray:
    return data[: dice.randrange(1, len(data) + 1)]


def swapped(data: bytearray, others: list[bytes], dice: random.Random) -> bytearray:
    """The head of another file before the rest of this one."""
    count = dice.choice((16, 64, 256, 1024, 4096))
    return bytearray(dice.choice(others)[:count]) + data[count:] or data


def renumbered(data: bytearray, others: list[bytes], dice: random.Random) -> bytearray:
    """An absurd number, or 0, where the length, the size or the rate stands."""
    there = [i + len(tag) for tag in NUMBERS for i in range(len(data)) if data[i : i + len(tag)] == tag]
    for _ in range(dice.randint(1, 3) if there else 0):
        at = dice.choice(there) + dice.choice((0, 1, *range(0, 84, 4)))
        data[at : at + 4] = dice.choice(ABSURD)
    return data


def moved(data: bytearray, others: list[bytes], dice: random.Random) -> bytearray:
    """A piece doubled, cut out, or replaced by zeros or by a piece of another file."""
    first = dice.randrange(len(data))
    piece, other = data[first : first + dice.randint(1, 3000)], dice.choice(others)
    cut = dice.randrange(len(other))
    new = dice.choice((piece * 2, bytearray(), bytearray(len(piece)), bytearray(other[cut : cut + len(piece)])))
    return data[:first] + new + data[first + len(piece) :] or data


FAULTS: tuple[Callable[[bytearray, list[bytes], random.Random], bytearray], ...] = (
    flipped,
    headers_flipped,
    truncated,
    swapped,
    renumbered,
    renumbered,
    moved,
)

# What a file claims: container, the bytes before the number, how far behind them it stands, the number.
CLAIMS = {
    "mp4 lasts for ever": (0, b"mdhd", 16, b"\xff\xff\xff\xff"),
    "mp4 has no clock": (0, b"mdhd", 12, b"\0\0\0\0"),
    "mp4 frames last for days": (0, b"stts", 12, b"\x7f\xff\xff\xff"),
    "mp4 is 65535 x 65535": (0, b"avc1", 24, b"\xff\xff\xff\xff"),
    "mp4 has 4 billion frames": (0, b"stsz", 8, b"\xff\xff\xff\xff"),
    "avi is 2 billion pixels wide": (1, b"strf", 8, b"\xff\xff\xff\x7f"),
    "avi has no frame rate": (1, b"strh", 24, b"\0\0\0\0"),
    "avi has a frame a nanosecond": (1, b"strh", 28, b"\xff\xff\xff\xff"),
    "webm is 65535 pixels wide": (2, b"\xb0\x81", -1, b"\xb0\x82\xff\xff"),
    "mkv lasts for ever": (3, b"\x44\x89\x88", 0, b"\x7e\x37\xe4\x3c\x88\x00\x75\x9c"),
}


def claiming(data: list[bytes], claim: str) -> bytes:
    number, tag, offset, value = CLAIMS[claim]
    at = data[number].index(tag) + len(tag) + offset
    return data[number][:at] + value + data[number][at + len(value) :]
