"""The built-in sample's files, timelines and command: real mp4 files, real worker processes."""

import collections
import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import center_of_mass, label

from data_prep.datasets.rows import PrepareError
from data_prep.sample import __main__ as sample
from data_prep.sample import render, timeline, write
from data_prep.sample.parts import DEMO, PARTS, Item, items_of
from l2l.core import atomic
from l2l.data import schema
from l2l.media import video as media

ROOT = Path(__file__).parents[2]
COUNTS = {"train": 3, "val": 2}


def make(item, out, seed=0):
    write.make_video(item, lambda: None, out=out, seed=seed)
    return out / item.path


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    """A small trimmed part, made by two worker processes."""
    out = tmp_path_factory.mktemp("part")
    assert write.make_part("trimmed", out, seed=3, workers=2, counts=COUNTS)
    return out


def test_files_are_what_their_format_says(tmp_path):
    forms = []
    for number in range(48):
        item = Item("source", "val", number)
        form, frames, _ = write.compose(item, 0)
        forms.append(form)
        with av.open(str(make(item, tmp_path))) as container:
            video = container.streams.video[0]
            assert (video.codec_context.name, video.width, video.height) == ("h264", form.width, form.height)
            assert (video.average_rate, video.frames) == (form.fps, len(frames))
            audio = container.streams.audio
            assert len(audio) == (form.channels > 0)
            if audio:
                found = (audio[0].codec_context.name, audio[0].rate, audio[0].channels)
                assert found == ("aac", form.rate, form.channels)
    assert {(form.width, form.height) for form in forms} == set(write.SIZES)
    assert {form.fps for form in forms} == set(write.RATES)
    assert {form.rate for form in forms} == set(write.AUDIO_RATES)


def test_shares_without_stream_with_silence_and_in_stereo():
    rngs = [np.random.default_rng(n) for n in range(2000)]
    channels = np.array([write.Format.drawn("source", rng).channels for rng in rngs])
    silent = [not np.any(write.compose(Item("source", "train", n), 0)[2]) for n in range(200)]
    assert abs((channels == 0).mean() - write.NO_STREAM) < 0.02
    assert abs((channels == 2).mean() - write.STEREO * (1 - write.NO_STREAM)) < 0.04
    assert 0.02 < np.mean(silent) < 0.12


def test_compression_keeps_pictures_and_sound(tmp_path):
    item = next(x for n in range(9) if (x := Item("trimmed", "val", n)) and sound_of(x).any())
    form, frames, wave = write.compose(item, 0)
    path = make(item, tmp_path)
    with av.open(str(path)) as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.abs(np.stack(decoded).astype(float) - frames).mean() < 8
    heard, (first, _) = media.read_audio(path)
    at = np.arange(first, 16_000) / 16_000
    expected = np.interp(at, np.arange(len(wave)) / form.rate, wave)
    smooth = lambda x: np.convolve(x, np.ones(8) / 8, "same")
    assert np.corrcoef(smooth(heard[first:16_000] / 32768), smooth(expected))[0, 1] > 0.9


def sound_of(item):
    form, _, wave = write.compose(item, 0)
    return wave * form.channels


@pytest.mark.parametrize("name", ["source", "untrimmed", "untrimmed_pairs"])
def test_the_seed_decides_every_byte(tmp_path, name):
    item = Item(name, "train", 5)
    first, again, other = (make(item, tmp_path / x, seed) for x, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert first.read_bytes() == again.read_bytes() != other.read_bytes()


def test_a_video_is_whole_or_absent(tmp_path):
    def frames():
        yield np.zeros((72, 96, 3), np.uint8)
        raise OSError("no space")

    form = write.Format(96, 72, write.RATES[0], 16_000, 1)
    with pytest.raises(OSError, match="no space"):
        write.write_mp4(tmp_path / "x.mp4", form, frames(), np.zeros(16_000, np.float32), keyframes=1)
    assert not list(tmp_path.iterdir())


def test_timelines():
    for number in range(200):
        item = Item("untrimmed", "test", number)
        segments = item.segments(0)
        shape, motion = {(s.shape, s.motion) for s in segments if s.action}.pop()
        sound = render.MOTIONS[motion][2]
        length = segments[-1].stop
        assert 20 <= length <= 60
        assert segments[0].start == 0
        assert all(a.stop == b.start for a, b in itertools.pairwise(segments))
        assert 0.1 <= sum(s.stop - s.start for s in segments if s.action) / length <= 0.3
        said = item.labels[0].replace("anything ", "").split()
        assert set(said) <= {shape, motion}
        actions = timeline.actions(segments)
        assert 1 <= len(actions) <= 2
        assert sum(stop - start for start, stop in actions) == pytest.approx(
            sum(s.stop - s.start for s in segments if s.action)
        )
        for segment in segments:  # elsewhere the shape never goes with the sound
            assert segment.action or not (segment.shape == shape and segment.sound == sound)


def test_timelines_of_two_actions():
    for number in range(0, 416, 3):
        item = Item("untrimmed_pairs", "test", number)
        segments = item.segments(0)
        length = segments[-1].stop
        assert 20 <= length <= 60
        assert all(a.stop == b.start for a, b in itertools.pairwise(segments))
        acting = collections.defaultdict(float)
        for segment in segments:
            if segment.action:
                assert segment.sound == render.MOTIONS[segment.motion][2]
                acting[segment.shape, segment.motion] += segment.stop - segment.start
        shown = [{shape, motion} for shape, motion in acting]
        said = [set(label.replace("anything ", "").split()) for label in item.labels]
        assert len(shown) == 2
        assert any(a <= x and b <= y for (a, b), (x, y) in zip([said] * 2, (shown, shown[::-1]), strict=True))
        assert all(0.08 <= seconds / length <= 0.16 for seconds in acting.values())
        for segment in segments:  # elsewhere neither shape goes with its sound
            together = (segment.shape, segment.sound) in {(s, render.MOTIONS[m][2]) for s, m in acting}
            assert segment.action or not together


def test_two_classes_go_together_in_every_way():
    items = items_of("untrimmed_pairs", PARTS["untrimmed_pairs"].counts)
    for split, many in {"train": 26, "val": 4, "test": 26}.items():
        pairs = [item.labels for item in items if item.split == split]
        assert all(first != second for first, second in pairs)
        for place in (0, 1):
            assert set(collections.Counter(pair[place] for pair in pairs).values()) == {many}
    k = len(render.LABELS)
    assert len({item.labels for item in items if item.split == "train"}) == k * (k - 1)


def test_the_demos_parts_are_what_they_always_were():
    """A part's place in the table seeds its videos, and what happens in them is drawn as before the larger parts."""
    assert tuple(PARTS)[:3] == DEMO == ("source", "trimmed", "untrimmed")
    assert PARTS["untrimmed"].counts == {"train": 208, "val": 32, "test": 208}
    drawn = [
        [round(s.start, 6), s.shape, s.motion, s.sound, s.action]
        for split in ("train", "test")
        for number in range(24)
        for s in Item("untrimmed", split, number).segments(0)
    ]
    assert atomic.hash_of(drawn) == "ee6e1779c54660b8"


def test_far_things_are_small_in_larger_pictures_among_decoys():
    counts = collections.Counter()
    for number in range(40):
        rng = np.random.default_rng(number)
        shape = rng.choice([None, "star"])
        ground, still = np.zeros((144, 192, 3), np.float32), dataclasses.replace(render.FAR, grain=(0, 0))
        (frame,) = render.draw(ground, shape, "pulsing", np.zeros(1), domain=still, rng=rng)
        things, count = label(frame.any(-1), np.ones((3, 3)))
        places = np.array(center_of_mass(things > 0, things, range(1, count + 1))) / 144 - (0.5, 192 / 144 / 2)
        assert np.abs(places).max() < 0.5  # inside the middle square
        extents = [max(np.ptp(np.nonzero(things == i + 1), axis=1)) / 144 for i in range(count)]
        assert max(extents) < 0.32
        counts[shape, count] += 1
    assert counts["star", 3] > 15
    assert counts[None, 2] > 10
    assert sum(counts.values()) - counts["star", 3] - counts[None, 2] <= 2  # the waist of an hourglass is thin
    form, frames, _ = write.compose(Item("far", "val", 2), 0)
    assert min(form.width, form.height) >= 144
    assert next(iter(frames)).shape == (form.height, form.width, 3)


def test_untrimmed_videos_follow_their_timeline():
    item = Item("untrimmed", "val", 2)
    form, frames, wave = write.compose(item, 0)
    segments = item.segments(0)
    assert len(wave) == round(segments[-1].stop * form.rate)
    shown = np.stack(list(frames)).astype(float)
    assert len(shown) == np.ceil(segments[-1].stop * float(form.fps))
    for segment in segments:
        first, stop = (int(np.ceil(t * float(form.fps))) for t in (segment.start, segment.stop))
        change = np.abs(np.diff(shown[first:stop].mean(3), axis=0)).mean(0)  # the noise alone: the same everywhere
        assert (change.max() > 5 * np.median(change) + 2) == (segment.motion is not None)
        piece = wave[round(segment.start * form.rate) : round(segment.stop * form.rate)]
        assert piece.any() == (segment.sound is not None and wave.any())


def test_a_part_has_shards_and_its_origin(part):
    index = schema.load_index(part / "trimmed", kind="clips")
    assert index.made_by == "data_prep.sample --parts=trimmed --seed=3"
    assert index.labels == render.LABELS
    assert {split: index.records(split) for split in index.splits} == COUNTS  # one clip per video
    assert not index.failed
    assert len(list(part.rglob("*.mp4"))) == 5
    assert not list(part.rglob(".*.tmp"))


def test_workers_make_the_same_bytes(part, tmp_path):
    for split, many in COUNTS.items():
        for number in range(many):
            item = Item("trimmed", split, number)
            assert make(item, tmp_path, 3).read_bytes() == (part / item.path).read_bytes()


def test_a_finished_part_is_left_alone_and_another_seed_refused(part):
    before = {path: path.stat().st_mtime_ns for path in part.rglob("*") if path.is_file()}
    assert not write.make_part("trimmed", part, seed=3, workers=2, counts=COUNTS)
    with pytest.raises(PrepareError, match="seed=3.*delete .*or choose another --out"):
        write.make_part("trimmed", part, seed=4, workers=2, counts=COUNTS)
    assert before == {path: path.stat().st_mtime_ns for path in part.rglob("*") if path.is_file()}


def test_only_missing_videos_are_made_again(tmp_path):
    counts = {"train": 2, "val": 1}
    write.make_part("untrimmed", tmp_path, seed=0, workers=1, counts=counts)
    index = schema.load_index(tmp_path / "untrimmed")
    first, second, third = sorted(tmp_path.rglob("*.mp4"))
    kept, lost = first.stat().st_mtime_ns, second.read_bytes()
    second.unlink()
    left = second.with_name(".half.mp4.1.tmp")
    left.write_bytes(b"half")
    (tmp_path / "untrimmed" / schema.INDEX).unlink()
    write.make_part("untrimmed", tmp_path, seed=0, workers=1, counts=counts)
    assert schema.load_index(tmp_path / "untrimmed") == index
    assert (first.stat().st_mtime_ns, second.read_bytes(), left.exists()) == (kept, lost, False)
    beside = {name: json.loads((tmp_path / "untrimmed" / name).read_text()) for name in ("actions.json", "videos.json")}
    assert set(beside["actions.json"]) == set(beside["videos.json"]) == {p.stem for p in (first, second, third)}
    for video_id, path in beside["videos.json"].items():
        probe = media.probe(tmp_path / "untrimmed" / path)
        actions = beside["actions.json"][video_id]
        assert 0.1 <= sum(stop - start for start, stop in actions) / probe.duration <= 0.31
        assert actions[-1][1] <= probe.duration + 0.2


def test_the_same_videos_are_cut_twice(tmp_path):
    """Clips for the teacher begin where the single images lie, whichever part is made first."""
    counts = {"train": 1, "test": 1}
    write.make_part("untrimmed_large_clips", tmp_path, seed=0, workers=1, counts=counts)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    write.make_part("untrimmed_large", tmp_path, seed=0, workers=1, counts=counts)
    assert made == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.mp4")}
    assert not write.make_part("untrimmed_large_clips", tmp_path, seed=0, workers=1, counts=counts)
    one, eight = tmp_path / "untrimmed_large", tmp_path / "untrimmed_large_clips"
    for split in counts:
        for a, b in itertools.zip_longest(records(one, split), records(eight, split)):
            assert all(a[key] == b[key] for key in ("video_id", "clip", "clips", "start", "labels", "has_audio"))
            assert (len(a["frames"]), len(b["frames"])) == (1, 8)
            assert a["frames"][0] == b["frames"][0]
    for name in ("actions.json", "videos.json"):
        assert (one / name).read_bytes() == (eight / name).read_bytes()
    with pytest.raises(PrepareError, match=r"untrimmed_large\w* --seed=0.*not by.*untrimmed_large\w* --seed=1"):
        write.make_part("untrimmed_large_clips", tmp_path, seed=1, workers=1, counts=counts)


def test_videos_of_two_classes_have_both_labels(tmp_path):
    write.make_part("untrimmed_pairs", tmp_path, seed=0, workers=1, counts={"train": 2})
    index = schema.load_index(tmp_path / "untrimmed_pairs")
    assert index.multi_label
    for record in records(tmp_path / "untrimmed_pairs", "train"):
        number = int(record["video_id"][0][-5:])
        asked = {render.LABELS.index(label) for label in Item("untrimmed_pairs", "train", number).labels}
        assert set(record["labels"]) == asked
        assert len(asked) == 2


def records(directory, split):
    """The records of a split, {field: values}."""
    index = schema.load_index(directory)
    for path in schema.shard_paths(directory, index, split):
        for data in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            fields = tf.train.Example.FromString(data).features.feature
            yield {name: list(getattr(x, x.WhichOneof("kind")).value) for name, x in fields.items()}


@pytest.mark.parametrize(
    ("flags", "message"),
    [("--parts=source,tests", "unknown part 'tests'"), ("--workers=0", "--workers"), ("--seed=-1", "--seed")],
)
def test_wrong_flags(flags, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        sample.main([flags, f"--out={tmp_path}"])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_interrupted_and_continued(tmp_path):
    """Ctrl-C while rendering: one line, exit code 130, no index, nothing half-written under a video's name."""
    command = [sys.executable, "-m", "data_prep.sample", f"--out={tmp_path}", "--parts=source", "--workers=2"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.time() + 60
    while len(list(tmp_path.rglob("*.mp4"))) < 8 and time.time() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("interrupted; the same command goes on")
    assert not (tmp_path / "source" / schema.INDEX).exists()
    made = sorted(tmp_path.rglob("*.mp4"))
    assert len(made) >= 8
    for path in made:
        assert media.probe(path).frames >= 8
