"""What a model computed of a video -> its Result."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from l2l.core import atomic
from l2l.evaluate import metrics
from l2l.inference.programs import Programs
from l2l.inference.result import NO_SOUND, NOT_READ, SILENT, Asked, Box, Choice, Closer, Moment, Result
from l2l.inference.session import View
from l2l.media.scan import MediaError

MODALITIES = ("image", "audio")
STRONGEST = 5  # clips of a clip model that are named as moments
BUILT_IN = "8fb8c5aa3a8414df"  # of the labels of the built-in set
DRAWN = "this run knows the 16 drawn actions of the built-in set, nothing else"
HEARD_NOTHING = "this run listens alone and heard nothing: its scores are those of silence"
NO_CHOICE = "the moments that this run picks by sound mean nothing here"
BY_PICTURES = "this run picks moments by sound: here it picked them by the pictures"


def averaged(programs: Programs, view: View, asked: Asked) -> Result | MediaError:
    """A clip model's scores, averaged over all clips."""
    logits = np.stack([row["logits"] for row in view.rows])
    clips = metrics.probabilities(logits, programs.multi_label)  # (n, k)
    scores = clips.mean(0)
    share = clips[:, scores.argmax()] / clips[:, scores.argmax()].sum()
    own = MODALITIES if programs.modality == "both" else (programs.modality,)
    read = [m for m in own if m == "image" or view.heard]
    strongest = np.argsort(-share, kind="stable")[: STRONGEST if read else 0]
    found = Result(
        path=view.path,
        asked=asked,
        labels=programs.labels,
        scores=scores,
        calibrated=False,
        moments=tuple(moment("both" if len(read) == 2 else read[0], view.times[i], share[i]) for i in strongest),
        times=view.times,
        indexed=view.indexed,
        attention=dict.fromkeys(read, share[None]),
        shares=np.array([[m in read for m in MODALITIES]], np.float32) / max(len(read), 1),
        evidence=np.cumsum(clips, 0) / np.arange(1, len(clips) + 1, dtype=np.float32)[:, None],
        looks=len(clips),
        silence=silence(programs, view),
        notes=notes(programs, view),
        gmacs=gmacs(programs, len(clips), 0, 0),
        seconds=dict(view.seconds),
        decoded=dict(view.tally.decoded),
    )
    return finite(found)


def skimmed(programs: Programs, view: View, out: dict[str, np.ndarray], asked: Asked) -> Result | MediaError:
    """A skimmer's hard selection; `out` is one row of `Programs.skim`."""
    evidence, calibrated = judged(programs, out, asked.stop_when_sure)
    looks = len(evidence)
    start = int(out["looks"] - out["counted"].sum())  # 1 if the mean of the video counts as a look
    steps = looks - start  # those whose pick counts, the first ones
    index_by = [m for m in MODALITIES if f"picked_{m}" in out]
    places = np.flatnonzero(view.indexed)
    heard = {"has_audio": view.heard} if programs.listen else {}
    picked = {m: places[out[f"picked_{m}"][:steps]] for m in index_by}
    worth = out.get("worth", np.ones(len(out["counted"])))[:steps]
    names, shares = named(programs, view), out["modality"][:steps]
    closer = closer_of(programs, out, steps)
    regions = [None] * steps if closer is None else boxes_at(closer, out["region"][:steps])
    found = Result(
        path=view.path,
        asked=asked,
        labels=programs.labels,
        scores=evidence[-1],
        calibrated=calibrated,
        moments=moments(view, picked, shares * (worth / (worth.sum() + start))[:, None], names, regions),
        times=view.times,
        indexed=view.indexed,
        attention=attention(
            {m: spread(out[f"weights_{m}"][:steps], places, len(view.times)) for m in index_by}, shares, names
        ),
        shares=np.stack([shares[:, [names.get(m) == name for m in MODALITIES]].sum(1) for name in MODALITIES], 1),
        evidence=evidence,
        looks=looks,
        silence=silence(programs, view),
        notes=notes(programs, view, by_sound="audio" in index_by),
        gmacs=gmacs(programs, len(places), steps, len({int(i) for p in picked.values() for i in p}), **heard),
        seconds=dict(view.seconds),
        decoded=dict(view.tally.decoded),
        closer=closer,
    )
    return finite(found)


def read_at_once(programs: Programs, view: View, out: dict[str, np.ndarray], asked: Asked) -> Result | MediaError:
    """What was chosen at once and read together; `out` is one row of `Programs.skim` of a glance."""
    evidence, calibrated = judged(programs, out, asked.stop_when_sure)
    looks, n, listens = len(evidence), len(view.times), programs.glance.listens if programs.glance else ""
    may = out["may"][:n]
    wish = np.exp(out["listener"][:n][may] - out["listener"][:n][may].max())
    worth = out["worth"][:looks] / max(out["worth"][:looks].sum(), 1e-30)
    name, picked = named_at_once(programs, view), out["picked"][:looks]
    own = MODALITIES if name == "both" else (name,)
    found = Result(
        path=view.path,
        asked=asked,
        labels=programs.labels,
        scores=evidence[-1],
        calibrated=calibrated,
        moments=tuple(
            moment(name, view.times[place], weight, look + 1)
            for look, (place, weight) in enumerate(zip(picked, worth, strict=True))
            if name
        ),
        times=view.times,
        indexed=may,
        attention={},
        shares=np.tile(np.array([m in own for m in MODALITIES], np.float32) / len(own), (looks, 1)),
        evidence=evidence,
        looks=looks,
        silence=silence(programs, view),
        notes=(*notes(programs, view, by_sound=listens != "image"), *lost(view)),
        gmacs=gmacs(programs, n, looks, looks, has_audio=view.heard),
        seconds=dict(view.seconds),
        decoded=dict(view.tally.decoded),
        choice=Choice(listens if view.heard else "image", view.times[may], wish / wish.sum()),
    )
    return finite(found)


def named_at_once(programs: Programs, view: View) -> str:
    """What is read at a look that was chosen at once: "image", "audio" or "both"; "" where that is nothing."""
    if programs.recogniser:
        return "image"
    if view.heard:
        return programs.modality
    return "" if programs.modality == "audio" else "image"


def lost(view: View) -> tuple[str, ...]:
    """A note where clips that were chosen had been forgotten."""
    count = len(view.lost)
    return (f"{count} of the moments were chosen after their clips had gone by: they count as blank",) if count else ()


def finite(found: Result) -> Result | MediaError:
    """The result, or why it is none."""
    if np.isfinite(found.scores).all():
        return found
    return MediaError("undecodable", found.path, f"the scores that {found.asked.name} gives it are not finite")


def silence(programs: Programs, view: View) -> str:
    """See `Result.silence`."""
    if view.heard:
        return ""
    if not programs.policy.audio:
        return NOT_READ
    return SILENT if view.has_audio else NO_SOUND


def notes(programs: Programs, view: View, *, by_sound: bool = False) -> tuple[str, ...]:
    """See `Result.notes`; `by_sound` says whether sound has a part in picking moments."""
    said = [*view.notes, silence(programs, view)]
    if not view.heard and programs.modality == "audio":
        said.append(HEARD_NOTHING)
    elif not view.heard and by_sound:
        by_pictures = programs.glance or (programs.listen and programs.listen.fallback)
        said.append(BY_PICTURES if by_pictures else NO_CHOICE)
    if atomic.hash_of(list(programs.labels)) == BUILT_IN:
        said.append(DRAWN)
    return tuple(dict.fromkeys(filter(None, said)))


def named(programs: Programs, view: View) -> dict[str, str]:
    """What the picks of each modality are called.

    At each of them, whichever modality picked it, a picture is read beside the sound: where nothing is heard they are
    all of images. A run that listens alone has then read nothing.
    """
    if view.heard:
        return {m: m for m in MODALITIES}
    return {} if programs.modality == "audio" else dict.fromkeys(MODALITIES, "image")


def moments(
    view: View,
    picked: Mapping[str, np.ndarray],
    share: np.ndarray,
    names: Mapping[str, str],
    regions: Sequence[Box | None],
) -> tuple[Moment, ...]:
    """What was picked, look by look; two modalities' picks of one name at one place are one moment.

    Args:
      view: of the video.
      picked: by modality, positions (T,).
      share: (T, 2), of the prediction, that was read at the picks of image and audio.
      names: see `named`.
      regions: what of the picture was seen closer at each look.
    """
    weights: dict[tuple[int, str, int], float] = {}
    for look, m in itertools.product(range(len(share)), (m for m in picked if m in names)):
        key = look, names[m], int(picked[m][look])
        weights[key] = weights.get(key, 0.0) + float(share[look, MODALITIES.index(m)])
    return tuple(
        moment(name, view.times[place], weight, look + 1, regions[look])
        for (look, name, place), weight in weights.items()
    )


def attention(weights: Mapping[str, np.ndarray], shares: np.ndarray, names: Mapping[str, str]) -> dict[str, np.ndarray]:
    """Attention (T, n) by name; where both modalities have one name it is the mean by their shares (T, 2)."""
    found = {}
    for name in dict.fromkeys(names[m] for m in weights if m in names):
        own = [m for m in weights if names.get(m) == name]
        mean = sum(weights[m] * shares[:, MODALITIES.index(m), None] for m in own)
        found[name] = mean if len(own) > 1 else weights[own[0]]
    return found


def closer_of(programs: Programs, out: dict[str, np.ndarray], steps: int) -> Closer | None:
    """Where the looks that count were closer, if they were."""
    if programs.closer is None:
        return None
    return Closer(programs.closer.regions.boxes_of(programs.policy.short_side), out["closer"][:steps])


def boxes_at(closer: Closer, regions: np.ndarray) -> list[Box | None]:
    """The boxes of some regions, int (T,)."""
    return [(left, top, side) for left, top, side in closer.boxes[regions].astype(float).round(4).tolist()]


def judged(programs: Programs, out: dict[str, np.ndarray], stop_when_sure: bool) -> tuple[np.ndarray, bool]:
    """The scores (looks, k) after every look that is taken, and whether they are calibrated.

    Where the other classifier, the one on the LSTM's state, was found to know best when to stop, its scores are told
    only by who stops.
    """
    sure, looks, logits = programs.sure, looks_of(programs, out, stop_when_sure), out["step_logits"]
    if sure and stop_when_sure:
        logits = out[sure.source]
    calibrated = False
    if sure and sure.calibrates and (stop_when_sure or sure.source == "step_logits"):
        logits, calibrated = logits / np.asarray(sure.temperatures, np.float32)[:, None], True
    return metrics.probabilities(logits[:looks], programs.multi_label), calibrated


def looks_of(programs: Programs, out: dict[str, np.ndarray], stop_when_sure: bool) -> int:
    """How many looks are taken, by what is known so far."""
    if programs.sure and stop_when_sure:
        return int(programs.sure.looks({key: out[key][None] for key in (programs.sure.source, "looks")})[0])
    return int(out["looks"])


def spread(weights: np.ndarray, places: np.ndarray, n: int) -> np.ndarray:
    """(T, m or more) weights of the indexed positions -> (T, n), 0 at the others."""
    wide = np.zeros((len(weights), n), np.float32)
    wide[:, places] = weights[:, : len(places)]
    return wide


def gmacs(programs: Programs, positions: int, steps: int, looks: int, **heard: bool) -> dict[str, float]:
    return {part: count / 1e9 for part, count in programs.macs(positions, steps, looks, **heard).items()}


def moment(modality: str, at: float, weight: float, look: int | None = None, region: Box | None = None) -> Moment:
    return Moment(modality, round(float(at), 3), float(weight), look, region)
