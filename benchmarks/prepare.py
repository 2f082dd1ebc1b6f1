"""Preparing clips beside decoding alone and beside plain ffmpeg, on the same films in one run.

    python -m benchmarks.prepare --json

Films of a minute, 640x360 and 1280x720, are made first. In every round they are prepared by the command (16 frames a
clip and its other defaults), decoded with PyAV alone, and decoded and scaled by

    ffmpeg -threads 1 -filter_threads 1 -i FILM -vf scale=-2:128 -f null -

which decodes the sound too, as preparation does. Figures are clips per second of processor time (user + system: what
one core does, whoever else is on the machine), medians over the rounds. ffmpeg has one thread to decode and one to
scale, as a worker has; with its default of more it takes more processor time. Without an ffmpeg, its part is left out.

The command takes seconds to start, which does not matter for a data set but would here: preparation is how much more a
long list of films takes than a short one. Two workers are compared with one so, by the clock; and so is cutting by a
decoding process with cutting in the process that wants the clips, by processor time and by the clock. Last, still films
of six minutes and of an hour are cut in a process of their own, and the most memory is reported that it held.
"""

import argparse
import functools
import json
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

SIZES = {"360p": (640, 360), "720p": (1280, 720)}
SHORT, LONG = 2, 8  # films in a list
CUT = """
import sys
from l2l.media import policy, video
for _ in video.read_clips(sys.argv[1], policy.ClipPolicy()):
    pass
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


# Cuts a film so many times, by a decoding process or itself.
CUTS = """
import sys
from l2l.media import policy, video
from l2l.media.decoding import decoder
_, film, times, how = sys.argv
with decoder.Decoder() as other:
    for _ in range(int(times)):
        for _ in (other.clips if how == "there" else video.read_clips)(film, policy.ClipPolicy()):
            pass
"""


def prepare(film: Path, count: int, workers: int = 1) -> int:
    """Prepares as many films as asked, all alike; returns the number of their clips."""
    with tempfile.TemporaryDirectory() as name:
        out, names = Path(name, "out"), [f"{i}.mp4" for i in range(count)]
        for each in names:
            shutil.copy(film, Path(name, each))
        Path(name, "list.csv").write_text("path,label,split\n" + "".join(f"{each},a,train\n" for each in names))
        lists = [f"--videos={name}/list.csv", f"--out={out}", f"--shards={workers}", f"--workers={workers}"]
        subprocess.run([sys.executable, "-m", "data_prep.write_shards", *lists], check=True, capture_output=True)
        shards = json.loads((out / "index.json").read_text())["splits"]["train"]
        return sum(shard["records"] for shard in shards)


def decode(film: Path) -> None:
    with av.open(str(film)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for _ in container.decode(video=0):
            pass


def scale(ffmpeg: str, film: Path) -> None:
    alone = ("-threads", "1", "-filter_threads", "1")
    command = [ffmpeg, "-v", "error", "-nostdin", *alone, "-i", str(film), "-vf", "scale=-2:128", "-f", "null", "-"]
    subprocess.run(command, check=True)


def spent(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of processor time, of this process and of those that it waited for, and seconds by the clock."""

    def now() -> tuple[float, float]:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages), time.perf_counter()

    (work, clock), _, (work_after, clock_after) = now(), call(), now()
    return work_after - work, clock_after - clock


def more(run: Callable[[int], object]) -> tuple[float, float]:
    """What one film more costs in a run with so many films, seconds of processor time and by the clock."""
    short, long = (spent(functools.partial(run, count)) for count in (SHORT, LONG))
    return (long[0] - short[0]) / (LONG - SHORT), (long[1] - short[1]) / (LONG - SHORT)


def preparing(film: Path, workers: int) -> tuple[float, float]:
    """What one film more costs, seconds of processor time and by the clock."""
    return more(lambda count: prepare(film, count, workers))


def cutting(film: Path, how: str) -> tuple[float, float]:
    """The same of cutting it "there", by a decoding process, or "here"."""
    return more(lambda count: subprocess.run([sys.executable, "-c", CUTS, str(film), str(count), how], check=True))


def measure(films: dict[str, Path], ffmpeg: str | None) -> dict[str, float]:
    """One round: seconds for one film."""
    found = {}
    for name, film in films.items():
        found[f"{name}_prepare"], one = preparing(film, 1)
        found[f"{name}_decode"], _ = spent(functools.partial(decode, film))
        if ffmpeg:
            found[f"{name}_ffmpeg"], _ = spent(functools.partial(scale, ffmpeg, film))
            found[f"{name}_prepare_to_ffmpeg"] = found[f"{name}_prepare"] / found[f"{name}_ffmpeg"]
    _, two = preparing(film, 2)
    (there, by_clock), (here, alone) = cutting(films["360p"], "there"), cutting(films["360p"], "here")
    ratios = {"there_to_here": there / here, "there_to_here_by_clock": by_clock / alone}
    return found | ratios | {"two_workers_to_one": one / two}


def speed(films: dict[str, Path], ffmpeg: str | None, rounds: int) -> dict[str, float]:
    """Medians of all rounds: clips per second and core, and ratios."""
    measured = [measure(films, ffmpeg) for _ in range(rounds)]
    found = {key: statistics.median(each[key] for each in measured) for key in measured[0]}
    clips = {name: prepare(film, 1) for name, film in films.items()}
    rates = {f"{key}_clips_per_core_s": clips[key[:4]] / value for key, value in found.items() if "_to_" not in key}
    return rates | {key: value for key, value in found.items() if "_to_" in key}


def memory(folder: Path) -> dict[str, float]:
    """The most megabytes (1e6 bytes) that a process holds which cuts a film of six minutes or of an hour."""
    found = {}
    for name, length in (("six_minutes", 360), ("hour", 3600)):
        film = write_film(folder / f"{name}.mp4", (640, 360), length, fps=5, noise=0)
        command = [sys.executable, "-c", CUT, str(film)]
        kilobytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[f"{name}_peak_mb"] = int(kilobytes) * 1024 / 1e6
    return found


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m benchmarks.prepare", description=__doc__.splitlines()[0])
    result.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    result.add_argument("--rounds", type=int, default=3, help="measured rounds (default: %(default)s)")
    result.add_argument("--ffmpeg", default=shutil.which("ffmpeg"), help="an ffmpeg to compare with (default: on PATH)")
    return result


def main() -> None:
    args = parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        films = {key: write_film(Path(name, f"{key}.mp4"), size, 60) for key, size in SIZES.items()}
        found = speed(films, args.ffmpeg, args.rounds) | memory(Path(name))
    found = {key: round(value, 2) for key, value in found.items()}
    print(json.dumps(found) if args.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
