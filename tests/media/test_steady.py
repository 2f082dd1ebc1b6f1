"""Time stamps of sound that jitter, drift or jump, by where samples come to lie."""

import itertools

import numpy as np
import pytest

from l2l.media import video
from l2l.media.policy import AUDIO_RATE, ClipPolicy
from l2l.media.sound.steady import GAP, JUMP
from l2l.media.sound.track import laid
from tests.helpers.sounds import CLICKS, OPUS, SECONDS, Sounding, clicks_of, frames_of, jitter, stamped, write_film
from tests.helpers.videos import clicks_in

JITTERS = "the sound's time stamps jitter: it is laid end to end"


@pytest.mark.parametrize("spread", [0.015, 0.03])
@pytest.mark.parametrize(("name", "how"), [("a.mkv", OPUS), ("a.mkv", {"codec": "flac"}), ("a.mkv", {})])
def test_time_stamps_that_jitter(tmp_path, name, how, spread):
    """What is laid end to end has no hole, and is never far from its time."""
    rate, seconds = how.get("rate", 16_000), 6.0
    clicks = [0.5 + 0.7 * i for i in range(8)]
    wave = clicks_of([1.0], seconds, clicks, rate) + 0.1 * np.sin(np.arange(round(seconds * rate)) * 1800 / rate)
    track = Sounding(wave.astype(np.float32), stamp=jitter(spread), **how)
    path = write_film(tmp_path / name, track, seconds=seconds)
    found, (first, stop) = video.read_audio(path)
    assert clicks_in(found) == pytest.approx(clicks, abs=spread)
    assert np.diff(clicks_in(found)) == pytest.approx(np.diff(clicks), abs=0.003)
    calm = found[first + 400 : stop - 400].astype(float)
    assert np.sqrt(np.convolve(calm**2, np.full(100, 0.01), "valid")).min() > 1000  # 6 ms without a tone are nowhere
    assert video.open_film(path, ClipPolicy()).scan.notes == ()


@pytest.mark.parametrize(
    ("name", "how"), [("a.mkv", OPUS), ("a.mkv", {"codec": "flac"}), ("a.ts", {"codec": "mp2", "rate": 48_000})]
)
def test_packets_that_are_missing(tmp_path, name, how):
    """They leave a hole, and what follows is on time."""
    rate = how.get("rate", 16_000)
    wave = np.sin(np.arange(round(SECONDS * rate)) * 1800 / rate).astype(np.float32)[None] * 0.1 + clicks_of(rate=rate)
    gone = lambda i, at: None if 0.7 < at < 0.95 else at
    found, _ = video.read_audio(write_film(tmp_path / name, Sounding(wave, stamp=gone, **how)))
    assert clicks_in(found) == pytest.approx(CLICKS, abs=0.06)
    assert np.abs(found[round(0.86 * AUDIO_RATE) : round(0.9 * AUDIO_RATE)].astype(int)).max() < 50
    assert np.abs(found[round(1.1 * AUDIO_RATE) : round(1.2 * AUDIO_RATE)].astype(int)).max() > 2000


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
