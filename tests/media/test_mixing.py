"""Sound of any channels and values, by value: clicks are heard when they were made, as loud as they were."""

import itertools

import av
import numpy as np
import pytest

from l2l.media import video
from l2l.media.policy import AUDIO_RATE, ClipPolicy
from l2l.media.sound import mixing
from tests.helpers.sounds import CLICKS, FULL, OPUS, Sounding, clicks_of, frames_of, of_frames, write_film
from tests.helpers.videos import clicks_in, numbers


def heard(path) -> tuple[np.ndarray, list[str]]:
    """The sound of a film whose pictures are all there; what has to be known of it."""
    film = video.open_film(path, ClipPolicy(frames=5))
    clips = list(film.cut(range(len(film.clips)), 5))
    assert [n for clip in clips for n in numbers(clip)][:20] == [*range(20)]
    found = video.read_audio(path)
    return np.zeros(0, np.int16) if found is None else found[0], list(film.notes)


def loudest(wave) -> float:
    return float(np.abs(wave.astype(int)).max())


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
    assert notes == [f"sound of {count} channels in no usual layout: their mean"]


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
        ("ambisonic 1+stereo", [1, 0.5, -0.5, 0.2, 0.1, -0.1], 0.5),
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


def stereo(left, right, rate=16_000):
    wave = np.array([left, right], np.float32)
    size = rate // 16
    return frames_of(wave, rate, size, "stereo", "fltp", np.arange(wave.shape[1] // size) / 16)


def power(wave) -> float:
    return float(np.square(wave.astype(float) / 32_768).mean())


def test_antiphase_that_comes_and_goes():
    """Within a few seconds either mix is the right one; nothing is lost where it changes."""
    one, third = noise(60, 48_000), 20 * 48_000
    one[:] = np.convolve(one, np.ones(8) / 8, "same")  # low enough for the smaller rate
    other = np.concatenate([one[:third], -one[third : 2 * third], 0.2 * one[2 * third :]])
    wave, track = of_frames(stereo(one, other, 48_000), 60.0)
    usual = power(wave[: 5 * 16_000])
    for begin, gain in ((5, 1.0), (15, 1.0), (25, 1.0), (35, 1.0), (42, 0.6), (50, 0.6)):
        assert power(wave[begin * 16_000 :][: 5 * 16_000]) == pytest.approx(usual * gain**2, rel=0.05)
    assert track.real == pytest.approx((0, 60 * 16_000), abs=2)
    assert track.notes == [ALONE.format(1, 2)]


def test_ordinary_stereo_is_mixed_as_ever():
    """Uncorrelated, one-sided, narrow, too loud, offsets against each other, a moment of antiphase, quiet antiphase."""
    one, other, offset = noise(8), noise(8, seed=1), np.full(8 * 16_000, 0.01, np.float32)
    moment = one.copy()
    moment[4 * 16_000 : 5 * 16_000] *= -1
    quiet = np.concatenate([np.sin(np.arange(16_000)) * 1e-3, one[16_000:]]).astype(np.float32)
    turned = np.concatenate([-quiet[:16_000], one[16_000:]])
    pairs = [
        (one, other),
        (one, 0 * one),
        (one, 0.9 * one),
        (20 * one, 9 * other),
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


def test_what_is_audible():
    """Of any format, also where it changes; half a step of 16 bits is not."""
    expected, frames = [], []
    for layout, form, value in itertools.product(("mono", "5.1", "40 channels"), ("flt", "s16"), (0, 1)):
        count = av.AudioLayout(layout).nb_channels
        wave = np.zeros((count, 100), np.float32 if form == "flt" else np.int16)
        wave[-1, -1] = value if form == "s16" else value or 1e-5
        frames += frames_of(wave, 16_000, 100, layout, form, [0.0])
        expected.append(bool(value))
    assert list(mixing.audible(iter(frames))) == expected


def test_weights_are_those_of_the_resampler():
    for layout in ("mono", "stereo", "5.1", "7.1", "2 channels", "6 channels"):
        found, how = mixing.weights(layout)
        assert how == ""
        assert found.sum() == pytest.approx(1.0, abs=1e-3)
    assert mixing.weights("LFE")[0] == pytest.approx([1.0], abs=1e-3)  # where it is all there is
    assert list(mixing.weights("LFE+LFE2")[0]) == [0.5, 0.5]
    assert mixing.weights("5.1")[0] == pytest.approx([0.207, 0.207, 0.293, 0, 0.146, 0.146], abs=1e-3)
