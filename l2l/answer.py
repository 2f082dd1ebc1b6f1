"""What a model computed of a video -> its Result."""

import time

import numpy as np

from l2l import metrics
from l2l.programs import Programs
from l2l.result import Closer, Moment, Result
from l2l.view import View

MODALITIES = ("image", "audio")
STRONGEST = 5  # clips of a clip model that are named as moments


class Clock:
    """Measures what is done while it is entered, in `seconds`."""

    def __enter__(self) -> "Clock":
        self.since = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds = time.perf_counter() - self.since


def averaged(programs: Programs, view: View) -> Result:
    """A clip model's scores, averaged over all clips."""
    logits = np.stack([row["logits"] for row in view.rows])
    clips = metrics.probabilities(logits, programs.multi_label)  # (n, k)
    scores = clips.mean(0)
    share = clips[:, scores.argmax()] / clips[:, scores.argmax()].sum()
    chosen = MODALITIES if programs.modality == "both" else (programs.modality,)
    return Result(
        path=view.path,
        labels=programs.labels,
        scores=scores,
        calibrated=False,
        moments=tuple(
            moment(programs.modality, view.times[i], share[i]) for i in np.argsort(-share, kind="stable")[:STRONGEST]
        ),
        times=view.times,
        indexed=view.indexed,
        attention=dict.fromkeys(chosen, share[None]),
        shares=np.array([[m in chosen for m in MODALITIES]], np.float32) / len(chosen),
        evidence=np.cumsum(clips, 0) / np.arange(1, len(clips) + 1, dtype=np.float32)[:, None],
        looks=len(clips),
        has_audio=view.has_audio,
        gmacs=gmacs(programs, len(clips), 0, 0),
        seconds=dict(view.seconds),
        decoded=dict(view.tally.decoded),
    )


def skimmed(programs: Programs, view: View, out: dict[str, np.ndarray], stop_when_sure: bool) -> Result:
    """A skimmer's hard selection; `out` is one row of `Programs.skim`."""
    fell_back = programs.listen and programs.listen.fallback and not view.has_audio
    out = of_images(out) if fell_back else out
    evidence, calibrated = judged(programs, out, stop_when_sure)
    looks = len(evidence)
    start = int(out["looks"] - out["counted"].sum())  # 1 if the mean of the video counts as a look
    steps = looks - start  # those whose pick counts, the first ones
    index_by = [m for m in MODALITIES if f"picked_{m}" in out]
    places = np.flatnonzero(view.indexed)
    heard = {"has_audio": view.has_audio} if programs.listen else {}
    picked = {m: places[out[f"picked_{m}"][:steps]] for m in index_by}
    worth = out.get("worth", np.ones(len(out["counted"])))[:steps]
    share = out["modality"][:steps] * (worth / (worth.sum() + start))[:, None]
    closer = closer_of(programs, out, steps)
    regions = [None] * steps if closer is None else closer.boxes[out["region"][:steps]].astype(float).round(4).tolist()
    return Result(
        path=view.path,
        labels=programs.labels,
        scores=evidence[-1],
        calibrated=calibrated,
        moments=tuple(
            moment(m, view.times[picked[m][t]], share[t, MODALITIES.index(m)], regions[t])
            for t in range(steps)
            for m in index_by
        ),
        times=view.times,
        indexed=view.indexed,
        attention={m: spread(out[f"weights_{m}"][:steps], places, len(view.times)) for m in index_by},
        shares=out["modality"][:steps],
        evidence=evidence,
        looks=looks,
        has_audio=view.has_audio,
        gmacs=gmacs(programs, len(places), steps, len({int(i) for p in picked.values() for i in p}), **heard),
        seconds=dict(view.seconds),
        decoded=dict(view.tally.decoded),
        closer=closer,
    )


def of_images(out: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a fallback says, which calls its picks audio's: it chose by image and read nothing else."""
    renamed = {key.replace("_audio", "_image"): value for key, value in out.items()}
    return renamed | {"modality": out["modality"][:, ::-1]}


def closer_of(programs: Programs, out: dict[str, np.ndarray], steps: int) -> Closer | None:
    """Where the looks that count were closer, if they were."""
    return programs.closer and Closer(programs.closer.regions.boxes, out["closer"][:steps])


def judged(programs: Programs, out: dict[str, np.ndarray], stop_when_sure: bool) -> tuple[np.ndarray, bool]:
    """The scores (looks, k) after every look that is taken, and whether they are calibrated.

    Where the other classifier, the one on the LSTM's state, was found to know best when to stop, its scores are told
    only by who stops.
    """
    sure, looks, logits = programs.sure, int(out["looks"]), out["step_logits"]
    if stop_when_sure:
        looks = int(sure.looks({key: out[key][None] for key in (sure.source, "looks")})[0])
        logits = out[sure.source]
    calibrated = sure is not None and (stop_when_sure or sure.source == "step_logits")
    if calibrated:
        logits = logits / np.asarray(sure.temperatures, np.float32)[:, None]
    return metrics.probabilities(logits[:looks], programs.multi_label), calibrated


def spread(weights: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    """(T, m or more) weights of the indexed positions -> (T, n), 0 at the others."""
    wide = np.zeros((len(weights), n), np.float32)
    wide[:, places] = weights[:, : len(places)]
    return wide


def gmacs(programs: Programs, positions: int, steps: int, looks: int, **heard: bool) -> dict[str, float]:
    return {part: count / 1e9 for part, count in programs.macs(positions, steps, looks, **heard).items()}


def moment(modality: str, at: float, weight: float, region: list[float] | None = None) -> Moment:
    return Moment(modality, round(float(at), 3), float(weight), region and tuple(region))
