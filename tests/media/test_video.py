"""Clips, sound and facts of real files, made here, against what was put into them."""

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from l2l.media import video
from l2l.media.picture import jpeg
from l2l.media.policy import AUDIO_RATE, ClipPolicy
from l2l.media.sound.track import Track, laid
from tests.helpers.videos import clicks_in, numbers, write_video


def test_probe(tmp_path):
    facts = video.probe(write_video(tmp_path / "a.mp4", seconds=2, fps=12, size=(96, 64)))
    assert facts == video.Probe(duration=2.0, fps=12.0, width=96, height=64, frames=24, has_audio=True)
    assert not video.probe(write_video(tmp_path / "b.mp4", audio=False)).has_audio


def test_clips_abut_and_the_last_is_padded(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=2, fps=10)
    clips = list(video.read_clips(path, ClipPolicy(frames=8, short_side=64)))
    assert [numbers(c) for c in clips] == [[*range(8)], [*range(8, 16)], [16, 17, 18, 19, 19, 19, 19, 19]]
    assert [c.frames_valid for c in clips] == [8, 8, 4]
    assert [(c.index, c.clips, round(c.start, 6), c.duration) for c in clips] == [
        (0, 3, 0.0, 0.8), (1, 3, 0.8, 0.8), (2, 3, 1.6, 0.8),
    ]  # fmt: skip


def test_exact_number_of_clips(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=32 / 15, fps=15)
    assert len(list(video.read_clips(path, ClipPolicy(frames=16)))) == 2


def test_overlapping_clips_and_stride(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=2, fps=10)
    clips = list(video.read_clips(path, ClipPolicy(frames=4, stride=3, hop=0.5)))
    assert [numbers(c) for c in clips] == [[0, 3, 6, 9], [5, 8, 11, 14], [10, 13, 16, 19], [15, 18, 18, 18]]
    assert [c.frames_valid for c in clips] == [4, 4, 4, 2]


def test_given_rate_repeats_and_skips_frames(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=1, fps=10)
    fast = next(video.read_clips(path, ClipPolicy(frames=6, fps=20)))
    assert numbers(fast) == [0, 0, 1, 1, 2, 2]
    assert fast.frames_valid == 6
    slow = next(video.read_clips(path, ClipPolicy(frames=4, fps=4)))
    assert numbers(slow) == [0, 2, 5, 7]


@pytest.mark.parametrize(("clips", "starts"), [(1, [0.8]), (2, [0.3, 1.3]), (5, [0.0, 0.4, 0.8, 1.2, 1.6])])
def test_some_clips_spread_evenly(tmp_path, clips, starts):
    path = write_video(tmp_path / "a.mp4", seconds=2, fps=10)
    got = list(video.read_clips(path, ClipPolicy(frames=4, clips=clips)))
    assert [c.start for c in got] == pytest.approx(starts)
    assert numbers(got[0])[0] == round(starts[0] * 10)
    assert all(c.frames_valid == 4 for c in got)


@pytest.mark.parametrize("clips", [0, 3])
def test_video_shorter_than_a_clip(tmp_path, clips):
    path = write_video(tmp_path / "a.mp4", seconds=0.5, fps=10)
    (clip,) = video.read_clips(path, ClipPolicy(frames=8, clips=clips))
    assert numbers(clip) == [0, 1, 2, 3, 4, 4, 4, 4]
    assert (clip.frames_valid, clip.clips) == (5, 1)


def test_stretch_of_a_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=3, fps=10)
    clips = list(video.read_clips(path, ClipPolicy(frames=8), start=1.0, end=2.0))
    assert [numbers(c) for c in clips] == [[*range(10, 18)], [18, 19, 19, 19, 19, 19, 19, 19]]
    assert [c.frames_valid for c in clips] == [8, 2]
    with pytest.raises(video.MediaError, match=r"ends at 3\.00 s") as caught:
        list(video.read_clips(path, ClipPolicy(), start=5.0))
    assert caught.value.status == "too_short"


@pytest.mark.parametrize(("size", "shape"), [((96, 72), (64, 85)), ((72, 96), (85, 64)), ((48, 36), (64, 85))])
def test_short_side(tmp_path, size, shape):
    clip = next(video.read_clips(write_video(tmp_path / "a.mp4", size=size), ClipPolicy(short_side=64)))
    assert jpeg.decode_jpeg(clip.jpegs[0]).shape == (*shape, 3)


def test_sound_follows_the_first_frame(tmp_path):
    path = write_video(tmp_path / "a.mkv", fps=10, times=5 + np.arange(20) / 10, audio_start=5, seconds=7, clicks=[6.0])
    wave, _ = video.read_audio(path)
    assert clicks_in(wave) == pytest.approx([1.0], abs=0.02)
    assert video.probe(path).duration == pytest.approx(2.0, abs=0.01)


def test_no_sound(tmp_path):
    path = write_video(tmp_path / "a.mp4", audio=False)
    assert video.read_audio(path) is None
    (clip,) = video.read_clips(path, ClipPolicy(frames=15))
    assert not clip.has_audio
    assert clip.audio_valid == (0, 0)
    assert clip.audio.shape == (AUDIO_RATE,)
    assert not clip.audio.any()


def test_sound_of_a_clip_is_around_its_centre(tmp_path):
    path = write_video(tmp_path / "a.mp4", seconds=3, fps=10, clicks=[1.0])
    clips = list(video.read_clips(path, ClipPolicy(frames=10)))
    assert clicks_in(clips[1].audio) == pytest.approx([0.0], abs=0.02)
    first = next(video.read_clips(path, ClipPolicy(frames=4)))
    assert first.audio_valid == (round(0.3 * AUDIO_RATE), AUDIO_RATE)
    assert not first.audio[: first.audio_valid[0]].any()
    silenced = next(video.read_clips(path, ClipPolicy(frames=4, audio=False)))
    assert (silenced.has_audio, silenced.audio_valid) == (False, (0, 0))


def track_of(pieces: list[tuple[int, np.ndarray]]) -> Track:
    return Track(iter(pieces), stop=1.5)


def test_windows_of_a_track():
    """From 100 samples on 1 s, then a hole of 50 samples, then 1 s; it ends half a second past the limit."""
    wave = np.arange(1, 2 * AUDIO_RATE + 1).astype(np.int16)
    track = track_of([(100, wave[:AUDIO_RATE]), (AUDIO_RATE + 150, wave[AUDIO_RATE:]), (99_999, wave)])
    window, valid = track.window(-4000, 12_000)
    assert valid == (4100, 16_000)
    assert not window[:4100].any()
    assert (window[4100:] == wave[:11_900]).all()
    window, valid = track.window(15_000, 17_000)
    assert valid == (0, 2000)
    assert (window[:1100] == wave[14_900:16_000]).all()
    assert not window[1100:1150].any()
    assert (window[1150:] == wave[16_000:16_850]).all()
    assert track.window(36_000, 52_000)[1] == (0, 0)
    assert not track.held
    assert track.there
    assert not track_of([]).there


@pytest.mark.parametrize("quality", [50, 90])
def test_jpeg_as_tensorflow_decodes_it(quality):
    import tensorflow as tf

    noise = np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8)
    data = jpeg.encode_jpeg(noise, quality)
    assert (jpeg.decode_jpeg(data) == tf.io.decode_jpeg(data, dct_method="INTEGER_ACCURATE").numpy()).all()


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def damaged(data: bytes) -> bytes:
    """The middle of the media data overwritten."""
    begin, length = data.index(b"mdat") + 4, int.from_bytes(data[data.index(b"mdat") - 4 : data.index(b"mdat")], "big")
    return data[: begin + length // 3] + b"\xff" * (length // 3) + data[begin + 2 * length // 3 :]


def front_loaded(path):
    """The same file with its index before its data, so that what is left of it opens when it is cut."""
    other = path.with_name(f"front-{path.name}")
    with av.open(str(path)) as source, av.open(str(other), "w", options={"movflags": "faststart"}) as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return other


def bad_files(folder):
    good = write_video(folder / "good.mp4", seconds=4)
    whole = good.read_bytes()
    yield "empty.mp4", b"", "undecodable"
    yield "text.mp4", b"not a video\n" * 50, "undecodable"
    yield "text.txt", b"not a video\n" * 50, "undecodable"
    yield "cut.mp4", cut(whole, 0.5), "undecodable"
    yield "cut-front.mp4", cut(front_loaded(good).read_bytes(), 0.5), "undecodable"
    yield "cut.mkv", cut(write_video(folder / "good.mkv", seconds=4).read_bytes(), 0.5), "undecodable"
    yield "damaged.mp4", damaged(whole), "undecodable"
    yield "one.mp4", write_video(folder / "1.mp4", times=[0], audio=False).read_bytes(), "too_short"
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    yield "sound.mp4", (folder / "sound.mp4").read_bytes(), "no_video"


def test_bad_files(tmp_path):
    for name, data, status in bad_files(tmp_path):
        path = tmp_path / f"bad {name}"
        path.write_bytes(data)
        for read in (video.probe, lambda p: list(video.read_clips(p, ClipPolicy())), video.read_audio):
            if name == "damaged.mp4" and read in (video.probe, video.read_audio):
                continue  # its packets and its first frame are whole
            with pytest.raises(video.MediaError) as caught:
                read(path)
            assert caught.value.status == status, (name, caught.value)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
    with pytest.raises(video.MediaError) as caught:
        video.probe(tmp_path / "nowhere\nat all.mp4")
    assert caught.value.status == "missing"
    assert "\n" not in str(caught.value)


def test_damage_at_the_very_end_costs_only_the_end(tmp_path):
    good = front_loaded(write_video(tmp_path / "a.mp4", seconds=4, fps=10, audio=False, options={"bf": "0"}))
    good.write_bytes(cut(good.read_bytes(), 0.985))
    clips = list(video.read_clips(good, ClipPolicy(frames=8)))
    assert len(clips) >= 4
    assert [numbers(c) for c in clips[:4]] == [[*range(i, i + 8)] for i in (0, 8, 16, 24)]


@pytest.mark.parametrize("name", ["with space.mp4", 'quote\'s "two".mp4', "new\nline.mp4", "a:b.mp4", "%03d.mp4"])
def test_odd_names(tmp_path, name):
    path = write_video(tmp_path / "a.mp4").rename(tmp_path / name)
    assert next(video.read_clips(path, ClipPolicy(frames=4))).frames_valid == 4


def test_metadata_that_is_not_utf8(tmp_path):
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "QQQQQQQQ"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"QQQQQQQQ", b"caf\xe9 \xff\xfe!"))
    assert video.probe(path).frames == 5


def test_memory_does_not_grow_with_the_video(tmp_path):
    peaks = []
    for seconds in (20, 80):
        path = write_video(tmp_path / f"{seconds}.mp4", seconds=seconds, fps=25, size=(320, 240))
        code = (
            "import sys; from l2l.media import policy, video;"
            "n = sum(1 for _ in video.read_clips(sys.argv[1], policy.ClipPolicy(frames=8, hop=0.1)));"
            "print(n, open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"  # getrusage tells the parent's
        )
        said = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
        clips, peak = map(int, said.split())
        assert clips == seconds * 10
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 12_000  # kB; the extra 600 clips alone would be 30 MB, their frames decoded 340 MB


def test_sound_with_a_hole():
    """Time stamps that jump lay the sound anew."""
    frames = []
    for begin in (0.0, 1.0):
        frame = av.AudioFrame.from_ndarray(np.full((1, 8000), 9000, np.int16), format="s16", layout="mono")
        frame.rate, frame.pts, frame.time_base = AUDIO_RATE, int(begin * AUDIO_RATE), Fraction(1, AUDIO_RATE)
        frames.append(frame)
    pieces = [(at, piece) for at, piece in laid(iter(frames), 0.0, []) if len(piece)]
    assert [(at, len(piece)) for at, piece in pieces] == [(0, 8000), (16_000, 8000)]
    assert all((piece == 9000).all() for _, piece in pieces)
