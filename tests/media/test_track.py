"""Sound of any form, by value: clicks are heard when they were made; what fails, and how much is held."""

import dataclasses
import itertools
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from l2l.media import video as media
from l2l.media.container import open_container
from l2l.media.live import LiveFilm, from_container
from l2l.media.policy import AUDIO_RATE, ClipPolicy
from l2l.media.sound.track import BLOCK, Track, laid
from tests.helpers.sounds import (
    CLICKS,
    OPUS,
    SECONDS,
    Sounding,
    clicks_of,
    frames_of,
    jitter,
    of_frames,
    stamped,
    write_film,
)
from tests.helpers.videos import clicking, clicks_in


def mono(rate: int, clicks=CLICKS, seconds=SECONDS) -> np.ndarray:
    return clicking(seconds, clicks, rate)[None]


def two_forms(path, codec: str, first: tuple[int, str], second: tuple[int, str]):
    """A film of 4 s whose sound has another rate and other channels from 2 s on."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 96, 72, "yuv420p"
        sound = container.add_stream(codec, rate=first[0], layout=first[1])
        container.start_encoding()
        for i in range(40):
            frame = av.VideoFrame(96, 72, "yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for i, (rate, layout) in enumerate((first, second)):
            encoder = av.CodecContext.create(codec, "w")
            encoder.sample_rate, encoder.layout, encoder.format = rate, layout, sound.format
            wave = np.repeat(mono(rate, seconds=2.0), av.AudioLayout(layout).nb_channels, 0)
            (frame,) = frames_of(wave, rate, wave.shape[1], layout, "fltp", [0.0])
            frame.pts, frame.time_base = 0, Fraction(1, rate)
            for packet in [*encoder.encode(frame), *encoder.encode(None)]:
                packet.stream = sound
                at = float(packet.pts * (packet.time_base or Fraction(1, rate))) + 2 * i
                packet.time_base = Fraction(1, 90_000)
                packet.pts = packet.dts = round(at * 90_000)
                container.mux(packet)
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "mp2"), ("a.ts", "mp2"), ("a.mkv", "ac3"), ("a.ts", "ac3")])
@pytest.mark.parametrize(
    ("first", "second"),
    [((44_100, "mono"), (48_000, "stereo")), ((48_000, "stereo"), (32_000, "mono"))],
    ids=["mono first", "stereo first"],
)
def test_another_rate_and_layout_from_the_middle_on(tmp_path, name, codec, first, second):
    path = two_forms(tmp_path / name, codec, first, second)
    film = media.open_film(path, ClipPolicy())
    wave, _ = film.track.window(0, film.track.limit)
    assert clicks_in(wave) == pytest.approx([*CLICKS, *(2 + at for at in CLICKS)], abs=0.06)
    (note,) = film.notes
    assert note.startswith(("the sound's form changes: at 2.0 s from", "the sound's form changes: at 1.9 s from"))
    before, after = note.split(" from ")[1].split(" to ")
    assert before == "{:,} Hz {}".format(*first)
    assert second[1] in after  # a decoder may give one frame with the old rate


def test_forms_change_to_and_fro():
    forms = [(16_000, "mono", "s16"), (44_100, "stereo", "fltp"), (8000, "5.1", "s32"), (192_000, "mono", "dblp")]
    frames = []
    for i, (rate, layout, form) in enumerate(forms * 2):
        kind = {"s16": np.int16, "s32": np.int32, "fltp": np.float32, "dblp": np.float64}[form]
        scale = {"s16": 1 << 15, "s32": 1 << 31}.get(form, 1)
        wave = mono(rate, seconds=0.5, clicks=[0.2]) * scale
        wave = np.repeat(wave, av.AudioLayout(layout).nb_channels, 0).astype(kind)
        frames += frames_of(wave, rate, rate // 10, layout, form, 0.5 * i + np.arange(5) / 10)
    wave, track = of_frames(frames, 4.0)
    assert clicks_in(wave) == pytest.approx([0.5 * i + 0.2 for i in range(8)], abs=0.005)
    assert track.notes == ["the sound's form changes: at 0.5 s from 16,000 Hz mono to 44,100 Hz stereo"]


@pytest.mark.parametrize("rate", [1, 7, 8, 100, 999])
def test_slow_sound_is_resampled_bit_by_bit(rate):
    """A frame of hours is not held as hours of sound."""
    wave = np.full((1, 50_000), 8000, np.int16)
    pieces = laid(iter(frames_of(wave, rate, 50_000, "mono", "s16", [0.0])), 0.0, [])
    place = 0
    for at, piece in itertools.islice(pieces, 40):
        assert at == place
        assert len(piece) <= 40 * AUDIO_RATE
        place += len(piece)
    assert place > 30 * AUDIO_RATE
    found, track = of_frames(frames_of(wave, rate, 50_000, "mono", "s16", [0.0]), 30.0)
    assert np.median(found) == pytest.approx(8000, abs=2)
    assert sum(len(piece) for _, piece in track.held) <= 31 * AUDIO_RATE


@pytest.mark.parametrize(("rate", "block"), [(8000, BLOCK), (192_000, BLOCK), (4000, BLOCK // 2), (1, 2)])
def test_blocks(rate, block):
    """From 8 kHz on as ever: a block is so many samples."""
    asked = []

    def frames():
        for i in range(40_000):
            asked.append(i)
            yield frames_of(np.zeros((1, 16), np.int16), rate, 16, "mono", "s16", [i * 16 / rate])[0]

    next(laid(frames(), 0.0, []))
    assert abs(len(asked) * 16 - block) <= max(0.1 * rate, 16) + 16 * rate // 16_000 + 32


def test_sound_faster_than_any(tmp_path):
    frames = frames_of(np.zeros((1, 9000), np.int16), (1 << 31) - 1, 3000, "mono", "s16", [0, 1, 2])
    _, track = of_frames(frames)
    assert not track.there
    assert track.notes == ["no sound: 1 channels of 2,147,483,647 Hz are more than can be mixed"]


def test_memory_follows_what_is_asked_for(tmp_path):
    """Sound at 1 Hz for days, in a film of 2 s, in a process of its own; and a jump far ahead in an hour of sound."""
    path = write_film(tmp_path / "a.nut", Sounding(np.full((1, 100_000), 0.25, np.float32), "pcm_u8", 1, form="u8"))
    code = (
        "import sys; from l2l.media import video as media;"
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]);"
        "before = peak(); media.read_audio(sys.argv[1]); print(peak() - before)"
    )
    said = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert int(said) < 40_000  # kB; all of it would be 3 GB
    held = []

    def pieces():
        for i in range(3600):
            held.append(len(track.held))
            yield i * AUDIO_RATE, np.ones(AUDIO_RATE, np.int16)

    track = Track(pieces(), 3600.0)
    wave, valid = track.window(3000 * AUDIO_RATE, 3001 * AUDIO_RATE)
    assert wave.all()
    assert valid == (0, AUDIO_RATE)
    assert max(held) <= 2


def test_sound_that_fails_on_the_way():
    """What was heard stays; what follows is absent, and that is said."""

    def frames():
        yield from stamped(0.02 * np.arange(100))
        raise av.error.InvalidDataError(1, "Invalid data found")

    def broken():
        raise ValueError("nothing works")
        yield

    wave, track = of_frames(frames())
    assert np.abs(wave[: 1 * AUDIO_RATE]).min() >= 100
    assert track.notes[0].startswith("the sound ends at 1.")
    assert track.notes[0].endswith("s: Invalid data found")
    _, track = of_frames(broken())
    assert (track.there, track.notes) == (False, ["no sound: nothing works"])


COMING = {
    "jitter": Sounding(clicks_of([1.0], rate=48_000), stamp=None, **OPUS),
    "antiphase": Sounding(clicks_of([1, -1]), layout="stereo"),
    "9 channels": Sounding(clicks_of(np.ones(9)), layout="9 channels"),
    "ambisonic": Sounding(
        clicks_of(np.ones(4), rate=48_000), **OPUS, layout="ambisonic 1", options={"mapping_family": "2"}
    ),
    "no numbers": Sounding(np.where(clicks_of([1.0]) > 0.85, np.nan, 0.2).astype(np.float32), "pcm_f32le", form="flt"),
}


@pytest.mark.parametrize("kind", COMING)
def test_a_film_that_is_still_coming_sounds_alike(tmp_path, kind):
    made = dataclasses.replace(COMING[kind], stamp=jitter(0.03) if kind == "jitter" else None)
    path = write_film(tmp_path / "a.mkv", made)
    whole = media.open_film(path, ClipPolicy(frames=5))
    clips = list(whole.cut(range(len(whole.clips)), 5))
    with open_container(path.open("rb")) as container:
        coming = LiveFilm("a.mkv", from_container(container, "a.mkv"), ClipPolicy(frames=5))
        for clip, other in zip(clips, coming.clips(1, 5), strict=True):
            np.testing.assert_array_equal(clip.audio, other.audio)
            assert clip.audio_valid == other.audio_valid
            assert clip.audio.any()
    assert coming.notes == whole.notes != ()
