"""A few test videos of a skim run: where it looked and listened, what was there, where the action was."""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from l2l.core.texts import clock
from l2l.evaluate.metrics import probabilities
from l2l.media.cut import Clip
from l2l.models.backbones.frontend import log_mel
from l2l.models.glance import Glance
from l2l.models.student import modalities
from l2l.report.charts import Chart
from l2l.report.files import Files
from l2l.report.skim import Arrays
from l2l.report.video_parts import (
    Axis,
    Lane,
    Moment,
    Prior,
    axis,
    evidence_chart,
    lane,
    prior,
    sources,
    spectrogram,
    uri,
)
from l2l.runs.actions import Actions, in_action
from l2l.runs.prediction_rules import positions
from l2l.tasks import from_config

BOTH = modalities("both")
COLUMNS = 1500  # points of a curve, at most


@dataclasses.dataclass(frozen=True)
class Video:
    """One video as the page shows it; spans are in seconds, None if unknown; evidence is by look.

    Of a run that chooses all its looks at once, `prior` is how much each position called for one, known `by` "audio",
    "image" or "both".
    """

    name: str
    truth: list[str]
    top: list[tuple[str, float]]
    right: bool
    length: str
    axis: Axis
    spans: list[list[float]] | None
    lanes: list[Lane]
    prior: Prior | None
    by: str
    moments: dict[str, list[Moment]]
    evidence: Chart | None
    sources: list[str]
    begin: float
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
    times, truth = arrays["times"][row, :n], np.flatnonzero(arrays["labels"][row]).tolist()
    model, looks = from_config.numbers_of(config), np.flatnonzero(arrays["counted"][row])
    at_once = isinstance(model, Glance)
    index_by = () if at_once else modalities(model.index_by)
    picked = {m: np.minimum(arrays[f"picked_{m}"][row, looks], n - 1) for m in index_by}
    # What does not index is read where the other picks.
    own = np.minimum(arrays["picked"][row, looks], n - 1) if at_once else picked[index_by[0]]
    read = {m: picked.get(m, own) for m in BOTH}
    worth = arrays["worth"][row, looks] if at_once else None
    spans = actions.get(name) if actions else None
    wanted = np.unique(np.concatenate(list(read.values())))
    found, missing = files.clips(name, times[wanted])
    clips = dict(zip(wanted.tolist(), found, strict=False))  # none of them where something is missing
    scores = probabilities(arrays["logits"][row].astype(np.float64), config["multi_label"])
    place = stretch(times, files.begin(name))
    best = np.argsort(-scores, kind="stable")[:3]
    logits = arrays["step_logits"][row, : arrays["looks"][row]].astype(np.float64)
    evidence = probabilities(logits, config["multi_label"])
    return Video(
        name=name,
        truth=[labels[i] for i in truth],
        top=[(labels[i], 100 * float(scores[i])) for i in best],
        right=bool(best[0] in truth),
        length=clock(n * place.hop),
        axis=place,
        spans=spans,
        lanes=[attention(arrays, m, row, looks, picked[m]) for m in index_by],
        by="image" if at_once and not arrays["has_audio"][row] else getattr(model, "listens", ""),
        prior=wish(model, arrays, row, times, own) if at_once else None,
        moments={m: moments(m, at, times, spans, clips, worth) for m, at in read.items()},
        evidence=evidence_chart([labels[i] for i in best], evidence[:, best]),
        sources=[] if missing else sources(files.places[name].path, files.folder),
        begin=0.0 if missing else files.clock(name),
        missing=missing,
    )


def stretch(times: np.ndarray, begin: float) -> Axis:
    """The axis of positions with centres at `times`, seconds of a film of which what was taken begins at `begin`."""
    own = axis(times - begin)
    return dataclasses.replace(own, left=own.left + begin, right=own.right + begin, start=own.start + begin)


def wish(model: Glance, arrays: Arrays, row: int, times: np.ndarray, own: np.ndarray) -> Prior:
    """How much each position that might be chosen called for a look, and where it looked."""
    few = model.listens == "image" or not arrays["has_audio"][row]
    scores = arrays["listener"][row, : len(times)][:: model.stride if few else 1].astype(np.float64)
    place = axis(times[:: model.stride if few else 1])
    return prior(place, np.exp(scores - scores.max()), times[own].astype(float).tolist(), COLUMNS, log=False)


def attention(arrays: Arrays, modality: str, row: int, looks: np.ndarray, picked: np.ndarray) -> Lane:
    """Of one modality in one video, over the looks that count."""
    weights = arrays[f"weights_{modality}"][row, looks, : positions(arrays)[row]]
    picks = [(int(position), i) for i, position in enumerate(picked)]
    return lane(modality, weights, picks, arrays["modality"][row, looks, BOTH.index(modality)])


def moments(
    modality: str,
    at: np.ndarray,
    times: np.ndarray,
    spans: list[list[float]] | None,
    clips: Mapping[int, Clip],
    worth: np.ndarray | None,
) -> list[Moment]:
    """What was seen or heard at each look; with its share of the answer, if `worth` says that."""
    shares = [None] * len(at) if worth is None else worth.astype(float).tolist()
    hits = [None] * len(at) if spans is None else in_action(times[at], spans).tolist()
    return [
        Moment(i + 1, float(times[p]), shown(modality, clips[p]) if p in clips else "", share, hit)
        for i, (p, hit, share) in enumerate(zip(at.tolist(), hits, shares, strict=True))
    ]


def shown(modality: str, clip: Clip) -> str:
    """A clip's first frame, or its second of sound as a spectrogram (time to the right, pitch upwards)."""
    if modality == "image":
        return uri("jpeg", clip.jpegs[0])
    return spectrogram(np.asarray(log_mel(clip.audio[None]))[0])
