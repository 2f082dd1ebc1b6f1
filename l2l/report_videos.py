"""A few test videos of a skim run: where it looked and listened, what was there, where the action was."""

import base64
import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from l2l.data import media, schema
from l2l.data.audio import log_mel
from l2l.log import clock
from l2l.models.student import modalities
from l2l.report_plots import nice_step
from l2l.report_skim import NAMES, Actions, Arrays, in_action, positions, skimmer_of
from l2l.runs import RunError

COLOURS = {"image": (47, 129, 214), "audio": (222, 120, 20)}  # as in the page's style
THUMB = 96  # largest short side of a picture, pixels
QUIET, LOUD = -4.0, 4.0  # log-mel values shown as black and as the lightest


@dataclasses.dataclass(frozen=True)
class Moment:
    """One look: its number from 1, when (mm:ss), whether inside the action (None: unknown), and its image as a URI."""

    look: int
    at: str
    inside: bool | None
    image: str


@dataclasses.dataclass(frozen=True)
class Lane:
    """Attention of one modality: T looks over n positions, `picks` as (position, look), `shares` of this modality."""

    modality: str
    name: str
    looks: int
    heat: str
    picks: list[tuple[int, int]]
    shares: list[float]


@dataclasses.dataclass(frozen=True)
class Video:
    """One video as the page shows it; spans and ticks are in positions, 0 to n."""

    name: str
    truth: list[str]
    top: list[tuple[str, float]]
    right: bool
    length: str
    positions: int
    spans: list[tuple[float, float]] | None
    ticks: list[tuple[float, str]]
    lanes: list[Lane]
    moments: dict[str, list[Moment]]
    missing: str


def choose(names: Sequence[str], labels: np.ndarray, right: np.ndarray, count: int) -> list[int]:
    """Which videos to show: half right ones, half wrong ones as far as there are, many classes among them.

    The order is that of a hash of the names, which knows nothing of how well a video shows off.

    Args:
      names: of the videos.
      labels: (b, k) of zeros and ones.
      right: bool (b,).
      count: how many.
    """
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(str(names[i]).encode("utf-8", "replace")).digest())
    groups = {}
    for good in (True, False):
        seen: dict[int, int] = {}
        ranked = []
        for i in (i for i in order if right[i] == good):
            label = int(labels[i].argmax())
            ranked.append((seen.get(label, 0), i))
            seen[label] = seen.get(label, 0) + 1
        groups[good] = [i for _, i in sorted(ranked, key=lambda pair: pair[0])]
    wrong = min(len(groups[False]), max(count // 2, count - len(groups[True])))
    return groups[True][: count - wrong] + groups[False][:wrong]


class Files:
    """The videos behind a directory of clip shards, by `videos.json` beside them.

    Raises:
      RunError: videos.json is damaged.
    """

    def __init__(self, directory: Path | None, policy: Mapping[str, Any]):
        self.paths: dict[str, Path] = {}
        self.missing = "the clips that its features were made from are not where they were"
        self.policy = schema.ClipPolicy(**policy)
        if directory is None:
            return
        listed = directory / "videos.json"
        self.missing = f"there is no {listed}, which says where the videos are"
        if listed.is_file():
            try:
                found = json.loads(listed.read_text(encoding="utf-8"))
                self.paths = {name: Path(os.path.normpath(directory / path)) for name, path in found.items()}
            except (ValueError, TypeError, AttributeError) as error:
                raise RunError(f"{listed} is damaged: {error}") from error

    def clips(self, name: str, wanted: set[int], times: np.ndarray) -> tuple[dict[int, media.Clip], str]:
        """The wanted clips of a video in one decode, with small pictures; or none and why.

        Args:
          name: video id.
          wanted: positions.
          times: centres of all positions, seconds (n,), which the clips must have.
        """
        if not self.paths:
            return {}, self.missing
        if name not in self.paths:
            return {}, "videos.json does not list this video"
        policy = dataclasses.replace(self.policy, short_side=min(self.policy.short_side, THUMB))
        found = {}
        try:
            for clip in media.read_clips(self.paths[name], policy):
                if clip.index in wanted:
                    if clip.index >= len(times) or abs(clip.start + clip.duration / 2 - times[clip.index]) > 0.05:
                        return {}, f"{self.paths[name]} is not the video that the features were made from"
                    found[clip.index] = clip
        except media.MediaError as error:
            return {}, str(error)
        return (found, "") if wanted <= found.keys() else ({}, f"{self.paths[name]} is shorter than it was")


def describe(
    config: Mapping[str, Any],
    labels: Sequence[str],
    arrays: Arrays,
    row: int,
    *,
    actions: Actions | None,
    files: Files,
) -> Video:
    """One video of a skim run's predictions.

    Args:
      config: of the run.
      labels: class names.
      arrays: the predictions.
      row: which video; among the first, whose weights were kept.
      actions: where the actions are, if that is known.
      files: where its pictures and sounds come from.
    """
    n, name = int(positions(arrays)[row]), str(arrays["video_id"][row])
    times, truth = arrays["times"][row, :n], np.flatnonzero(arrays["labels"][row])
    hop = float(np.median(np.diff(times))) if n > 1 else 2 * float(times[0])
    index_by = modalities(skimmer_of(config).index_by)
    looks = np.flatnonzero(arrays["counted"][row])
    picked = {m: np.minimum(arrays[f"picked_{m}"][row, looks], n - 1) for m in index_by}
    read = {m: picked.get(m, picked[index_by[0]]) for m in NAMES}  # what does not index is read where the other picks
    spans = actions.get(name) if actions else None
    clips, missing = files.clips(name, {int(i) for p in read.values() for i in p}, times)
    scores = softmax(arrays["logits"][row].astype(np.float64))
    best = np.argsort(-scores, kind="stable")[:3]
    place = lambda seconds: min(max((seconds - times[0]) / hop + 0.5, 0.0), float(n))
    return Video(
        name=name,
        truth=[labels[i] for i in truth],
        top=[(labels[i], 100 * float(scores[i])) for i in best],
        right=bool(best[0] in truth),
        length=clock(n * hop),
        positions=n,
        spans=None if spans is None else [(place(a), place(b)) for a, b in spans],
        ticks=[(100 * place(t) / n, clock(t)) for t in time_ticks(0.95 * n * hop)],
        lanes=[lane(m, arrays, row, looks=looks, picked=picked[m], n=n) for m in index_by],
        moments={m: moments(m, at, times, spans, clips) for m, at in read.items()},
        missing=missing,
    )


def lane(modality: str, arrays: Arrays, row: int, *, looks: np.ndarray, picked: np.ndarray, n: int) -> Lane:
    """Attention of one modality in one video, over the looks that count."""
    weights = arrays[f"weights_{modality}"][row, looks, :n].astype(np.float32)  # (T, n)
    strength = np.sqrt(weights / np.maximum(weights.max(axis=1, keepdims=True), 1e-6))
    pixels = np.empty((*weights.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = COLOURS[modality], (255 * strength).round()
    return Lane(
        modality=modality,
        name=NAMES[modality],
        looks=len(looks),
        heat=png(pixels),
        picks=[(int(p), i) for i, p in enumerate(picked)],
        shares=arrays["modality"][row, looks, tuple(NAMES).index(modality)].astype(float).tolist(),
    )


def moments(
    modality: str,
    at: np.ndarray,
    times: np.ndarray,
    spans: list[list[float]] | None,
    clips: Mapping[int, media.Clip],
) -> list[Moment]:
    """What was seen or heard at each look."""
    hits = [None] * len(at) if spans is None else in_action(times[at], spans).tolist()
    return [
        Moment(i + 1, clock(times[p]), hit, shown(modality, clips[p]) if p in clips else "")
        for i, (p, hit) in enumerate(zip(at.tolist(), hits, strict=True))
    ]


def shown(modality: str, clip: media.Clip) -> str:
    """A clip's first frame, or its second of sound as a spectrogram (time to the right, pitch upwards)."""
    if modality == "image":
        return uri("jpeg", clip.jpegs[0])
    mel = np.asarray(log_mel(clip.audio[None]))[0].T[::-1]  # (40, 101), highest band first
    level = np.clip((mel - QUIET) / (LOUD - QUIET), 0, 1)
    ramp = ((0, 12), (0.6, COLOURS["audio"]), (1, 255))  # black, the sound's colour, white
    stops, colours = [x for x, _ in ramp], np.array([np.broadcast_to(c, 3) for _, c in ramp])
    return png(np.stack([np.interp(level, stops, colours[:, i]) for i in range(3)], -1).astype(np.uint8))


def softmax(logits: np.ndarray) -> np.ndarray:
    """(k,) -> (k,)."""
    scores = np.exp(logits - logits.max())
    return scores / scores.sum()


def time_ticks(seconds: float) -> list[float]:
    """About six round times from 0, in seconds or, for long videos, in whole minutes."""
    unit = 60.0 if seconds > 300 else 1.0
    step = max(nice_step(seconds / unit / 6), 1.0) * unit
    return np.arange(0, seconds, step).tolist()


def png(pixels: np.ndarray) -> str:
    """uint8 (h, w, 3 or 4) -> data URI."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return uri("png", buffer.getvalue())


def uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
