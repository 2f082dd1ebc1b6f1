"""No modality tells what it must not: linear classifiers on simple statistics of real files, one modality each.

The same classifiers on the same statistics do find what a modality must tell, so that a leak would be found too.
"""

import dataclasses
import itertools

import numpy as np
import pytest

from data_prep.sample import render, write
from data_prep.sample.parts import CLIP, Item
from l2l.media import video
from l2l.media.picture.jpeg import decode_jpeg

PER_CLASS = 18
MOTIONS, SHAPES = tuple(render.MOTIONS), render.SHAPES + render.APPEARANCES


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a prepared clip holds and, apart from that, what was rendered."""

    shape: str
    motion: str
    frames: np.ndarray  # uint8 (8, 64, 64, 3), the middle square
    sound: np.ndarray | None  # float (16000,) in -1..1; None where there is none


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Source clips through the real encoder, decoder and JPEG."""
    out = tmp_path_factory.mktemp("sample")
    items = [Item("source", "train", n) for n in range(PER_CLASS * len(render.LABELS))]
    return [seen(item, out) for item in items]


def seen(item, out):
    write.make_video(item, lambda: None, out=out, seed=1)
    shape, motion = render.parts_of(item.labels[0], item.generators(1)[0])
    clip = next(video.read_clips(out / item.path, CLIP))
    frames = np.stack([decode_jpeg(jpeg) for jpeg in clip.jpegs])
    top, left = (frames.shape[1] - 64) // 2, (frames.shape[2] - 64) // 2
    heard = clip.audio / 32768 if clip.audio.any() else None
    return Seen(shape, motion, frames[:, top : top + 64, left : left + 64], heard)


def of_frame(frame):
    """Colour, contrast, edges, histogram, and where and how large what stands out is: (34,)."""
    x = frame / 255
    grey = x.mean(2)
    down, across = np.diff(grey, axis=0)[:, :-1], np.diff(grey, axis=1)[:-1]
    steep = np.hypot(down, across)
    histogram = np.histogram(grey, 8, (0, 1))[0] / grey.size
    edges = np.histogram(steep, (0.02, 0.05, 0.1, 0.2, 2))[0] / steep.size
    odd = np.abs(x - np.median(x, (0, 1))).sum(2)
    odd = (odd > 0.4 * odd.max()).astype(float)
    place = np.linspace(-1, 1, len(grey))
    spread = [odd.mean(), *moments(odd.sum(0), place), *moments(odd.sum(1), place)]
    curved = np.abs(np.diff(odd, axis=0)).mean(), np.abs(np.diff(odd, axis=1)).mean()
    colour = [*x.mean((0, 1)), *x.std((0, 1)), down.std(), across.std(), steep.mean()]
    return np.array([*colour, *histogram, *edges, *spread, *curved, *(np.array(spread) ** 2)])


def moments(weights, place):
    """Mean and spread of a distribution."""
    weights = weights / weights.sum()
    mean = (weights * place).sum()
    return mean, np.sqrt((weights * (place - mean) ** 2).sum())


def of_frames(frames):
    """How much the statistics of single frames change over a clip, and how much the pictures do."""
    each = np.stack([of_frame(frame) for frame in frames])
    change = np.abs(np.diff(frames.astype(float), axis=0)).mean()
    return np.array([*each.std(0), *np.abs(np.diff(each, axis=0)).mean(0), change])


def of_sound(wave):
    """Loudness, loudness at both ends, spectrum, and how level and pitch vary: (67,)."""
    pieces = wave[: 16000 // 400 * 400].reshape(-1, 400) * np.hanning(400)
    spectrum = np.abs(np.fft.rfft(pieces)) + 1e-5
    bands = np.log(np.stack([band.mean(1) for band in np.array_split(spectrum[:, 1:121], 20, axis=1)], 1))
    level = np.log(spectrum.sum(1))
    pitch = np.log(spectrum[:, 1:].argmax(1) + 1.0)
    beats = np.abs(np.fft.rfft(level - level.mean()))[1:17]
    ends = level[0] - level.mean(), level[-1] - level.mean(), level[:2].max() - level[2:].max()
    glide = np.diff(pitch)
    rises, falls = (glide > 0).mean(), (glide < 0).mean()
    rest = [level.mean(), level.std(), pitch.mean(), pitch.std(), np.median(glide), rises, falls]
    return np.array([*bands.mean(0), *bands.std(0), *beats, *ends, *rest, np.abs(np.diff(wave)).max()])


def accuracy(features, classes, folds=6):
    """Share of right answers of a linear classifier (ridge on one-hot targets), cross-validated."""
    names, y = np.unique(classes, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(y)) % folds
    right = 0
    for k in range(folds):
        train, test = fold != k, fold == k
        mean, std = features[train].mean(0), features[train].std(0) + 1e-9
        x, z = ((features[part] - mean) / std for part in (train, test))
        x, z = (np.clip(part, -4, 4) for part in (x, z))
        target = np.eye(len(names))[y[train]]
        weights = np.linalg.solve(x.T @ x + 10 * np.eye(x.shape[1]), x.T @ (target - target.mean(0)))
        right += (np.argmax(z @ weights + target.mean(0), 1) == y[test]).sum()
    return right / len(y)


def among(groups, features, classes):
    """Accuracy once what the groups differ by on average is taken away; chance; three standard errors."""
    centred = features - np.stack([features[groups == group].mean(0) for group in groups])
    chance = np.unique(classes, return_counts=True)[1].max() / len(classes)
    return accuracy(centred, classes), chance, 3 * np.sqrt(chance * (1 - chance) / len(classes))


def words(clips, *names):
    return [np.array([getattr(clip, name) for clip in clips]) for name in names]


@pytest.fixture(scope="module")
def frames():
    """Statistics of single frames as drawn, 80 per shape and motion, with the shape and the motion of each."""
    rng, drawn = np.random.default_rng(0), list(itertools.product(range(80), render.SHAPES, MOTIONS))
    features = []
    for number, shape, motion in drawn:
        ground = render.backdrop(64, 64, render.SOURCE, rng)
        time = np.array([(0.0, 0.6)[number % 2]])
        features.append(of_frame(render.draw(ground, shape, motion, time, domain=render.SOURCE, rng=rng)[0]))
    return np.stack(features), *(np.array(names) for names in list(zip(*drawn, strict=True))[1:])


def test_a_single_frame_does_not_tell_the_motion(frames):
    got, chance, margin = among(frames[1], frames[0], frames[2])
    assert got < chance + margin


def test_a_single_frame_does_not_tell_a_pair_of_classes_of_one_shape(frames):
    features, shapes, motions = frames
    for shape, pair in itertools.product(render.SHAPES, itertools.combinations(MOTIONS, 2)):
        mine = (shapes == shape) & np.isin(motions, pair)
        assert accuracy(features[mine], motions[mine]) < 0.66  # guessing gives 0.5 +- 0.04


def test_a_compressed_frame_does_not_tell_the_motion(clips):
    paired = [clip for clip in clips if clip.shape in render.SHAPES]
    shapes, motions = words(paired, "shape", "motion")
    for which in (0, 7):
        features = np.stack([of_frame(clip.frames[which]) for clip in paired])
        got, chance, margin = among(shapes, features, motions)
        assert got < chance + margin


def test_moving_pictures_tell_the_motion(clips):
    paired = [clip for clip in clips if clip.shape in render.SHAPES]
    got = accuracy(np.stack([of_frames(clip.frames) for clip in paired]), *words(paired, "motion"))
    assert got > 0.8  # guessing gives 0.29


def test_a_single_frame_tells_the_shape(clips):
    got = accuracy(np.stack([of_frame(clip.frames[0]) for clip in clips]), *words(clips, "shape"))
    assert got > 0.4  # guessing gives 0.23


def test_the_sound_does_not_tell_the_shape(clips):
    heard = [clip for clip in clips if clip.sound is not None and clip.motion in render.WITH_SHAPE]
    motions, shapes = words(heard, "motion", "shape")
    got, chance, margin = among(motions, np.stack([of_sound(clip.sound) for clip in heard]), shapes)
    assert got < chance + margin


def test_the_sound_tells_the_motion(clips):
    heard = [clip for clip in clips if clip.sound is not None]
    got = accuracy(np.stack([of_sound(clip.sound) for clip in heard]), *words(heard, "motion"))
    assert got > 0.8  # guessing gives 0.29


def test_whether_there_is_sound_tells_nothing(clips):
    heard = np.array([[clip.sound is not None] for clip in clips], float)
    for name in ("shape", "motion"):
        (classes,) = words(clips, name)
        got, chance, margin = among(np.zeros(len(clips)), heard, classes)
        assert got < chance + margin


def test_a_motion_runs_one_phase_and_starts_anywhere():
    times = np.arange(8) / 8
    for which, motion in enumerate(MOTIONS):
        rng = np.random.default_rng(which)
        phases = np.stack([render.pose(motion, times, rng) for _ in range(400)])  # (400, 8, 5)
        moving = np.ptp(phases, axis=1).max(0) > 0
        assert moving.nonzero()[0].tolist() == [render.MOTIONS[motion][0]]
        for frame in (0, 7):  # uniform on the circle: no direction is preferred
            assert np.abs(np.exp(1j * phases[:, frame]).mean(0)).max() < 0.15
    assert not np.ptp(render.pose(None, times, rng), axis=0).any()


def test_labels():
    assert len(set(render.LABELS)) == len(render.LABELS) == 16
    for label in render.LABELS:
        shape, motion = render.parts_of(label, np.random.default_rng(0))
        assert shape in SHAPES
        assert motion in MOTIONS
        assert shape not in render.DECOYS
