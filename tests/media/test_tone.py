"""HDR and wide colours by value: a scene of known light looks as its SDR film does."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from l2l.media import video
from l2l.media.live import LiveFilm, from_container
from l2l.media.picture import jpeg
from l2l.media.picture.tone import compressed
from l2l.media.policy import ClipPolicy
from tests.helpers.videos import in_a_thread

X265 = ("a.mp4", "libx265", "yuv420p10le", {"x265-params": "log-level=none:qp=6", "preset": "ultrafast"})
MADE = {
    "H.265": X265,
    "H.265, 12-bit 4:2:2": ("a.mkv", "libx265", "yuv422p12le", X265[3]),
    "H.264": ("a.ts", "libx264", "yuv420p10le", {"qp": "6"}),
    "VP9, 8-bit": ("a.webm", "libvpx-vp9", "yuv420p", {"deadline": "realtime", "crf": "4"}),
    "AV1": ("a.mp4", "libsvtav1", "yuv420p10le", {"preset": "12", "crf": "5"}),
    "FFV1, RGB": ("a.mkv", "ffv1", "gbrp10le", {}),
}
WHITE = 203  # cd/m2
GREY = np.array([0.0, 0.02, 0.05, 0.09, 0.18, 0.35, 0.6, 1.0])  # light, of reference white's
PATCHES = np.array([[0.7, 0.03, 0.03], [0.03, 0.4, 0.03], [0.03, 0.03, 0.7], [0.7, 0.5, 0.03]])
PATCHES = np.concatenate([PATCHES, [[0.5, 0.03, 0.4], [0.03, 0.4, 0.5], [0.4, 0.2, 0.1], [0.3, 0.5, 0.8]]])
SCENE = np.stack([np.repeat(GREY[:, None], 3, 1), PATCHES])  # linear BT.709, (2, 8, 3)
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # BT.2087
STOPS = {"HLG": ColorTrc.ARIB_STD_B67, "PQ": ColorTrc.SMPTE2084, "": ColorTrc.BT709}


def hlg(light):
    """cd/m2 of a display of 1000 -> signal, BT.2100: the inverse of the OOTF, then the OETF."""
    luminance = light @ [0.2627, 0.6780, 0.0593] / 1000
    scene = light / 1000 * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def pq(light):
    """cd/m2 -> signal, SMPTE ST 2084."""
    x = (light / 10_000) ** 0.1593017578125
    return ((0.8359375 + 18.8515625 * x) / (1 + 18.6875 * x)) ** 78.84375


def sdr(light):
    return np.clip(light, 0, 1) ** (1 / 2.4)


def signal(kind, light):
    """Linear BT.709, 1 for reference white -> what is stored."""
    if not kind:
        return sdr(light)
    wide = np.maximum(light @ TO_BT2020.T, 0) * WHITE
    return hlg(wide) if kind == "HLG" else pq(wide)


@in_a_thread
def write(folder, made, stored, *, trc, primaries=ColorPrimaries.BT2020, matrix=Colorspace.BT2020, said=None):
    """A film of one picture whose fields have these signals, (h, w, 3), 0..1; it may say that its matrix is another."""
    name, codec, pix_fmt, options = made
    picture = np.rint(np.kron(np.minimum(stored, 1), np.ones((32, 16, 1))) * 65535).astype(np.uint16)
    with av.open(str(folder / name), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width, stream.pix_fmt = *picture.shape[:2], pix_fmt
        context = stream.codec_context
        context.color_trc, context.color_primaries = trc, primaries
        if not pix_fmt.startswith("gbr"):
            context.color_range, context.colorspace = ColorRange.MPEG, said or matrix
        frame = av.VideoFrame.from_ndarray(picture, format="rgb48le")
        how = {"dst_colorspace": matrix, "dst_color_range": ColorRange.MPEG}
        frame = frame.reformat(format=pix_fmt, **({} if pix_fmt.startswith("gbr") else how))
        frame.color_trc, frame.color_primaries = trc, primaries
        frame.colorspace = said or frame.colorspace
        for i in range(4):
            frame.pts = i
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return folder / name


def fields(path, down=2, across=8):
    """Mean colours of the fields of a film's first picture, (h, w, 3), and its notes."""
    film = video.open_film(path, ClipPolicy(frames=2, quality=100, short_side=min(32 * down, 16 * across)))
    (clip, *_) = film.seen([0], 1)
    picture = jpeg.decode_jpeg(clip.jpegs[0]).reshape(down, 32, across, 16, 3)
    return picture[:, 8:-8, :, 4:-4].mean((1, 3)), film.notes


@pytest.mark.parametrize("kind", ["HLG", "PQ"])
@pytest.mark.parametrize("made", MADE.values(), ids=MADE)
def test_a_scene_looks_as_in_sdr(tmp_path, made, kind):
    path = write(tmp_path, made, signal(kind, SCENE), trc=STOPS[kind])
    found, notes = fields(path)
    assert notes == (f"HDR ({kind}): tone-mapped to SDR",)
    wanted = sdr(SCENE) * 255
    assert found.mean() == pytest.approx(wanted.mean(), abs=4)
    greys = found[0].mean(-1)
    assert (np.diff(greys) > 8).all()
    assert greys[:6] == pytest.approx(wanted[0, :6, 0], abs=4)  # darker than the knee: nothing is changed
    assert greys[7] == pytest.approx(230, abs=4)
    assert np.ptp(found[0], axis=-1).max() < 6
    assert np.abs(found[1] - wanted[1]).max() < 14
    assert np.abs(found[1] - wanted[1]).mean() < 5


@pytest.mark.parametrize(
    ("kind", "stored", "wanted"),
    [
        ("HLG", [0, 0.38, 0.5, 0.75, 0.9, 1], [0, 108, 143, 230, 253, 255]),
        ("PQ", [0, 0.38, 0.44, 0.58, 0.67, 0.7518, 0.9, 1], [0, 108, 144, 230, 250, 255, 255, 255]),
    ],
)
def test_levels_of_the_standards(tmp_path, kind, stored, wanted):
    """ITU-R BT.2408: a grey card is at 38 %, white at 75 % of HLG's signal and 58 % of PQ's."""
    path = write(tmp_path, MADE["FFV1, RGB"], np.repeat(np.array(stored)[None, :, None], 3, 2), trc=STOPS[kind])
    found, _ = fields(path, down=1, across=len(stored))
    assert found[0].mean(-1) == pytest.approx(wanted, abs=3)


@pytest.mark.parametrize("kind", ["HLG", "PQ"])
def test_colours_that_an_sdr_display_does_not_have(tmp_path, kind):
    """Red, green and blue of BT.2020, dim and as bright as they come, keep their hues; brighter stays brighter."""
    light = np.stack([np.eye(3) * level for level in (0.1, 0.6, 3)])
    stored = {"HLG": hlg, "PQ": pq}[kind](light * WHITE)
    found, _ = fields(write(tmp_path, X265, stored, trc=STOPS[kind]), down=3, across=3)
    for row in found:
        for own, colour in enumerate(row):
            assert colour.argmax() == own
            assert np.delete(colour, own).max() < 0.35 * colour[own] + 12
    assert (np.diff(found[:, range(3), range(3)], axis=0) > 20).all()
    assert found[1, range(3), range(3)].min() > 200


WIDE = {
    "BT.2020": (ColorTrc.BT2020_10, ColorPrimaries.BT2020, Colorspace.BT2020, TO_BT2020),
    "BT.2020, transfer unsaid": (ColorTrc.UNSPECIFIED, ColorPrimaries.BT2020, Colorspace.BT2020, TO_BT2020),
    "Display P3": (
        ColorTrc.BT709,
        ColorPrimaries.SMPTE432,
        Colorspace.ITU709,
        np.array([[0.8225, 0.1775, 0], [0.0332, 0.9668, 0], [0.0171, 0.0724, 0.9105]]),
    ),
}


@pytest.mark.parametrize("made", WIDE.values(), ids=WIDE)
def test_wide_colours_without_hdr(tmp_path, made):
    trc, primaries, matrix, wide = made
    path = write(tmp_path, X265, sdr(SCENE @ wide.T), trc=trc, primaries=primaries, matrix=matrix)
    found, notes = fields(path)
    assert notes == ("wide colours: mapped to those of BT.709",)
    assert found == pytest.approx(sdr(SCENE) * 255, abs=10)


def test_ordinary_films_are_left_alone(tmp_path):
    how = {"trc": ColorTrc.BT709, "primaries": ColorPrimaries.BT709, "matrix": Colorspace.ITU709}
    found, notes = fields(write(tmp_path, X265, signal("", SCENE), **how))
    assert notes == ()
    assert found == pytest.approx(sdr(SCENE) * 255, abs=8)


def test_an_hdr_film_that_does_not_tell_its_colours(tmp_path):
    """HDR without a word of primaries and matrix has those of BT.2020."""
    how = {"trc": STOPS["HLG"], "primaries": ColorPrimaries.UNSPECIFIED, "said": 2}
    found, _ = fields(write(tmp_path, X265, signal("HLG", SCENE), **how))
    assert np.abs(found[1] - sdr(SCENE)[1] * 255).max() < 14


FFV1 = ("a.mkv", "ffv1", "yuv444p10le", {})
CONSTANT = "its colours are stored with constant luminance: read as those without, which is nearly the same"


@pytest.mark.parametrize(("said", "notes"), [(10, (CONSTANT,)), (12, ()), (13, (CONSTANT,))])
def test_matrices_that_have_another_name(tmp_path, said, notes):
    """One that follows from the primaries, and those of constant luminance."""
    how = {"trc": ColorTrc.BT2020_10, "said": said}
    found, told = fields(write(tmp_path, FFV1, sdr(SCENE @ TO_BT2020.T), **how))
    assert found == pytest.approx(sdr(SCENE) * 255, abs=10)
    assert told == ("wide colours: mapped to those of BT.709", *notes)
    how = {"trc": ColorTrc.BT709, "primaries": ColorPrimaries.BT709, "matrix": Colorspace.ITU709, "said": said}
    found, told = fields(write(tmp_path, FFV1, sdr(SCENE), **how))
    assert found == pytest.approx(sdr(SCENE) * 255, abs=8)
    assert told == notes


@pytest.mark.parametrize(("said", "name"), [(8, "YCgCo"), (14, "ICtCp"), (15, "IPT-C2")])
def test_matrices_that_are_not_read(tmp_path, said, name):
    path = write(tmp_path, FFV1, signal("PQ", SCENE), trc=STOPS["PQ"], said=said)
    with pytest.raises(video.MediaError, match=f"a.mkv: its colours are stored as {name}, which .* anew as BT.709"):
        list(video.read_clips(path, ClipPolicy(frames=2)))
    assert video.probe(path).width == 128


def test_pq_in_the_colours_of_bt709(tmp_path):
    how = {"primaries": ColorPrimaries.BT709, "matrix": Colorspace.ITU709}
    found, _ = fields(write(tmp_path, X265, pq(SCENE * WHITE), trc=STOPS["PQ"], **how))
    assert np.abs(found[1] - sdr(SCENE)[1] * 255).max() < 14


def test_interlaced_hdr_and_hdr_that_is_still_coming(tmp_path):
    made = ("a.ts", "libx264", "yuv420p10le", {"x264-params": "tff=1:interlaced=1", "qp": "6"})
    path = write(tmp_path, made, signal("HLG", SCENE), trc=STOPS["HLG"])
    with av.open(str(path)) as container:
        assert next(container.decode(video=0)).interlaced_frame
    found, _ = fields(path)
    assert np.abs(found - sdr(SCENE) * 255)[:, :7].max() < 14
    policy = ClipPolicy(frames=2)
    with av.open(str(path)) as container:
        film = LiveFilm("a.ts", from_container(container, "a.ts"), policy)
        jpegs = [clip.jpegs for clip in film.clips(1, 2)]
    assert jpegs == [clip.jpegs for clip in video.read_clips(path, policy)]


def test_the_curve():
    """It changes nothing up to its knee, bends without a corner, and ends at white."""
    light = np.linspace(1e-3, 6, 6000)
    curve = compressed(light)
    below = light < 88 / WHITE
    assert curve[below] == pytest.approx(light[below], rel=1e-6)
    assert (np.diff(curve[light < 1000 / WHITE]) > 0).all()
    assert np.abs(np.diff(curve, 2)).max() < 1e-4
    assert compressed(np.array([1.0])) == pytest.approx(0.783, abs=0.001)
    assert curve[light > 1000 / WHITE] == pytest.approx(1, abs=1e-6)
