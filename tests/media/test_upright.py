"""Frames as a player shows them, by value: the shape of pixels, all eight orientations, whatever says so."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from l2l.data.preprocess import centre_crop
from l2l.media import video
from l2l.media.live import LiveFilm, from_container
from l2l.media.picture import jpeg
from l2l.media.picture.thumbnails import read_pictures
from l2l.media.policy import ClipPolicy
from tests.helpers.videos import number_of, numbered

COLOURS = {"R": (220, 40, 40), "G": (40, 180, 40), "B": (40, 40, 220), "Y": (220, 200, 40)}
CORNERS = np.array([[*"RG"], [*"BY"]])
X264 = {"codec": "libx264", "options": {"qp": "8", "bf": "0"}}
X265 = {"codec": "libx265", "options": {"x265-params": "log-level=none:qp=8", "preset": "ultrafast"}}
INTRA = {"codec": "mjpeg", "pix_fmt": "yuvj420p"}


def cornered(size=(96, 64)):
    """uint8 (h, w, 3): a colour in every quarter."""
    width, height = size
    quarters = np.array([[COLOURS[letter] for letter in row] for row in CORNERS], np.uint8)
    return quarters.repeat(height // 2, 0).repeat(width // 2, 1)


def write(path, pictures, *, codec="libx264", pix_fmt="yuv420p", options=None, pixel=None, turn=None, alter=None):
    """A film of pictures, uint8 (h, w, 3), ten a second.

    Args:
      pixel: width of a pixel over its height, told to the encoder and to the container.
      turn: (degrees anticlockwise, mirrored left to right after that) for the container.
      alter: a function of a packet's bytes.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25 if codec in ("mpeg2video", "dvvideo") else 10)
        stream.options = options or {}
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], pix_fmt
        if pixel:
            stream.codec_context.sample_aspect_ratio = pixel
        if turn:
            stream.set_display_rotation(turn[0], hflip=turn[1])
        for frame in [*(av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures), None]:
            for packet in stream.encode(frame):
                container.mux(altered(packet, alter) if alter else packet)
    return path


def altered(packet, alter):
    """The same packet with other bytes."""
    changed = av.Packet(alter(bytes(packet)))
    for key in ("stream", "time_base", "pts", "dts", "is_keyframe"):
        setattr(changed, key, getattr(packet, key))
    return changed


def seen(path, short_side=64, **policy):
    """The first image of a film's first clip."""
    (clip, *_) = video.read_clips(path, ClipPolicy(frames=2, short_side=short_side, **policy))
    return jpeg.decode_jpeg(clip.jpegs[0])


def corners(picture):
    """The letters of a picture's quarters, row by row."""
    height, width = picture.shape[:2]
    places = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    colours = (picture[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(0) for y, x in places)
    far = lambda colour, letter: float(np.square(np.subtract(colour, COLOURS[letter])).sum())
    return "".join(min(COLOURS, key=lambda letter: far(colour, letter)) for colour in colours)


def facts(path):
    """(width, height) that `probe` tells, and the film's notes."""
    told = video.probe(path)
    return (told.width, told.height), video.open_film(path, ClipPolicy(frames=2)).notes


PIXELS = {
    "H.264, wide, mp4": ("a.mp4", X264, (96, 72), Fraction(4, 3), 128),
    "H.264, of its bitstream alone": ("a.ts", X264, (96, 72), Fraction(4, 3), 128),
    "H.264, raw": ("a.h264", X264, (96, 72), Fraction(4, 3), 128),
    "H.264, narrow": ("a.mov", X264, (96, 72), Fraction(3, 4), 72),
    "H.265": ("a.mkv", X265, (96, 72), Fraction(40, 33), 116),
    "Motion JPEG, mkv": ("a.mkv", INTRA, (96, 72), Fraction(1, 2), 48),
    "MPEG-4, avi": ("a.avi", {"codec": "mpeg4"}, (96, 72), Fraction(12, 11), 105),
    "MPEG-2, ts": ("a.ts", {"codec": "mpeg2video"}, (96, 72), Fraction(4, 3), 128),
    "DV, PAL": ("a.avi", {"codec": "dvvideo"}, (720, 576), Fraction(16, 15), 768),
    "DV, PAL, wide": ("a.avi", {"codec": "dvvideo"}, (720, 576), Fraction(64, 45), 1024),
}


@pytest.mark.parametrize("made", PIXELS.values(), ids=PIXELS)
def test_pixels_that_are_not_square(tmp_path, made):
    name, how, size, pixel, width = made
    path = write(tmp_path / name, [numbered(i, size) for i in (5, 5, 163, 163)], pixel=pixel, **how)
    if name != "a.h264":  # which holds no times
        assert facts(path) == ((width, size[1]), ())
    picture, short = seen(path), min(width, size[1])
    assert picture.shape == (round(size[1] * 64 / short), round(width * 64 / short), 3)
    assert number_of(picture) == 5
    assert seen(path, width=80).shape == (64, 80, 3)


def patched(path, box, at, data):
    """Changes what an MP4 file says in a box."""
    found = bytearray(path.read_bytes())
    place = found.index(box) + 4 + at
    found[place : place + len(data)] = data
    path.write_bytes(found)
    return path


@pytest.mark.parametrize(("shown", "width"), [((192, 72), 192), ((48, 72), 48), ((4, 3), 96), ((16, 9), 128)])
@pytest.mark.parametrize("codec", ["libvpx", "ffv1", "libx264"])
def test_matroska_says_how_large_it_is_shown(tmp_path, codec, shown, width):
    """Whatever the unit, it is the shape that counts; where it says so, the bitstream does not."""
    path = write(tmp_path / "a.mkv", [numbered(5, (96, 72))] * 3, codec=codec, pixel=Fraction(3, 2))
    data = path.read_bytes()
    old = bytes.fromhex("e08a b08160 ba8148 54b28104 55ee8100")  # a picture's size, no unit; no additions to blocks
    new = bytes.fromhex("e08e b08160 ba8148 54b081{:02x} 54ba81{:02x}".format(*shown))
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, new))
    assert facts(path) == ((width, 72), ())


def test_the_container_says_more_than_the_bitstream(tmp_path):
    """Its own shape of pixels counts where it makes sense, else the bitstream's, else they are square."""
    pictures = [numbered(5, (96, 72))] * 3
    path = write(tmp_path / "a.mp4", pictures, pixel=Fraction(4, 3), **X264)
    for said, width in [((2, 1), 192), ((0, 1), 128), ((1, 0), 128), ((-1, 1), 128), ((101, 100), 97)]:
        assert facts(patched(path, b"pasp", 0, struct.pack(">2i", *said))) == ((width, 72), ())
    for said in ((1000, 1), (1, 1000), (2**31 - 1, 1)):
        width, (note,) = facts(patched(path, b"pasp", 0, struct.pack(">2i", *said)))
        assert width == (96, 72)
        assert note == f"its pixels would be {said[0]}:{said[1]}, width to height: taken as square"
    assert seen(path).shape == (64, 85, 3)


@pytest.mark.parametrize("pixel", [Fraction(1, 1), Fraction(200, 201), Fraction(201, 200)])
def test_a_shape_within_rounding_changes_nothing(tmp_path, pixel):
    pictures = [numbered(i, (96, 72)) for i in range(3)]
    jpegs = lambda name, pixel: (
        next(video.read_clips(write(tmp_path / name, pictures, pixel=pixel, codec="mpeg4"), ClipPolicy(frames=3))).jpegs
    )
    assert jpegs("a.mp4", pixel) == jpegs("b.mp4", None)


# Of a file's matrix ((a, b), (c, d)): a point (x, y), y going down, is shown at (a x + c y, b x + d y).
MATRICES = {
    "as stored": ((1, 0, 0, 1), "RGBY"),
    "left to right": ((-1, 0, 0, 1), "GRYB"),
    "top to bottom": ((1, 0, 0, -1), "BYRG"),
    "upside down": ((-1, 0, 0, -1), "YBGR"),
    "a quarter clockwise": ((0, 1, -1, 0), "BRYG"),
    "a quarter anticlockwise": ((0, -1, 1, 0), "GYRB"),
    "rows as columns": ((0, 1, 1, 0), "RBGY"),
    "rows as columns, backwards": ((0, -1, -1, 0), "YGBR"),
}


def turned(path, a, b, c, d):
    """Writes a matrix into an MP4 file's header."""
    fixed = lambda x: round(x * 65536)
    matrix = struct.pack(">9i", fixed(a), fixed(b), 0, fixed(c), fixed(d), 0, 0, 0, 1 << 30)
    return patched(path, b"tkhd", 40, matrix)


@pytest.mark.parametrize(("matrix", "shown"), MATRICES.values(), ids=MATRICES)
@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
def test_matrix_of_a_file(tmp_path, name, matrix, shown):
    path = turned(write(tmp_path / name, [cornered()] * 3, **X264), *matrix)
    size = (64, 96) if matrix[1] else (96, 64)
    assert facts(path) == (size, ())
    picture = seen(path, short_side=32)
    assert picture.shape == (size[1] // 2, size[0] // 2, 3)
    squeezed = seen(path, short_side=32, width=40)
    assert squeezed.shape == (32, 40, 3)
    assert corners(picture) == corners(squeezed) == shown
    assert corners(jpeg.decode_jpeg(read_pictures(path, [0.1], short_side=48)[0])) == shown


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize(("name", "how"), [("a.mkv", X264), ("a.webm", {"codec": "libvpx"})], ids=["mkv", "webm"])
def test_matrix_of_matroska(tmp_path, name, how, quarters, mirrored):
    """It has an angle, and one of 180 degrees around the upright axis for a mirror."""
    path = write(tmp_path / name, [cornered()] * 3, turn=(quarters * 90, mirrored), **how)
    right = np.rot90(CORNERS, quarters)
    assert corners(seen(path)) == "".join((right[:, ::-1] if mirrored else right).ravel())


def told_by(codec, hflip, vflip, quarters):
    """Puts a display orientation message, which stays in force, before a packet: flips first, then an angle."""
    before, after = {"libx264": (b"\x06", "01001"), "libx265": (b"\x4e\x01", "11000")}[codec]
    payload = int(f"0{hflip:b}{vflip:b}{quarters << 14:016b}{after}", 2).to_bytes(3, "big")
    return lambda data: b"\0\0\0\1" + before + bytes([47, len(payload)]) + payload + b"\x80" + data


@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize(
    ("name", "how"),
    [("a.mp4", X264), ("a.mkv", X264), ("a.ts", X264), ("a.mov", X265)],
    ids=["mp4", "mkv", "ts", "265"],
)
def test_message_in_the_bitstream(tmp_path, name, how, quarters, flips):
    path = write(tmp_path / name, [cornered()] * 3, alter=told_by(how["codec"], *flips, quarters), **how)
    flipped = CORNERS[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
    assert corners(seen(path)) == "".join(np.rot90(flipped, quarters).ravel())


def test_the_bitstream_is_nearer_to_the_picture_than_the_file(tmp_path):
    alter = told_by("libx264", False, False, 2)
    path = turned(write(tmp_path / "a.mp4", [cornered()] * 3, alter=alter, **X264), -1, 0, 0, 1)
    assert corners(seen(path)) == "YBGR"


@pytest.mark.parametrize(("said", "shown"), [(1, "RGBY"), (2, "GRYB"), (3, "YBGR"), (5, "RBGY"), (6, "BRYG")])
def test_orientation_of_jpegs(tmp_path, said, shown):
    """Each picture of a camera's Motion JPEG says how it was held, in a kind of side data that PyAV cannot name."""

    def held(data):
        notes, out = Image.Exif(), io.BytesIO()
        notes[0x112] = said
        Image.open(io.BytesIO(data)).save(out, "JPEG", exif=notes, quality=95, subsampling=2)
        return out.getvalue()

    path = write(tmp_path / "a.avi", [cornered()] * 3, alter=held, **INTRA)
    assert corners(seen(path)) == shown
    assert facts(path) == ((96, 64) if said < 5 else (64, 96), ())


ODD = {
    "a slight slant": ((0.99995, 0.01, -0.01, 0.99995), "RGBY", ()),
    "a slant": (
        (-0.1736, 0.9848, -0.9848, -0.1736),
        "BRYG",
        ("its display matrix turns it by -100 degrees (anticlockwise): turned by -90",),
    ),
    "a slant of a mirror": (
        (0.1736, 0.9848, 0.9848, -0.1736),
        "RBGY",
        ("its display matrix turns it by 100 degrees (anticlockwise): turned by 90",),
    ),
    "nothing": ((0, 0, 0, 0), "RGBY", ("its display matrix leaves no picture: shown as stored",)),
    "a line": ((1, 0, 1, 0), "RGBY", ("its display matrix leaves no picture: shown as stored",)),
    "twice the size": ((0, 2, -2, 0), "BRYG", ()),
    "a slant, twice as wide": (
        (1.2856, 0.766, -1.5321, 0.6428),
        "BRYG",
        ("its display matrix turns it by -50 degrees (anticlockwise): turned by -90",),
    ),
}


@pytest.mark.parametrize(("matrix", "shown", "notes"), ODD.values(), ids=ODD)
def test_odd_matrices(tmp_path, matrix, shown, notes):
    path = turned(write(tmp_path / "a.mp4", [cornered()] * 3, **X264), *matrix)
    assert corners(seen(path)) == shown
    assert facts(path)[1] == notes


def test_pixels_first_then_turns(tmp_path):
    """A film of 96 x 64 with pixels of 2:1 and a turn is 64 wide and 192 high: its middle square is cut from that."""
    picture = np.full((64, 96, 3), 20, np.uint8)
    picture[16:48, 40:48] = 220  # stored: 16 pixels of the shown film across, in the middle of it
    path = turned(write(tmp_path / "a.mp4", [picture] * 3, pixel=Fraction(2, 1), **X264), 0, 1, 1, 0)
    assert facts(path) == ((64, 192), ())
    for image in (seen(path, short_side=32), jpeg.decode_jpeg(read_pictures(path, [0.0], short_side=96)[0])):
        side = image.shape[1]
        assert image.shape[0] == 3 * side
        square = centre_crop(image, side)
        box = np.s_[side // 4 : side // 2, side // 4 : side * 3 // 4]  # (80..96) - 64 rows of 64
        assert square[box].mean() > 200
        assert square.mean() == pytest.approx(20 + 200 / 8, abs=6)


def test_a_film_that_is_still_coming_is_shown_alike(tmp_path):
    path = write(tmp_path / "a.mkv", [cornered()] * 6, pixel=Fraction(4, 3), turn=(90, True), **X264)
    policy = ClipPolicy(frames=3, short_side=48)
    with av.open(str(path)) as container:
        film = LiveFilm("a.mkv", from_container(container, "a.mkv"), policy)
        jpegs = [clip.jpegs for clip in film.clips(1, 3)]
    assert jpegs == [clip.jpegs for clip in video.read_clips(path, policy)]
    assert jpeg.decode_jpeg(jpegs[0][0]).shape == (96, 48, 3)
