"""Broken files by the hundred: none ends the run, each is accounted for, none takes what it claims to need."""

import os
import random
import re
from pathlib import Path

import pytest

from data_prep import verify
from data_prep.datasets.rows import Row
from data_prep.shards import prepare
from data_prep.shards.prepare import write_dataset
from l2l.media import cut, video
from l2l.media.decoding.asking import FarLive
from l2l.media.decoding.decoder import Decoder
from tests.helpers import mutated
from tests.helpers.prepared import POLICY
from tests.helpers.stand_in_worker import COMMAND, read
from tests.helpers.videos import write_video

FILES = 1000 if os.environ.get("L2L_SOAK") else 100
MEMORY = 1 << 30  # bytes
LIMIT = 30.0  # seconds


@pytest.fixture
def peaks(monkeypatch):
    """Bytes that the decoding processes have held at most."""
    found = []

    class Watched(Decoder):
        def __init__(self, time_limit):
            super().__init__(time_limit, command=COMMAND)

        def close(self):
            (pid,) = read(self.run("pids", "x", count=1))
            status = Path(f"/proc/{pid}/status").read_text()
            found.append(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10)
            super().close()

    monkeypatch.setattr(prepare, "Decoder", Watched)
    return found


@pytest.mark.soak
def test_broken_files(tmp_path, peaks):
    dice = random.Random(0)
    originals = mutated.originals(tmp_path)
    broken = [mutated.mutated(dice.choice(originals), originals, dice) for _ in range(FILES)]
    broken += [mutated.claiming(originals, claim) for claim in mutated.CLAIMS]
    rows = [Row(str(write_video(tmp_path / "good.mp4")), ("a",), "train", video_id="good")]
    for number, data in enumerate(broken):
        path = tmp_path / f"{number}.bin"
        path.write_bytes(data)
        rows.append(Row(str(path), ("a",), "train", video_id=str(number)))
    index = write_dataset(rows, ["a"], tmp_path / "out", POLICY, workers=2, time_limit=LIMIT)
    assert sum(index.table["train"].values()) == len(rows)
    assert set(index.table["train"]) <= {"done", "undecodable", "no_video", "too_short"}
    assert index.videos("train") > FILES // 10
    assert len(index.failed) > FILES // 3
    assert index.records("train") < cut.CLIPS
    assert sum(shard.bytes for shard in index.splits["train"]) < 1 << 30
    assert len(peaks) == 2
    assert max(peaks) < MEMORY
    assert list(verify.problems(tmp_path / "out")) == []


def outcome(decoder: Decoder, path: Path) -> int | str:
    """How many clips a file gives, or why it gives none."""
    try:
        return sum(1 for _ in decoder.clips(path, POLICY))
    except video.MediaError as error:
        return error.status


def test_what_a_file_claims(tmp_path):
    """It is refused, or gives what it really has: the second of video that was there before the claim."""
    originals = mutated.originals(tmp_path)
    with Decoder(LIMIT) as decoder:
        for claim in mutated.CLAIMS:
            path = tmp_path / "x"
            path.write_bytes(mutated.claiming(originals, claim))
            assert outcome(decoder, path) in {"undecodable", "too_short", 1, 2, 3}, claim
        assert outcome(decoder, tmp_path / "a.mp4") == 2


def followed(decoder: Decoder, path: Path) -> int | str:
    """The same of a file that is followed and does not grow."""
    try:
        return sum(1 for _ in FarLive(decoder, path, POLICY, stdin=False, patience=0.0).clips(1, POLICY.frames))
    except video.MediaError as error:
        return error.status


def test_what_a_followed_file_claims(tmp_path):
    originals = mutated.originals(tmp_path)
    with Decoder(LIMIT) as decoder:
        for claim in mutated.CLAIMS:
            path = tmp_path / "x"
            path.write_bytes(mutated.claiming(originals, claim))
            allowed = {"undecodable", "too_short", 1, 2, 3} | ({2048} if claim == "mp4 has no clock" else set())
            assert followed(decoder, path) in allowed, claim  # without one a tick is a second
        assert followed(decoder, tmp_path / "d.mkv") == 2
        path.write_bytes(mutated.claiming(originals, "mp4 frames last for days"))
        with pytest.raises(video.MediaError, match=r"stays for 1\d\d,\d{3} s: more than 100,000 clips"):
            next(FarLive(decoder, path, POLICY, stdin=False, patience=0.0).clips(1, 1))
