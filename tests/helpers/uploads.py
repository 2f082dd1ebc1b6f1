"""Uploads that are made to do harm: small files that ask for much, or for other files."""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.videos import write_video


def bomb(folder: Path) -> bytes:
    """A video of 7 kB, in PNG pictures that claim to be 100,000 x 100,000 pixels."""
    data = write_video(folder / "bomb.avi", codec="png", pix_fmt="rgb24", audio=False, fps=5).read_bytes()
    at = data.index(b"IHDR")
    while at >= 0:
        head = data[at : at + 4] + struct.pack(">II", 100_000, 100_000) + data[at + 12 : at + 17]
        data = data[:at] + head + struct.pack(">I", zlib.crc32(head)) + data[at + 21 :]
        at = data.find(b"IHDR", at + 1)
    return data


def billion(folder: Path) -> bytes:
    """An mp4 of 2 kB that claims to have 10^9 frames of one byte."""
    data = bytearray(write_video(folder / "billion.mp4", audio=False).read_bytes())
    struct.pack_into(">II", data, data.index(b"stsz") + 8, 1, 10**9)
    struct.pack_into(">I", data, data.index(b"stts") + 12, 10**9)
    return bytes(data)


def pointing(folder: Path) -> Iterator[bytes]:
    """Files that are no videos but point at one that nobody may see."""
    secret = folder / "secret.mp4"
    yield f"ffconcat version 1.0\nfile '{secret}'\n".encode()
    yield f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    yield f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 1 RTP/AVP 96\na=x:{secret}\n".encode()
    yield (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S">'
        f'<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>file://{secret}'
        "</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ).encode()


def jpegs(folder: Path) -> bytes:
    """A film in JPEG pictures that claim to be 13,000 x 13,000 pixels."""
    film = write_video(folder / "jpegs.avi", codec="mjpeg", pix_fmt="yuvj420p", audio=False, fps=5)
    first, *others = film.read_bytes().split(b"\xff\xc0")
    return b"\xff\xc0".join([first, *(x[:3] + struct.pack(">HH", 13_000, 13_000) + x[7:] for x in others)])


def inflating() -> bytes:
    """A zip archive of 100 kB that holds 100 MB."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("video.mp4", bytes(100 << 20))
    return packed.getvalue()


def harmful(folder: Path) -> dict[str, bytes]:
    """All of them, and what is no file at all, by what they are; none may be read."""
    found = {f"points elsewhere, {i}": content for i, content in enumerate(pointing(folder))}
    found |= {"PNG bomb": bomb(folder), "10^9 frames": billion(folder), "JPEG bomb": jpegs(folder), "zip": inflating()}
    return found | {"nothing": b"", "text": b"not a video", "noise": random.Random(0).randbytes(100_000)}
