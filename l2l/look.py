"""A finished run looks at video files: cut, rounded and padded as preparation, extraction and evaluation do it."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import numpy as np

from l2l import build, predict, runs, sharding
from l2l.data import media, schema
from l2l.data.batches import Batch, eval_batches, fit_positions
from l2l.data.video import centre_crop, crop_side
from l2l.models.student import modalities

CLIPS_AT_ONCE = 8  # on every device; the last batch of a video is padded
STRONGEST = 5  # clips of a clip model that are named as moments

Answer = dict[str, Any]


class Looker:
    """Classifies whole videos, one after another; every program is compiled once and before it is timed.

    A clip model sees every clip that the run's clip policy cuts, and its softmax scores are averaged. A skimmer's
    student describes every clip, and the skimmer decides with hard selection which ones count.

    Raises:
      ValueError: the run does not fit this code.
    """

    def __init__(self, run: runs.Run):
        if run.recogniser:
            raise runs.RunError(f"{run.path} recognises with features of a second model, which only prepared data have")
        self.run, self.policy = run, schema.ClipPolicy(**run.policy)
        self.skims = run.config["task"] == "skim"
        self.clip_run = student_of(run) if self.skims else run
        data = self.clip_run.config["data"]
        self.frames = build.frames_of(self.clip_run.config)
        self.side = crop_side(data["crop"], data["resize"], self.policy.short_side)
        self.mesh = sharding.make_mesh((-1, 1))
        self.ways = self.mesh.shape["data"]
        self.describe = self._compiled(self.clip_run)
        self.skim = self._compiled(run) if self.skims else None
        self.warm: set[int] = set()  # lengths that the skimmer is compiled for
        blank = media.Clip(0, 1, 0.0, 0.0, [media.encode_jpeg(np.zeros((self.side, self.side, 3), np.uint8), 90)] * 64)
        list(self.describe(self._batches([self._record(blank)])))

    def _compiled(self, run: runs.Run) -> Callable[[Iterable[Batch]], Iterator[tuple[predict.Arrays, Batch]]]:
        """Batches -> (outputs, batch) of their real rows."""
        task, variables, frozen = predict.predictor(run)
        variables, frozen = jax.device_put((variables, frozen), sharding.replicated(self.mesh))
        program = predict.jit_predict(task, self.mesh)
        return functools.partial(predict.predict_batches, program, variables, frozen, mesh=self.mesh)

    def __call__(self, path: str) -> Answer:
        """Looks at one video.

        Returns:
          scores: float32 (k,), softmax.
          moments: list of {"modality", "seconds", "weight"}. Of a skimmer, what its looks picked, in their order; the
            weight is the share of the prediction that was read there. (Where the mean of the video counts as a look,
            it has a share too.) Of a clip model, the clips that speak most for the best class, strongest first; the
            weight is a clip's share of that class's score.
          gmacs: {"indexing", "skimming", "recognition"}, 1e9 multiply-adds that the method needs. (A skimmer that
            indexes by one modality needs the other one's descriptors only where it looks; here all are made.)
          seconds: {"decode", "features", "skimming"}, measured.

        Raises:
          MediaError: the file cannot be used.
        """
        seconds = dict.fromkeys(("decode", "features", "skimming"), 0.0)
        since = time.perf_counter()
        clips = timed(map(self._record, media.read_clips(path, self.policy)), seconds)
        rows = self.describe(self._batches(clips))
        seen = next(predict.videos(rows)) if self.skims else list(rows)
        seconds["features"] = time.perf_counter() - since - seconds["decode"]
        answer = self._skimmed(seen, seconds) if self.skims else self._averaged(seen)
        return answer | {"seconds": seconds}

    def _record(self, clip: media.Clip) -> Batch:
        """What `ClipReader.eval` reads of a clip, without its labels."""
        frames = [centre_crop(media.decode_jpeg(jpeg), self.side) for jpeg in clip.jpegs[: self.frames]]
        return {
            "frames": np.stack(frames),
            "audio": clip.audio,
            "labels": np.zeros(len(self.run.labels), np.float32),
            "has_audio": np.bool_(clip.has_audio),
            "video_id": b"",
            "clip": clip.index,
            "clips": clip.clips,
            "times": np.float32(clip.start) + np.float32(clip.duration) / 2,
        }

    def _batches(self, records: Iterable[Batch]) -> Iterator[Batch]:
        return eval_batches(iter(records), batch=CLIPS_AT_ONCE * self.ways, fit=lambda clip: (0, clip))

    def _averaged(self, rows: list[tuple[predict.Arrays, Batch]]) -> Answer:
        """The mean of a clip model's scores over all clips."""
        scores = softmax(np.concatenate([outputs["logits"] for outputs, _ in rows]))  # (n, k)
        times = [at for _, batch in rows for at in batch["times"]]
        best = scores[:, scores.mean(0).argmax()]
        macs = len(scores) * build.clip_macs(self.run.config, len(self.run.labels))
        modality = self.run.config["model"].get("modality", "image")
        strongest = np.argsort(-best, kind="stable")[:STRONGEST]
        return {
            "scores": scores.mean(0),
            "moments": [moment(modality, times[i], best[i] / best.sum()) for i in strongest],
            "gmacs": {"indexing": 0.0, "skimming": 0.0, "recognition": macs / 1e9},
        }

    def _skimmed(self, video: predict.Video, seconds: dict[str, float]) -> Answer:
        """The skimmer's hard selection over a video's descriptors."""
        banks = {m: video[m] for m in predict.MODALITIES}
        fit = functools.partial(fit_positions, lengths=self.run.config["data"]["lengths"])
        batch = next(eval_batches(iter([banks]), batch=self.ways, fit=fit))
        length = batch["valid"].shape[1]
        if length not in self.warm:
            list(self.skim([batch]))
            self.warm.add(length)
        since = time.perf_counter()
        ((outputs, _),) = self.skim([batch])
        seconds["skimming"] = time.perf_counter() - since
        out = {key: value[0] for key, value in outputs.items()}
        looks = np.flatnonzero(out["counted"])
        picked = {int(out[f"picked_{m}"][t]) for t in looks for m in predict.MODALITIES if f"picked_{m}" in out}
        macs = build.video_macs(
            self.run.config,
            self.run.student,
            len(self.run.labels),
            positions=len(video["times"]),
            steps=len(looks),
            looks=len(picked),
        )
        return {
            "scores": softmax(out["logits"]),
            "moments": moments(out, video["times"]),
            "gmacs": {part: count / 1e9 for part, count in macs.items()},
        }


def student_of(run: runs.Run) -> runs.Run:
    """The run of the student whose descriptors a skimmer reads.

    Raises:
      RunError: the skimmer was imported without it.
    """
    needed = modalities(run.student["model"]["modality"]) if run.student["model"]["name"] == "student" else ()
    missing = {*needed} - run.variables["student"]["params"].keys()
    if missing:
        raise runs.RunError(
            f"{run.path} reads features and has no network that makes them of a video ({', '.join(sorted(missing))}): "
            "import it again with --student=RUN"
        )
    return dataclasses.replace(run, config=run.student, variables={"model": run.variables["student"]}, student=None)


def moments(out: predict.Arrays, times: np.ndarray) -> list[dict[str, Any]]:
    """What the looks that count picked, from the skimmer's outputs for one video."""
    found = []
    for t in np.flatnonzero(out["counted"]):
        for i, m in enumerate(predict.MODALITIES):
            if f"picked_{m}" in out:
                found.append(moment(m, times[out[f"picked_{m}"][t]], out["modality"][t, i] / out["looks"]))
    return found


def moment(modality: str, at: float, weight: float) -> dict[str, Any]:
    return {"modality": modality, "seconds": round(float(at), 3), "weight": float(weight)}


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def timed(items: Iterator[Any], seconds: dict[str, float]) -> Iterator[Any]:
    """Passes items through and adds the time it takes to get them to `seconds["decode"]`."""
    while True:
        since = time.perf_counter()
        item = next(items, None)
        seconds["decode"] += time.perf_counter() - since
        if item is None:
            return
        yield item
