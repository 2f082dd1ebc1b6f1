"""How long a preparation will take and how much room it needs, told from a few of its videos."""

import dataclasses
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from l2l.core.texts import clock
from l2l.media.decoding.decoder import Decoder
from l2l.media.policy import AUDIO_RATE, USUAL, ClipPolicy, Reading
from l2l.media.scan import MediaError

from .. import storage
from ..datasets.rows import Row

VIDEOS = 5  # that are probed
STRETCH = 4.0  # seconds of each that are cut
BUDGET = 10.0  # seconds that it may take, but for the first video
RECORD = 500  # bytes of a record that are neither picture nor sound


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Seconds of film, clips, bytes and seconds of one worker; from how many videos that is told."""

    film: float
    clips: float
    bytes: float
    work: float
    videos: int

    def say(self, workers: int) -> str:
        """One line."""
        film, work = clock(self.film), clock(self.work / workers)
        return (
            f"about {film} of film, {self.clips:,.0f} clips, {self.bytes / 1e6:,.0f} MB, "
            f"{work} with {workers} workers (told from {self.videos} videos)"
        )


def estimate(rows: Sequence[Row], policy: ClipPolicy, time_limit: float, reading: Reading = USUAL) -> Estimate | None:
    """Cuts a few seconds of a few videos; None if none of those tried can be used."""
    step = max(1, len(rows) // (2 * VIDEOS))
    begin, tried, found = time.monotonic(), 0, []
    with Decoder(time_limit) as decoder:
        for row in rows[::step][: 2 * VIDEOS]:
            tried += 1
            try:
                found.append(_measured(decoder, row, policy, reading))
            except (MediaError, OSError):
                continue
            if len(found) == VIDEOS or time.monotonic() - begin > BUDGET:
                break
    if not found:
        return None
    film, clips, size, work = (sum(column) / tried * len(rows) for column in zip(*found, strict=True))
    return Estimate(film, clips, size, work, len(found))


def _measured(decoder: Decoder, row: Row, policy: ClipPolicy, reading: Reading) -> tuple[float, float, float, float]:
    """Seconds of film, clips, bytes and seconds of work of one video, by what its first seconds give."""
    if row.problem:
        raise MediaError(row.problem[0], row.path, row.problem[1])
    with storage.local_copy(row.path) as path:
        facts = decoder.probe(path, reading)
        first, stop = row.start or 0.0, min(row.end or facts.duration, facts.duration)
        part = min(STRETCH, max(stop - first, 0.0))
        few = dataclasses.replace(policy, clips=math.ceil(policy.clips * part / (stop - first)) if part else 0)
        times, sizes = [time.monotonic()], []
        for clip in decoder.clips(path, few, first, first + part, reading):
            times.append(time.monotonic())
            sizes.append(sum(map(len, clip.jpegs)) + 2 * AUDIO_RATE + RECORD)
    count, more = len(sizes), (stop - first) / part
    # Before the first clip comes what is done once: all packets are looked at, and the sound is decoded.
    each = (times[-1] - times[1]) / (count - 1) if count > 1 else times[1] - times[0]
    clips = policy.clips or count * more
    return stop - first, clips, clips * sum(sizes) / count, times[1] - times[0] + each * (count * more - 1)


def room(out: str) -> int | None:
    """Bytes that are free where the directory is or will be; None in an object store."""
    if storage.is_remote(out):
        return None
    there = next(folder for folder in (Path(out).absolute(), *Path(out).absolute().parents) if folder.exists())
    return shutil.disk_usage(there).free
