"""A film seen and heard by the full-size skimmer and by the dense teacher, from the file to the answer.

    python -m benchmarks.infer --json

Random weights, images of 112 pixels, 640x360 films. The film of 60 s: warm, stride 5 and ten looks, beside the teacher
on every clip of it; the whole command from a cold start that finds its programs compiled; the same film from a pipe. A
film of an hour beside one of a tenth of that: seconds and memory of a process. Many short videos in one call beside as
many calls; of the command, calls are timed for a few and counted for all.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import jax
import numpy as np

import l2l
from benchmarks import rounds
from benchmarks.films import repeated, write_film
from l2l.media.policy import ClipPolicy
from l2l.runs import fits, run_folder
from l2l.runs.config import load_config, plain
from l2l.train.log import GIB

LABELS = tuple(f"class {i}" for i in range(200))
SIZE, STRIDE = (640, 360), 5
FILM, SHORT = 60.0, 5.0  # seconds
HOUR = 60  # times the film
CALLS = 3  # of the command that are timed
# Looks at a film in a process of its own; prints its seconds and the most memory that it held.
ALONE = """
import json, resource, sys, time, l2l
model = l2l.load(sys.argv[1], stride=int(sys.argv[2]))
model.classify(sys.argv[3])
since = time.perf_counter()
result = model.classify(sys.argv[4])
taken, most = time.perf_counter() - since, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": taken, "bytes": 1024 * most, "positions": len(result.times)} | result.seconds))
"""


def weights(shapes: Any) -> Any:
    """Random variables of these shapes: kernels of unit gain, scales and variances 1, the rest 0."""
    rng = np.random.default_rng(0)

    def value(path: Sequence[Any], x: jax.ShapeDtypeStruct) -> np.ndarray:
        name = path[-1].key
        if name == "kernel" or name.endswith("direction"):
            return rng.normal(0, np.prod(x.shape[:-1]) ** -0.5, x.shape).astype(x.dtype)
        return np.full(x.shape, float(name in ("scale", "var") or name.endswith("_scale")), x.dtype)

    return jax.tree_util.tree_map_with_path(value, shapes)


def write_runs(where: Path) -> dict[str, Path]:
    """Finished runs of the teacher and of the skimmer."""
    config = {name: plain(load_config(f"configs/{name}.py:activitynet")) for name in ("finetune", "skim")}
    teacher = plain(load_config("configs/teacher.py:kinetics400"))
    student = weights(fits.clip_shapes(config["finetune"], len(LABELS)))
    shapes = fits.skim_shapes(config["skim"], len(LABELS), config["finetune"], student["params"])
    finish(where / "teacher", teacher, {"model": weights(fits.clip_shapes(teacher, len(LABELS)))}, None)
    finish(where / "skim", config["skim"], {"model": weights(shapes), "student": student}, config["finetune"])
    return {name: where / name for name in ("teacher", "skim")}


def finish(out: Path, config: Mapping[str, Any], variables: Any, student: Mapping[str, Any] | None) -> None:
    policy = vars(ClipPolicy())
    run_folder.start(out, {"config": config, "inputs": {}, "labels": LABELS, "policy": policy, "student": student})
    run_folder.finish(out, variables, {}, 0)


def remux(source: Path, path: Path) -> Path:
    """The same packets in a format that can be read from front to back."""
    with av.open(str(source)) as film, av.open(str(path), "w") as target:
        streams = [target.add_stream_from_template(stream) for stream in film.streams]
        for packet in film.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index]
                target.mux(packet)
    return path


def seconds_of(call: Any) -> float:
    since = time.perf_counter()
    call()
    return time.perf_counter() - since


def beside_the_teacher(model: l2l.Model, teacher: l2l.Model, film: Path, short: Path, count: int) -> dict[str, Any]:
    """Wall time of both, warm, with the skimmer's in parts."""
    model.classify(film)
    teacher.classify(short)
    timed = []
    for _ in range(count):
        since = time.perf_counter()
        result = model.classify(film)
        timed.append((time.perf_counter() - since, result))
    taken, result = sorted(timed, key=lambda pair: pair[0])[count // 2]
    dense = seconds_of(lambda: teacher.classify(film))
    parts = {f"skim_{name}_s": value for name, value in result.seconds.items()}
    return {"skim_s": taken, **parts, "looks": result.looks, "teacher_s": dense, "speed_ratio": dense / taken}


def streamed(model: l2l.Model, film: Path, folder: Path) -> dict[str, Any]:
    """How far the answer to a pipe is from the one to the file."""
    path = remux(film, folder / "film.mkv")
    whole = model.classify(path)
    with path.open("rb") as file:
        *_, last = model.stream(file)
    apart = float(np.abs(last.scores - whole.scores).max())
    return {"stream_scores_apart": apart, "stream_same_moments": last.moments == whole.moments}


def command(run: Path, videos: Sequence[Path], cache: Path) -> float:
    """Seconds of `python -m l2l.infer`."""
    words = [sys.executable, "-m", "l2l.infer", *map(str, videos), f"--run={run}", f"--stride={STRIDE}", "--json"]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    return seconds_of(lambda: subprocess.run(words, env=environment, check=True, capture_output=True))


def alone(run: Path, warm: Path, film: Path, cache: Path) -> dict[str, Any]:
    """What ALONE prints."""
    words = [sys.executable, "-c", ALONE, str(run), str(STRIDE), str(warm), str(film)]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
    return json.loads(subprocess.run(words, env=environment, check=True, capture_output=True).stdout)


def long_film(run: Path, film: Path, folder: Path, cache: Path, times: int) -> dict[str, Any]:
    """Seconds and memory for a film of so many minutes beside one of a tenth of it."""
    tenth = repeated(film, folder / "tenth.mp4", max(times // 10, 1))
    whole = repeated(film, folder / "whole.mp4", times)
    few, all_of_it = (alone(run, film, path, cache) for path in (tenth, whole))
    each = lambda found: found["seconds"] / found["positions"]
    return {
        "long_minutes": times * FILM / 60,
        "long_s": all_of_it["seconds"],
        "long_gib": all_of_it["bytes"] / GIB,
        "tenth_gib": few["bytes"] / GIB,
        "long_to_tenth_s_per_position": each(all_of_it) / each(few),
    }


def many(model: l2l.Model, run: Path, short: Path, folder: Path, cache: Path, count: int) -> dict[str, Any]:
    """So many short videos in one call and in as many calls: of the API, both warm, and of the command."""
    videos = [folder / f"{i}.mp4" for i in range(count)]
    for video in videos:
        video.hardlink_to(short)
    model.classify(videos[: max(model.programs.videos_at_once)])
    model.classify(videos[0])
    together = seconds_of(lambda: model.classify(videos))
    apart = seconds_of(lambda: [model.classify(video) for video in videos])
    once = command(run, videos, cache)
    each = statistics.median(command(run, videos[:1], cache) for _ in range(CALLS))
    found = {"videos": count, "api_one_call_s": together, "api_calls_s": apart, "api_ratio": apart / together}
    return found | {"command_one_call_s": once, "command_each_s": each, "command_ratio": count * each / once}


def parser() -> argparse.ArgumentParser:
    result = rounds.parser("infer", __doc__)
    result.add_argument("--minutes", type=int, default=HOUR, help="length of the long film (default: %(default)s)")
    result.add_argument("--videos", type=int, default=100, help="how many short ones (default: %(default)s)")
    return result


def main() -> None:
    args = parser().parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name), Path(name) / "cache"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        paths = write_runs(folder)
        film, short = write_film(folder / "film.mp4", SIZE, FILM), write_film(folder / "short.mp4", SIZE, SHORT)
        model = l2l.load(paths["skim"], stride=STRIDE)
        found = beside_the_teacher(model, l2l.load(paths["teacher"]), film, short, args.rounds)
        command(paths["skim"], [film], cache)  # compiles what is not there yet
        found["cold_start_s"] = statistics.median(command(paths["skim"], [film], cache) for _ in range(CALLS))
        found |= streamed(model, film, folder)
        found |= many(model, paths["skim"], short, folder, cache, args.videos)
        found |= long_film(paths["skim"], film, folder, cache, args.minutes)
    rounds.show(found, as_json=args.json)


if __name__ == "__main__":
    main()
