"""Sound of any form, by value: clicks are heard when they were made, as loud as they were."""

import dataclasses
import itertools
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from l2l.data import media, mixing
from l2l.data.live import LiveFilm, from_container
from l2l.data.opening import open_container
from l2l.data.schema import AUDIO_RATE, ClipPolicy
from l2l.data.steady import GAP, JUMP
from l2l.data.track import BLOCK, Track, laid, track_from
from tests.sounds import CLICKS, SECONDS, Sounding, clicks_of, frames_of, write_film
from tests.videos import clicking, clicks_in, numbers

JITTERS = "the sound's time stamps jitter: it is laid end to end"
FULL = 0.9 * 32_768  # how loud a click of `clicks_of` is


def heard(path) -> tuple[np.ndarray, list[str]]:
    """The sound of a film whose pictures are all there; what has to be known of it."""
    film = media.open_film(path, ClipPolicy(frames=5))
    clips = list(film.heard(film.seen(range(len(film.clips)), 5)))
    assert [n for clip in clips for n in numbers(clip)][:20] == [*range(20)]
    found = media.read_audio(path)
    return np.zeros(0, np.int16) if found is None else found[0], list(film.notes)


def of_frames(frames, seconds=SECONDS, origin=0.0) -> tuple[np.ndarray, Track]:
    track = track_from(iter(frames), origin, seconds)
    return track.window(0, round(seconds * AUDIO_RATE))[0], track


def loudest(wave) -> float:
    return float(np.abs(wave.astype(int)).max())


def mono(rate: int, clicks=CLICKS, seconds=SECONDS) -> np.ndarray:
    return clicking(seconds, clicks, rate)[None]


OPUS = {"codec": "libopus", "rate": 48_000, "form": "flt"}
WAVPACK = {"codec": "wavpack", "form": "fltp"}
MANY = {
    **{f"PCM, {n}": (n, {"layout": f"{n} channels"}) for n in (9, 16, 32, 63, 64)},
    **{f"PCM, f32, {n}": (n, {"layout": f"{n} channels", "codec": "pcm_f32le", "form": "flt"}) for n in (9, 33)},
    **{f"WavPack, {n}": (n, {"layout": f"{n} channels"} | WAVPACK) for n in (9, 32, 63, 64)},
    "WavPack, 16 bits, 40": (40, {"layout": "40 channels"} | WAVPACK | {"form": "s16p"}),
    **{f"Opus, {n}": (n, {"layout": f"{n} channels", "options": {"mapping_family": "255"}} | OPUS) for n in (9, 20)},
}


@pytest.mark.parametrize("made", MANY.values(), ids=MANY)
def test_channels_at_unknown_places(tmp_path, made):
    """Each channel is a like part of the mix."""
    count, how = made
    parts = np.ones(count)
    parts[count // 2 :] = 0.5
    track = Sounding(clicks_of(parts, rate=how.get("rate", 16_000)), **how)
    wave, notes = heard(write_film(tmp_path / "a.mkv", track))
    assert clicks_in(wave) == pytest.approx(CLICKS, abs=0.01)
    assert loudest(wave) == pytest.approx(FULL * parts.mean(), rel=0.12)
    assert notes == [f"sound of {count} channels at unknown places: their mean"]


@pytest.mark.parametrize("layout", ["7.1.4", "cube", "22.2", "9.1.6"])
def test_no_channel_of_a_large_layout_is_lost(layout):
    names = [channel.name for channel in av.AudioLayout(layout).channels]
    for i, name in enumerate(names):
        frames = frames_of(clicks_of(np.arange(len(names)) == i), 16_000, 1000, layout, "flt", np.arange(32) / 16)
        wave, _ = of_frames(frames)
        assert (loudest(wave) > 500) == (name not in {"LFE", "LFE2"})


@pytest.mark.parametrize(
    ("layout", "parts", "mix"),
    [
        ("ambisonic 1", [1, 0.5, -1, 0.2], 1.0),
        ("ambisonic 2", [0.8, 0.5, -0.5, 0.2, 0, 0, 0.5, 0, 0], 0.8),
        ("ambisonic 1+stereo", [0.8, 0.5, -0.5, 0.2, 0.6, 0.2], 0.6),
    ],
)
def test_ambisonic(tmp_path, layout, parts, mix):
    how = OPUS | {"layout": layout, "options": {"mapping_family": "2"}}
    wave, notes = heard(write_film(tmp_path / "a.mkv", Sounding(clicks_of(parts, rate=48_000), **how)))
    assert clicks_in(wave) == pytest.approx(CLICKS, abs=0.015)
    assert loudest(wave) == pytest.approx(FULL * mix, rel=0.2)
    assert notes == ["ambisonic sound: what comes from all around"]


def test_more_channels_than_can_be_mixed(tmp_path):
    """The pictures are there all the same."""
    wave, notes = heard(
        write_film(tmp_path / "a.mkv", Sounding(clicks_of(np.ones(65)), "pcm_f32le", layout="65 channels", form="flt"))
    )
    assert not len(wave)
    assert notes == ["no sound: 65 channels of 16,000 Hz are more than can be mixed"]


ALONE = "sound channels cancel out: channel {} of {} alone is heard"


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.mkv", {}),
        ("a.mov", {"codec": "pcm_s24le", "form": "s32"}),
        ("a.mkv", {"codec": "flac"}),
        ("a.mp4", {"codec": "aac", "form": "fltp", "rate": 48_000}),
        ("a.webm.mkv", OPUS),
        ("a.ts", {"codec": "mp2", "rate": 48_000}),
    ],
)
@pytest.mark.parametrize(("parts", "channel"), [([1, -1], 1), ([-0.5, 0.55], 1), ([0.01, -1.0], None)])
def test_stereo_in_antiphase(tmp_path, name, how, parts, channel):
    """Half a second of silence, then channels that cancel out; a channel that is merely quiet does not."""
    track = Sounding(clicks_of(parts, rate=how.get("rate", 16_000)), layout="stereo", **how)
    wave, notes = heard(write_film(tmp_path / name, track))
    expected = abs(parts[0]) if channel else abs(sum(parts) / 2)
    assert loudest(wave) == pytest.approx(FULL * expected, rel=0.15)
    assert clicks_in(wave * (1 / expected)) == pytest.approx(CLICKS, abs=0.06)
    assert notes == ([ALONE.format(channel, 2)] if channel else [])


def test_surround_in_antiphase(tmp_path):
    parts = np.array([0, 0.7, 0, 0.1, 0, 0]) - np.array([0, 0, 0, 0, 0.99, 0])  # as loud in the mix as each other
    wave, notes = heard(write_film(tmp_path / "a.mkv", Sounding(clicks_of(parts), layout="5.1")))
    assert clicks_in(wave) == pytest.approx(CLICKS, abs=0.01)
    assert notes == [ALONE.format(2, 6)]


def noise(seconds: float, rate=16_000, seed=0) -> np.ndarray:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def stereo(left, right):
    wave = np.array([left, right], np.float32)
    count = wave.shape[1] // 1000
    return frames_of(wave, 16_000, 1000, "stereo", "fltp", np.arange(count) / 16)


def power(wave) -> float:
    return float(np.square(wave.astype(float) / 32_768).mean())


def test_antiphase_that_comes_and_goes():
    """Within a few seconds either mix is the right one; nothing is lost where it changes."""
    one = noise(60)
    sign = np.where((np.arange(len(one)) // (20 * 16_000)) % 2, -1, 1)
    wave, track = of_frames(stereo(one, one * sign), 60.0)
    for begin in (0, 5, 10, 20 + 5, 30, 40 + 5, 50):
        assert power(wave[begin * 16_000 :][: 5 * 16_000]) == pytest.approx(0.01, rel=0.1)
    assert track.notes == [ALONE.format(1, 2)]


def test_ordinary_stereo_is_mixed_as_ever():
    """Uncorrelated, one-sided, narrow, offsets against each other, a moment of antiphase, quiet antiphase."""
    one, other, offset = noise(8), noise(8, seed=1), np.full(8 * 16_000, 0.01, np.float32)
    moment = one.copy()
    moment[4 * 16_000 : 5 * 16_000] *= -1
    quiet = np.concatenate([np.sin(np.arange(16_000)) * 1e-3, one[16_000:]]).astype(np.float32)
    turned = np.concatenate([-quiet[:16_000], one[16_000:]])
    pairs = [
        (one, other),
        (one, 0 * one),
        (one, 0.9 * one),
        (0 * one + offset, -offset),
        (one, moment),
        (quiet, turned),
    ]
    for left, right in pairs:
        wave, track = of_frames(stereo(left, right), 8.0)
        resampler = av.AudioResampler("s16", "mono", AUDIO_RATE)
        frame = av.AudioFrame.from_ndarray(np.array([left, right]), format="fltp", layout="stereo")
        frame.sample_rate = 16_000
        pieces = [x.to_ndarray()[0] for y in (frame, None) for x in resampler.resample(y)]
        np.testing.assert_array_equal(wave, np.concatenate(pieces)[: len(wave)])
        assert track.notes == []


NUMBERS = "sound that is no number: taken as silence"
BEYOND = "sound beyond full scale: clipped"


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("a.mkv", "pcm_f32le", "flt"),
        ("a.mkv", "pcm_f64le", "dbl"),
        ("a.mov", "pcm_f32be", "flt"),
        ("a.mov", "pcm_f64be", "dbl"),
    ],
)
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "9 channels"])
def test_values_that_are_no_sound(tmp_path, name, codec, form, layout):
    """Nothing of them is heard; what is around them is."""
    count = av.AudioLayout(layout).nb_channels
    wave = clicks_of(np.ones(count))
    for i, value in enumerate((np.nan, np.inf, -np.inf)):
        wave[:, 1000 + 2000 * i :][:, :50] = value
    found, notes = heard(write_film(tmp_path / name, Sounding(wave, codec=codec, form=form, layout=layout)))
    assert clicks_in(found) == pytest.approx(CLICKS, abs=0.005)
    assert loudest(found[: round(0.45 * AUDIO_RATE)]) == 0
    assert loudest(found) == pytest.approx(FULL, rel=0.05)
    assert NUMBERS in notes


@pytest.mark.parametrize("form", ["flt", "fltp", "dbl", "dblp"])
@pytest.mark.parametrize("layout", ["mono", "stereo", "6.1"])
def test_values_beyond_full_scale(form, layout):
    """They are as loud as sound can be, of the sign that they have; a little beyond is as ever."""
    count, kind = av.AudioLayout(layout).nb_channels, np.float64 if form.startswith("dbl") else np.float32
    wave = np.zeros((count, 32_000), kind)
    for i, value in enumerate((1.4, 40_000.0, -40_000.0, 1e30, -1e30, 1e300 if kind is np.float64 else 3e38)):
        wave[:, 3000 + 4000 * i :][:, :400] = value
    found, track = of_frames(frames_of(wave, 16_000, 1000, layout, form, np.arange(32) / 16))
    for i, sign in enumerate((1, 1, -1, 1, -1, 1)):
        middle = found[3000 + 4000 * i :][100:300].astype(int)
        assert (middle * sign >= 32_760).all()
    assert not found[28_000:].any()
    assert track.notes == [BEYOND]


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


def jitter(spread: float):
    """Time stamps that stray by up to so many seconds, still in order."""
    draw, last = np.random.default_rng(0), -1.0

    def stamp(i: int, at: float) -> float:
        nonlocal last
        last = max(at + draw.uniform(-spread, spread), last + 0.002)
        return last

    return stamp


@pytest.mark.parametrize("spread", [0.015, 0.03])
@pytest.mark.parametrize(("name", "how"), [("a.mkv", OPUS), ("a.mkv", {"codec": "flac"}), ("a.mkv", {})])
def test_time_stamps_that_jitter(tmp_path, name, how, spread):
    """What is laid end to end has no hole, and is never far from its time."""
    rate, seconds = how.get("rate", 16_000), 6.0
    clicks = [0.5 + 0.7 * i for i in range(8)]
    wave = clicks_of([1.0], seconds, clicks, rate) + 0.1 * np.sin(np.arange(round(seconds * rate)) * 1800 / rate)
    track = Sounding(wave.astype(np.float32), stamp=jitter(spread), **how)
    path = write_film(tmp_path / name, track, seconds=seconds)
    found, (first, stop) = media.read_audio(path)
    assert clicks_in(found) == pytest.approx(clicks, abs=spread)
    assert np.diff(clicks_in(found)) == pytest.approx(np.diff(clicks), abs=0.003)
    calm = found[first + 400 : stop - 400].astype(float)
    assert np.sqrt(np.convolve(calm**2, np.full(100, 0.01), "valid")).min() > 1000  # 6 ms without a tone are nowhere
    assert media.open_film(path, ClipPolicy()).scan.notes == ()


def stamped(times, size=320, rate=16_000):
    """Frames of 20 ms, each with a number, one value all over."""
    wave = np.concatenate([np.full((1, size), 100 + i, np.int16) for i in range(len(times))], 1)
    return frames_of(wave, rate, size, "mono", "s16", times)


def places(frames, origin=0.0) -> tuple[dict[int, float], list[str]]:
    """Number of a frame -> when it begins, seconds; what has to be known."""
    notes = []
    found = {}
    for at, piece in laid(iter(frames), origin, notes):
        for i in np.unique(piece):
            found.setdefault(int(i) - 100, (at + int(np.argmax(piece == i))) / AUDIO_RATE)
    return found, notes


EVEN = 0.02 * np.arange(200)


def test_a_gap_is_a_gap():
    """One packet that is missing, or many, whether time stamps jitter by a little or not."""
    for missing, spread in itertools.product((1, 2, 5, 9, 50), (0.0, 0.004)):
        times = EVEN + np.where(np.arange(200) >= 100, 0.02 * missing, 0.0)
        shaken = times + np.random.default_rng(0).uniform(-spread, spread, 200)
        shaken[[0, 100]] = times[[0, 100]]
        found, notes = places(stamped(shaken))
        assert [found[i] for i in range(200)] == pytest.approx(times, abs=1e-4)
        assert notes == []


@pytest.mark.parametrize("spread", [0.012, 0.03, 0.045])
@pytest.mark.parametrize("seed", range(5))
def test_a_gap_among_jitter(spread, seed):
    """Nothing is further off than time stamps stray, but for a step."""
    times = EVEN + np.where(np.arange(200) >= 100, 0.15, 0.0)
    shaken = times + np.random.default_rng(seed).uniform(-spread, spread, 200)
    found, notes = places(stamped(shaken))
    off = np.array([found[i] for i in range(200)]) - times
    assert np.abs(off).max() <= spread + 2 * GAP
    assert (np.abs(np.diff(off)) > 1e-3).sum() <= 1  # at the gap
    assert notes == [JITTERS]


@pytest.mark.parametrize("share", [-0.01, -0.001, 0.001, 0.01, 0.05])
@pytest.mark.parametrize("spread", [0.0, 0.03])
def test_a_clock_that_drifts(share, spread):
    """A minute of it is nowhere further off than some tens of milliseconds."""
    times = 0.02 * np.arange(3000) * (1 + share)
    shaken = times + np.random.default_rng(1).uniform(-spread, spread, 3000)
    wave = np.concatenate([np.full((1, 320), i % 300 * 100, np.int16) for i in range(3000)], 1)
    notes, found = [], np.zeros(3000)
    for at, piece in laid(iter(frames_of(wave, 16_000, 320, "mono", "s16", shaken)), 0.0, notes):
        for value in np.unique(piece):
            begin = (at + int(np.argmax(piece == value))) / AUDIO_RATE
            near = [i for i in range(int(value) // 100, 3000, 300) if abs(times[i] - begin) < 0.2]
            found[near] = begin
    inner = np.abs(found - times)[1:]
    assert np.quantile(inner, 0.99) <= spread + 3 * GAP
    assert (JITTERS in notes) == bool(spread)


def test_a_time_stamp_that_is_wrong_once():
    times = EVEN.copy()
    times[50], times[120] = times[50] + 0.15, times[120] - 0.15
    found, notes = places(stamped(times))
    assert [found[i] for i in range(200)] == pytest.approx(EVEN, abs=1e-4)
    assert notes == [JITTERS]
    assert JUMP > 0.15


def test_packets_that_share_a_time():
    found, _ = places(stamped(0.04 * (np.arange(200) // 2)))
    assert [found[i] for i in range(200)] == pytest.approx(EVEN, abs=0.021)
    assert np.diff([found[i] for i in range(200)]) == pytest.approx(np.full(199, 0.02), abs=1e-4)


def test_frames_without_times():
    frames = stamped(EVEN)
    for frame in frames:
        frame.pts = None
    found, notes = places(frames, origin=3.0)
    assert [found[i] for i in range(200)] == pytest.approx(EVEN, abs=1e-4)
    assert notes == []


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
        "import sys; from l2l.data import media;"
        "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]);"
        "before = peak(); media.read_audio(sys.argv[1]); print(peak() - before)"
    )
    said = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    assert int(said) < 40_000  # kB; all of it would be 3 GB
    track = Track(((i * AUDIO_RATE, np.ones(AUDIO_RATE, np.int16)) for i in range(3600)), 3600.0)
    track.window(3000 * AUDIO_RATE, 3001 * AUDIO_RATE)
    assert sum(len(piece) for _, piece in track.held) <= 2 * AUDIO_RATE


def test_sound_that_fails_on_the_way():
    """What was heard stays; what follows is absent, and that is said."""

    def frames():
        yield from stamped(EVEN[:100])
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
    clips = list(whole.heard(whole.seen(range(len(whole.clips)), 5)))
    with open_container(path.open("rb")) as container:
        coming = LiveFilm("a.mkv", from_container(container, "a.mkv"), ClipPolicy(frames=5))
        for clip, other in zip(clips, coming.clips(1, 5), strict=True):
            np.testing.assert_array_equal(clip.audio, other.audio)
            assert clip.audio_valid == other.audio_valid
            assert clip.audio.any()
    assert coming.notes == whole.notes != ()


def test_weights_are_those_of_the_resampler():
    for layout in ("mono", "stereo", "5.1", "7.1", "2 channels", "6 channels"):
        found, how = mixing.weights(layout)
        assert how == ""
        assert found.sum() == pytest.approx(1.0, abs=1e-3)
    assert mixing.weights("5.1")[0] == pytest.approx([0.207, 0.207, 0.293, 0, 0.146, 0.146], abs=1e-3)
