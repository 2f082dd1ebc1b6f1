"""Seconds from a film to its answer with full-size models: all looks at once by sound, the paper's skimmer, dense.

    python -m benchmarks.listen --json [--minutes 1 10 60]

Random weights; 640x360, 25 frames a second, H.264 and AAC. Films of 60 s with keyframes 30 and 250 frames apart are
answered by each method, T = 10 (glance: all of them chosen at once by sound; in_turn: the same, read one after another
as with --stop_when_sure), the paper's with features of every fifth position (0.53 s apart), all with the same decoder,
taking turns; medians of rounds. Then longer films, whose keyframes are 30 apart, are answered by a glance once each:
seconds of every stage, beside decoding the whole film with FFmpeg, both on all cores.
"""

import argparse
import dataclasses
import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import jax

from benchmarks import rounds, untrained
from benchmarks.films import repeated, write_film
from l2l.evaluate.early_exit import Sure
from l2l.inference import at_once
from l2l.inference.model import Model, load
from l2l.inference.session import View
from l2l.runs import config

SIZE, SECONDS, KEYFRAMES, STRIDE, TIMES = (640, 360), 60.0, (30, 250), 5, 10
NAMES = ("glance", "in_turn", "paper", "dense")


def models(where: Path) -> dict[str, Model]:
    """The methods by name; "in_turn" is the glance that reads one picture after another, as early exit has to."""
    of = lambda stage, variant="activitynet": config.load_config(f"configs/{stage}.py:{variant}")
    student, ear = of("finetune"), of("preview")
    whole, small = untrained.clip_variables(student), untrained.clip_variables(ear)
    untrained.write(where / "dense", student, {"model": whole})
    untrained.skimmer(where / "paper", of("skim"), student, whole)
    untrained.skimmer(where / "glance", of("skim", "activitynet_glance"), ear, small)
    stride = {"paper": {"stride": STRIDE}}
    found = {name: load(where / name, **stride.get(name, {})) for name in NAMES if name != "in_turn"}
    never = Sure("step_logits", (1.0,) * TIMES, 1.0)  # which nothing is sure enough for
    found["in_turn"] = Model(dataclasses.replace(found["glance"].programs, sure=never), stop_when_sure=True)
    return found


def stages(model: Model, film: Path) -> dict[str, float]:
    """Seconds of every stage of a glance at a film, and how much of its pictures was decoded for it."""
    view, how, since = View(film, model.decoders), model.programs, time.perf_counter()
    at_once.opened(view, how)
    scan = view.seconds["decode"]
    at_once.hear_track(view, how)
    sound, heard = view.seconds["decode"] - scan, view.seconds["features"]
    at_once.answers([view], how, model.asked)
    found = {"scan": scan, "sound": sound, "mel_and_preview": heard}
    found |= {"seek_and_decode": view.seconds["decode"] - sound - scan, "looks": view.seconds["features"] - heard}
    decoded = view.tally.decoded["image"]
    found |= {"decoded_pictures": decoded.seconds, "decoded_pictures_megabytes": decoded.bytes / 1e6}
    return found | {"skimming": view.seconds["skimming"], "in_all": time.perf_counter() - since}


def decode_all(film: Path) -> None:
    """Decodes every frame, with as many threads as FFmpeg likes."""
    with av.open(str(film)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for _ in container.decode(video=0):
            pass


def answers(found: dict[str, Model], films: dict[int, Path], count: int) -> dict[str, float]:
    """Seconds from file to answer of every method and film, and how many times longer than a glance it took."""
    calls: dict[str, Callable[[], float]] = {}
    for keyframes, film in films.items():
        for name, model in found.items():
            calls[f"{name}_{keyframes}"] = rounds.timed(functools.partial(model.classify, film))
    taken = rounds.medians(calls, count)
    ratios = {
        f"{name}_{k}_over_glance": taken[f"{name}_{k}"] / taken[f"glance_{k}"] for k in films for name in NAMES[1:]
    }
    return {f"{name}_seconds": seconds for name, seconds in taken.items()} | ratios


def parser() -> argparse.ArgumentParser:
    result = rounds.parser("listen", __doc__)
    result.add_argument("--minutes", type=int, nargs="*", default=(1, 10, 60), help="lengths of the longer films")
    return result


def main() -> None:
    args = parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder)
        films = {k: write_film(where / f"{k}.mp4", SIZE, SECONDS, keyframes=k) for k in KEYFRAMES}
        methods = models(where)
        figures = answers(methods, films, args.rounds)
        for minutes in args.minutes:
            film = repeated(films[30], where / "long.mp4", minutes)
            stages(methods["glance"], film)  # compiles for this length
            own = stages(methods["glance"], film)
            plain = rounds.timed(functools.partial(decode_all, film))()
            own |= {"ffmpeg_decoding": plain, "share_of_decoding": own["in_all"] / plain}
            figures |= {f"{minutes}_min_{name}": value for name, value in own.items()}
    rounds.show(figures | {"devices": jax.device_count()}, as_json=args.json)


if __name__ == "__main__":
    main()
