"""Formats by value: the frame of a time carries the number of that time, a click is heard when it was made.

Everything is read from clips, which are what a record stores.
"""

import struct

import av
import numpy as np
import pytest

from l2l.media import video
from l2l.media.picture import jpeg
from l2l.media.policy import AUDIO_RATE, ClipPolicy
from tests.helpers.videos import clicks_in, number_of, numbers, write_video

MJPEG = {"codec": "mjpeg", "pix_fmt": "yuvj420p"}
MPEG2 = {"codec": "mpeg2video", "fps": 25, "options": {"bf": "2"}}
MPEG4 = {"codec": "mpeg4", "options": {"bf": "2"}}
X265 = {"codec": "libx265", "options": {"x265-params": "log-level=none", "preset": "ultrafast"}}
OPUS = {"audio_codec": "libopus", "sample_format": "flt", "rate": 48_000}
MP2 = {"audio_codec": "mp2", "sample_format": "s16"}
PCM = {"audio_codec": "pcm_s16le", "sample_format": "s16"}
WMA = {"audio_codec": "wmav2", "audio_options": {"b": "128000"}}


def heard(clips: list[video.Clip]) -> np.ndarray:
    """The clips' seconds of sound on the video's time line, int16 (n,), from its beginning on."""
    wave = np.zeros(round((clips[-1].start + clips[-1].duration + 1) * AUDIO_RATE), np.int16)
    for clip in clips:
        begin = round((clip.start + clip.duration / 2 - 0.5) * AUDIO_RATE)
        first, stop = clip.audio_valid
        wave[begin + first : begin + stop] = clip.audio[first:stop]
        assert not clip.audio[:first].any()
        assert not clip.audio[stop:].any()
    return wave


def check(path, *, frames: int = 30, clicks: list[float], within: float = 0.02) -> list[video.Clip]:
    """Clips of 5 frames carry every number once, in order, and every click."""
    clips = list(video.read_clips(path, ClipPolicy(frames=5, short_side=64)))
    assert [n for clip in clips for n in numbers(clip)[: clip.frames_valid]] == [*range(frames)]
    assert clicks_in(heard(clips)) == pytest.approx(clicks, abs=within)
    return clips


PICTURES = {
    "8-bit 4:2:2": ("a.mp4", {"pix_fmt": "yuv422p"}),
    "8-bit 4:4:4": ("a.mp4", {"pix_fmt": "yuv444p"}),
    "full range": ("a.mp4", {"pix_fmt": "yuvj420p"}),
    "grey": ("a.mp4", {"pix_fmt": "gray"}),
    "10-bit 4:2:0": ("a.mp4", {"pix_fmt": "yuv420p10le"}),
    "10-bit 4:2:2": ("a.mp4", {"pix_fmt": "yuv422p10le"}),
    "10-bit 4:4:4": ("a.mkv", {"pix_fmt": "yuv444p10le"}),
    "H.265 12-bit": ("a.mp4", X265 | {"pix_fmt": "yuv420p12le"}),
    "H.265 RGB": ("a.mkv", X265 | {"pix_fmt": "gbrp"}),
    "AV1 10-bit": ("a.mp4", {"codec": "libsvtav1", "pix_fmt": "yuv420p10le", "options": {"preset": "12"}}),
    "VP8": ("a.webm", {"codec": "libvpx"} | OPUS),
    "VP9 4:4:4": ("a.webm", {"codec": "libvpx-vp9", "pix_fmt": "yuv444p", "options": {"deadline": "realtime"}} | OPUS),
    "FFV1 16-bit": ("a.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p16le"}),
    "FFV1 with alpha": ("a.mkv", {"codec": "ffv1", "pix_fmt": "bgra"}),
    "ProRes": ("a.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
    "HuffYUV": ("a.avi", {"codec": "huffyuv", "pix_fmt": "rgb24"} | PCM),
    "Motion JPEG": ("a.avi", MJPEG | PCM),
    "MPEG-2, transport stream": ("a.ts", MPEG2 | MP2),
    "MPEG-2, program stream": ("a.mpg", MPEG2 | MP2),
    "MPEG-4 with B-frames": ("a.mp4", MPEG4),
    "MPEG-4 with B-frames, AVI": ("a.avi", MPEG4 | PCM),
    "H.264, AVI": ("a.avi", {"options": {"bf": "0"}} | PCM),
    "H.264 with B-frames, AVI": ("a.avi", {"options": {"bf": "2", "b-pyramid": "none"}} | PCM),
    "H.264 with a pyramid, AVI": ("a.avi", PCM),
    "H.264 with AC-3, AVI": ("a.avi", {"audio_codec": "ac3"}),
    "H.264, Flash": ("a.flv", {}),
    "H.263": ("a.3gp", {"codec": "h263", "size": (176, 144), "rate": 8000, "layout": "mono"}),
    "Windows Media": ("a.wmv", {"codec": "wmv2"} | WMA),
    "no B-frames": ("a.mp4", {"options": {"bf": "0"}}),
    "16 B-frames, edit list": ("a.mp4", {"options": {"bf": "16", "b-pyramid": "normal"}}),
    "open groups of pictures": ("a.mp4", {"options": {"g": "8", "x264-params": "open-gop=1:bframes=3"}}),
    "interlaced": ("a.mp4", {"options": {"x264-params": "tff=1:interlaced=1"}}),
    "odd size": ("a.mp4", {"size": (97, 73), "pix_fmt": "yuv444p"}),
    "odd size, VP8": ("a.webm", {"size": (95, 71), "codec": "libvpx"} | OPUS),
    "size not of whole blocks": ("a.mp4", {"size": (98, 74)}),
}


@pytest.mark.parametrize("made", PICTURES.values(), ids=PICTURES)
def test_pictures(tmp_path, made):
    name, how = made
    clicks = [0.25, 0.6, 1.1]
    seconds = 30 / how.get("fps", 15)
    path = write_video(tmp_path / name, seconds=seconds, clicks=clicks, **{"fps": 15} | how)
    size = how.get("size", (96, 72)) if how.get("codec") != "h263" else (192, 144)  # its pixels are 12:11
    (first, *_) = check(path, clicks=clicks)
    assert jpeg.decode_jpeg(first.jpegs[0]).shape == (64, round(size[0] * 64 / size[1]), 3)


SOUNDS = {
    **{f"AAC, {rate} Hz": ("a.mp4", {"rate": rate}) for rate in (8000, 11_025, 22_050, 32_000, 48_000, 96_000)},
    **{f"AAC, {layout}": ("a.mp4", {"layout": layout}) for layout in ("mono", "3.0", "4.0", "5.0", "5.1", "7.1")},
    **{f"PCM, {layout}": ("a.mkv", PCM | {"layout": layout}) for layout in ("2.1", "quad", "5.1", "6.1", "7.1")},
    "PCM, u8": ("a.mkv", {"audio_codec": "pcm_u8", "sample_format": "u8", "rate": 11_025}),
    "PCM, s16be": ("a.mov", {"audio_codec": "pcm_s16be", "sample_format": "s16"}),
    "PCM, s24": ("a.mov", {"audio_codec": "pcm_s24le", "sample_format": "s32", "rate": 96_000}),
    "PCM, s32, 7.1": ("a.mov", {"audio_codec": "pcm_s32le", "sample_format": "s32", "layout": "7.1"}),
    "PCM, f32": ("a.mkv", {"audio_codec": "pcm_f32le", "sample_format": "flt"}),
    "PCM, f64, 2.1": ("a.mkv", {"audio_codec": "pcm_f64le", "sample_format": "dbl", "layout": "2.1"}),
    "PCM, f32, AVI": ("a.avi", {"audio_codec": "pcm_f32le", "sample_format": "flt", "options": {"bf": "0"}}),
    "A-law": ("a.mov", {"audio_codec": "pcm_alaw", "sample_format": "s16", "rate": 8000, "layout": "mono"}),
    "FLAC, s16": ("a.mkv", {"audio_codec": "flac", "sample_format": "s16", "rate": 96_000}),
    "FLAC, s32": ("a.mp4", {"audio_codec": "flac", "sample_format": "s32"}),
    "ALAC, s16p": ("a.mov", {"audio_codec": "alac", "sample_format": "s16p"}),
    "ALAC, s32p": ("a.mkv", {"audio_codec": "alac", "sample_format": "s32p"}),
    "AC-3": ("a.mkv", {"audio_codec": "ac3", "rate": 48_000, "layout": "5.1"}),
    "E-AC-3": ("a.mp4", {"audio_codec": "eac3", "rate": 48_000}),
    "MP2": ("a.mkv", MP2),
    "MP3, s16p": ("a.mkv", {"audio_codec": "libmp3lame", "sample_format": "s16p"}),
    "MP3, fltp": ("a.mov", {"audio_codec": "libmp3lame", "sample_format": "fltp", "rate": 22_050}),
    "Vorbis": ("a.webm", {"codec": "libvpx", "audio_codec": "vorbis", "audio_options": {"strict": "experimental"}}),
    "Opus, s16": ("a.mkv", OPUS | {"sample_format": "s16"}),
    "Opus, flt, 5.1": ("a.webm", {"codec": "libvpx", "layout": "5.1"} | OPUS),
    "WavPack": ("a.mkv", {"audio_codec": "wavpack", "sample_format": "fltp"}),
}


@pytest.mark.parametrize("made", SOUNDS.values(), ids=SOUNDS)
def test_sounds(tmp_path, made):
    name, how = made
    clicks = [0.25, 1.0, 1.75]
    *_, last = check(write_video(tmp_path / name, seconds=2, clicks=clicks, **how), clicks=clicks)
    assert last.audio_valid[1] == pytest.approx((2 - last.start - last.duration / 2 + 0.5) * AUDIO_RATE, abs=1200)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.ts", "a.flv"])
@pytest.mark.parametrize("begin", [0.5, 1.2])
def test_late_sound(tmp_path, name, begin):
    clips = check(write_video(tmp_path / name, seconds=2, audio_start=begin, clicks=[1.75]), clicks=[1.75])
    firsts = [clip.start + clip.duration / 2 - 0.5 + clip.audio_valid[0] / AUDIO_RATE for clip in clips]
    assert firsts[2] == pytest.approx(begin, abs=0.03)  # an encoder may put 1024 samples before
    assert all(clip.has_audio for clip in clips)


@pytest.mark.parametrize(("name", "how"), [("a.mp4", {}), ("a.mkv", {}), ("a.avi", PCM)], ids=["mp4", "mkv", "avi"])
def test_sound_that_ends_early(tmp_path, name, how):
    path = write_video(tmp_path / name, seconds=2, audio_stop=0.9, clicks=[0.25, 0.7], **how)
    clips = check(path, clicks=[0.25, 0.7])
    stop = clips[2].start + clips[2].duration / 2 - 0.5 + clips[2].audio_valid[1] / AUDIO_RATE
    assert stop == pytest.approx(0.9, abs=0.03)
    assert clips[-1].audio_valid == (0, 0)
    assert clips[-1].has_audio


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_variable_frame_rate_goes_by_time(tmp_path, name):
    how = {"codec": "libvpx"} | OPUS if name == "a.webm" else {}
    times, clicks = [0, 0.1, 0.15, 0.6, 0.7, 1.1], [0.4, 1.0]
    path = write_video(tmp_path / name, times=times, clicks=clicks, seconds=1.2, **how)
    clips = list(video.read_clips(path, ClipPolicy(frames=6, fps=5, hop=0.5)))
    assert [numbers(clip) for clip in clips] == [[0, 2, 2, 3, 4, 4], [2, 4, 4, 5, 5, 5], [4, 4, 4, 4, 4, 4]]
    assert [clip.frames_valid for clip in clips] == [6, 4, 1]
    assert clicks_in(heard(clips)) == pytest.approx(clicks, abs=0.02)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_rotation_is_undone(tmp_path, turns):
    """The matrix in the file's header says how the picture is to be turned for display, in quarters clockwise."""
    path = write_video(tmp_path / "a.mp4", size=(96, 64), audio=False)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][turns]
    data[matrix : matrix + 36] = struct.pack(
        ">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 64 << 16, 0, 1 << 30
    )
    path.write_bytes(data)
    upright = jpeg.decode_jpeg(next(video.read_clips(path, ClipPolicy(frames=6, short_side=64))).jpegs[5])
    assert upright.shape == ((96, 64, 3) if turns % 2 else (64, 96, 3))
    assert number_of(np.rot90(upright, turns)) == 5
    assert (video.probe(path).width, video.probe(path).height) == ((64, 96) if turns % 2 else (96, 64))


def plain(path, codec, pix_fmt, *, colorspace=None, options=None, pictures):
    """A film of given pictures, uint8 (h, w, 3) RGB."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], pix_fmt
        if colorspace:
            stream.codec_context.colorspace = colorspace
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pix_fmt, dst_colorspace=colorspace)))
        container.mux(stream.encode(None))
    return path


COLOURS = np.array(
    [[200, 30, 40], [30, 180, 60], [40, 50, 210], [230, 230, 230], [20, 20, 20], [200, 180, 40]], np.uint8
)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "colorspace"),
    [
        ("libx264", "yuv420p", None),
        ("libx264", "yuv420p", 1),  # BT.709, of high-definition films
        ("libx264", "yuvj420p", None),
        ("libx264", "yuv420p10le", 1),
        ("libx264", "yuv444p10le", None),
        ("libx265", "yuv422p12le", 1),
        ("libx265", "gbrp10le", None),
        ("ffv1", "bgra", None),
    ],
)
def test_colours(tmp_path, codec, pix_fmt, colorspace):
    picture = np.repeat(np.repeat(np.array([COLOURS], np.uint8), 32, 1), 64, 0)
    options = X265["options"] if codec == "libx265" else {}
    path = plain(tmp_path / "a.mkv", codec, pix_fmt, colorspace=colorspace, options=options, pictures=[picture] * 3)
    shown = jpeg.decode_jpeg(next(video.read_clips(path, ClipPolicy(frames=2, short_side=32))).jpegs[0])
    assert np.abs(shown[16, 8::16].astype(int) - COLOURS).max() <= 6


def test_fields_are_blended(tmp_path):
    """A bar that moves between the two fields of a frame leaves no comb in the smaller image."""
    picture = np.full((144, 192, 3), 20, np.uint8)
    picture[::2, 48:72] = picture[1::2, 72:96] = 220
    options = {"x264-params": "tff=1:interlaced=1", "qp": "4"}
    path = plain(tmp_path / "a.mp4", "libx264", "yuv420p", options=options, pictures=[picture] * 4)
    for side in (72, 73, 200):
        shown = jpeg.decode_jpeg(next(video.read_clips(path, ClipPolicy(frames=2, short_side=side))).jpegs[1])
        assert shown.shape[0] == side
        bar = shown[8:-8, side * 60 // 144, 0].astype(int)
        assert np.abs(bar - 120).max() < 15
        assert shown[side // 2, side * 20 // 144, 0] < 40


def test_a_time_that_goes_back_is_not_believed(tmp_path):
    """A program stream's guessed times repeat two frames here; every frame still has its place."""
    path = write_video(tmp_path / "a.mpg", seconds=1.2, clicks=[0.5], **MPEG2, **MP2)
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times != sorted(times)
    check(path, clicks=[0.5])


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_avi_does_not_say_when_its_sound_begins(tmp_path, codec):
    """Sound that is meant to begin with the picture, a frame before it or 0.4 s after it is stored alike."""

    def packets(name: str, start: float) -> dict[str, list[tuple[int, bytes]]]:
        how = {"codec": codec, "options": {"bf": "2"}, "clicks": [0.9 + start], "audio_start": start}
        found = {"video": [], "audio": []}
        with av.open(str(write_video(tmp_path / name, seconds=2, **how, **PCM))) as container:
            for packet in container.demux():
                if packet.size:
                    found[packet.stream.type].append((packet.dts, bytes(packet)))
        return found

    same = packets("a.avi", 0.0)
    for other in (packets("b.avi", -1 / 15), packets("c.avi", 0.4)):
        # an encoder may write one picture in two ways, so only the times of pictures are compared
        assert [time for time, _ in other["video"]] == [time for time, _ in same["video"]]
        alike = min(len(other["audio"]), len(same["audio"])) - 1  # the last one's length differs
        assert alike > 60
        assert other["audio"][:alike] == same["audio"][:alike]
