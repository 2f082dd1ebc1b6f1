"""Preparing clips beside decoding alone and beside plain ffmpeg, on the same films in one run.

    python -m benchmarks.prepare --json

Two films of a minute, 640x360 and 1280x720, are made first. In every round each of them is prepared (16 frames a clip
and the other defaults, through `write_dataset` in this process), decoded with PyAV alone, and decoded and scaled by

    ffmpeg -threads 1 -filter_threads 1 -i FILM -vf scale=-2:128 -f null -

which decodes the sound too, as preparation does. Figures are clips per second of processor time (user + system: what a
core does, whoever else is on the machine), medians over the rounds; ffmpeg gets one thread for decoding and one for
scaling, as a worker does, and with more it takes more processor time. Without an ffmpeg its figures are left out.

Two workers are compared with one by the clock. A worker takes seconds to start, which is no matter for a data set but
would be here, so it is how much longer a long list takes than a short one. Last, a still film of an hour is prepared by
the command itself, and the most memory that it ever held is reported.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

from benchmarks.films import write_film
from data_prep.rows import Row
from data_prep.write_shards import write_dataset
from l2l.data.schema import ClipPolicy

SIZES = {"360p": (640, 360), "720p": (1280, 720)}
SHORT, LONG = 2, 10  # films in the lists for one and two workers


def prepare(films: list[Path], out: Path, workers: int = 1) -> int:
    """Writes a data set of one clip shard a worker; returns its number of clips."""
    rows = [Row(str(film), ("a",), "train", video_id=str(i)) for i, film in enumerate(films)]
    with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):
        index = write_dataset(rows, ["a"], out, ClipPolicy(), shards=workers, workers=workers)
    shutil.rmtree(out)
    return index.records("train")


def decode(film: Path) -> None:
    with av.open(str(film)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def scale(ffmpeg: str, film: Path) -> None:
    alone = ("-threads", "1", "-filter_threads", "1")
    command = [ffmpeg, "-v", "error", "-nostdin", *alone, "-i", str(film), "-vf", "scale=-2:128", "-f", "null", "-"]
    subprocess.run(command, check=True)


def processor_time(call: Callable[[], object]) -> float:
    """Seconds of user and system time, of this process and of those that it waited for."""

    def spent() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    before = spent()
    call()
    return spent() - before


def seconds(call: Callable[[], object]) -> float:
    since = time.perf_counter()
    call()
    return time.perf_counter() - since


def per_core(films: dict[str, Path], out: Path, ffmpeg: str | None, rounds: int) -> dict[str, float]:
    """Clips per second of processor time for every film and way, and how much preparation takes of ffmpeg's time."""
    clips = {name: prepare([film], out) for name, film in films.items()}
    ways = {"prepare": lambda film: prepare([film], out), "decode": decode}
    ways |= {"ffmpeg": lambda film: scale(ffmpeg, film)} if ffmpeg else {}
    taken: dict[tuple[str, str], list[float]] = {(name, way): [] for name in films for way in ways}
    for _ in range(rounds):
        for (name, way), times in taken.items():
            times.append(processor_time(lambda name=name, way=way: ways[way](films[name])))
    found = {f"{name}_{way}": round(clips[name] / statistics.median(x), 2) for (name, way), x in taken.items()}
    for name in films if ffmpeg else ():
        each = zip(taken[name, "prepare"], taken[name, "ffmpeg"], strict=True)
        found[f"{name}_prepare_to_ffmpeg"] = round(statistics.median(a / b for a, b in each), 2)
    return found


def speed_up(film: Path, out: Path, rounds: int) -> dict[str, float]:
    """Two workers beside one, by the clock and without their start."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers, found in taken.items():
            short, long = (seconds(lambda n=n, w=workers: prepare([film] * n, out, w)) for n in (SHORT, LONG))
            found.append(long - short)
    ratios = [one / two for one, two in zip(taken[1], taken[2], strict=True)]
    return {"two_workers_to_one": round(statistics.median(ratios), 2)}


def memory(folder: Path) -> dict[str, float]:
    """The most megabytes (1e6 bytes) that the command ever holds while it prepares a film of six minutes or an hour."""
    found, videos = {}, folder / "videos" / "still"
    videos.mkdir(parents=True)
    for name, length in (("six_minutes", 360), ("hour", 3600)):
        film = write_film(videos / f"{name}.mp4", (640, 360), length, fps=5, noise=0)
        lists = [f"--videos={videos.parent}", f"--out={folder / name}", "--val=0", "--workers=1"]
        child = subprocess.Popen([sys.executable, "-m", "data_prep.write_shards", *lists], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"preparing {film} failed")
        film.unlink()
        found[f"{name}_peak_mb"] = round(usage.ru_maxrss * 1024 / 1e6)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds (default: %(default)s)")
    parser.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="an ffmpeg to compare with (default: on PATH)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = {key: write_film(folder / f"{key}.mp4", size, 60) for key, size in SIZES.items()}
        found = per_core(films, folder / "out", args.ffmpeg, args.rounds)
        found |= speed_up(films["720p"], folder / "out", max(args.rounds // 2, 1))
        found |= memory(folder)
    print(json.dumps(found) if args.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
