"""A preparation that is killed at random moments and continued writes the bytes of one that was never disturbed."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from data_prep import write_shards
from data_prep.shards import shard
from tests.helpers.prepared import alive, command, content, flags, wait_until
from tests.helpers.videos import write_video

KILLS = 20 if os.environ.get("L2L_SOAK") else 2
SHARDS = 6 * (KILLS + 1)
MORE = (f"--shards={SHARDS}", "--short_side=128", "--val=0", "--workers=2")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """A video a shard: the same few under many names, and one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    made = [write_video(folder / f"{i}.mp4", seconds=3 + i, size=(160, 120), fps=25) for i in range(3)]
    (folder / "class").mkdir()
    for i in range(SHARDS - 1):
        shutil.copy(made[i % 3], folder / "class" / f"{i}.mp4")
    (folder / "class" / "text.mp4").write_text("hello")
    return folder


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """Shards with an account, and when either was written."""
    accounts = (out / shard.ACCOUNTS).glob("clips-*.json")
    return {a.stem: (a.stat().st_mtime_ns, (out / a.stem).stat().st_mtime_ns) for a in accounts}


def wait_for_progress(out: Path, process: subprocess.Popen, dice: random.Random) -> None:
    """Waits for one more shard, or for one that is half-written; a kill may also fall into the start."""
    before, kind = len(finished(out)), dice.randrange(4)
    if kind == 0:
        time.sleep(dice.uniform(0, 2))
        return
    while process.poll() is None:
        if len(finished(out)) > before or (kind == 1 and any(out.glob(".*.tmp"))):
            break
        time.sleep(0.002)
    time.sleep(dice.uniform(0, 0.1))


@pytest.mark.soak
def test_killed_and_continued_equals_undisturbed(videos, tmp_path):
    straight, disturbed = tmp_path / "straight", tmp_path / "disturbed"
    assert write_shards.main(flags(videos, straight, *MORE)) == 0
    disturbed.mkdir()
    dice, kept, groups = random.Random(0), {}, []
    for number in range(KILLS):
        process = subprocess.Popen(
            command(videos, disturbed, *MORE), stderr=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        groups.append(process.pid)
        wait_for_progress(disturbed, process, dice)
        assert process.poll() is None, f"it ended before it could be killed: {process.stderr.read()!r}"
        if number % 2:
            os.killpg(process.pid, signal.SIGKILL)
        else:  # its decoders must notice by themselves
            process.kill()
        process.communicate()
        now = finished(disturbed)
        assert now == now | kept, "a finished shard was written again"
        kept = now
    assert len(kept) < SHARDS
    assert write_shards.main(flags(videos, disturbed, *MORE)) == 0
    assert finished(disturbed) == finished(disturbed) | kept
    assert content(disturbed) == content(straight)
    assert not [*disturbed.glob(".*.tmp"), *(disturbed / shard.ACCOUNTS).glob(".*.tmp")]
    wait_until(lambda: not any(map(alive, groups)))
