"""One video and what a run found in it -> one self-contained HTML page."""

import dataclasses
import datetime
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np

from l2l.inference.result import Result
from l2l.media.decoding.asking import Asking
from l2l.media.decoding.decoder import Decoders
from l2l.media.policy import USUAL, Reading
from l2l.media.scan import MediaError
from l2l.models.backbones import frontend
from l2l.report import region_pictures, render
from l2l.report.charts import Chart
from l2l.report.video_parts import (
    NAMES,
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

STRIP = 24  # pictures along the video
SHORT_SIDE = 96  # of a picture, pixels
COLUMNS = 1500  # of the spectrogram, at most
AT_ONCE = 64  # seconds of sound that one call of the compiled log-mel takes
PER_SECOND = frontend.RATE // frontend.HOP  # frames of the log-mel

log_mel = jax.jit(frontend.log_mel)


@dataclasses.dataclass(frozen=True)
class Reel:
    """What a page shows of a video file.

    Attributes:
      length: seconds; None if it cannot be read.
      strip: pictures evenly spread over it, as URIs.
      pictures: the frames at the moments that were seen, seconds -> URI.
      mel: log-mel of the whole sound, float32 (100 frames a second, bands); None if there is none.
      missing: why it cannot be shown; "" if it can.
      begin: where it begins on the file's own clock, seconds.
    """

    length: float | None = None
    strip: tuple[str, ...] = ()
    pictures: Mapping[float, str] = dataclasses.field(default_factory=dict)
    mel: np.ndarray | None = None
    missing: str = ""
    begin: float = 0.0


def html_of(
    result: Result,
    video: str | os.PathLike | None,
    *,
    folder: str | os.PathLike | None = ".",
    decoder: Asking | None = None,
    reading: Reading = USUAL,
) -> str:
    """The page of one video.

    Args:
      result: what a run found.
      video: the file, which the page shows pictures and the sound of; None leaves them out.
      folder: where the page will lie and, from there, play the file; None leaves out the player.
      decoder: reads the file; None starts one for this page.
      reading: which parts of it.
    """
    decoder = Decoders() if decoder is None else decoder
    seen = [m.at for m in result.moments if m.modality != "audio" or listened(result)]
    reel = (
        Reel(missing="the video's file is not at hand") if video is None else read(decoder, Path(video), seen, reading)
    )
    place = axis(result.times if result.choice else result.times[result.indexed], reel.length)
    return render.render(
        "video.html",
        result=result,
        skims=result.gmacs["skimming"] > 0,
        name=Path(result.path).name if result.path else "video",
        made=datetime.datetime.now(datetime.UTC),
        reel=reel,
        axis=place,
        sound=None if reel.mel is None else sound_of(reel.mel),
        lanes=lanes(result),
        prior=prior_of(result, place),
        moments=moments(result, reel) | closer(decoder, result, video, reel, reading),
        names=NAMES,
        evidence=evidence(result),
        sources=[] if video is None or folder is None or reel.missing else sources(Path(video), Path(folder)),
    )


def read(decoder: Asking, video: Path, times: Sequence[float], reading: Reading = USUAL) -> Reel:
    """Pictures at some times and evenly over the video, and its sound."""
    jpeg = functools.partial(uri, "jpeg")
    try:
        facts = decoder.probe(video, reading)
        length = facts.duration
        centres, part = (np.arange(STRIP) + 0.5) * length / STRIP, length / STRIP
        strip = decoder.pictures(video, centres.tolist(), short_side=SHORT_SIDE, slack=part / 2, reading=reading)
        pictures = decoder.pictures(video, times, short_side=SHORT_SIDE, reading=reading)
        sound = decoder.audio(video, reading)
    except MediaError as error:
        return Reel(missing=str(error))
    seen = dict(zip(times, map(jpeg, pictures), strict=True))
    return Reel(length, tuple(map(jpeg, strip)), seen, sound and whole_mel(sound[0]), begin=facts.begin)


def whole_mel(wave: np.ndarray) -> np.ndarray:
    """int16 (n,) at 16 kHz -> float32 (100 * seconds, bands), second by second as the networks hear it."""
    seconds = -(-len(wave) // frontend.RATE)
    blocks = np.zeros((-(-seconds // AT_ONCE), AT_ONCE, frontend.RATE), np.int16)
    blocks.reshape(-1)[: len(wave)] = wave
    mel = np.concatenate([np.asarray(log_mel(block))[:, :PER_SECOND] for block in blocks])
    return mel.reshape(-1, frontend.BANDS)[: seconds * PER_SECOND]


def sound_of(mel: np.ndarray) -> tuple[str, float]:
    """The whole sound as a picture, and how many seconds it is long; of a long sound, each column is a mean."""
    step = max(1, -(-len(mel) // COLUMNS))
    means = np.stack([mel[i : i + step].mean(axis=0) for i in range(0, len(mel), step)])
    return spectrogram(means), len(means) * step / PER_SECOND


def heard(mel: np.ndarray | None, at: float) -> str:
    """The second of sound around a moment as a picture; "" without sound."""
    if mel is None:
        return ""
    begin = round((at - 0.5) * PER_SECOND)
    inside = mel[max(begin, 0) : begin + PER_SECOND + 1]
    return spectrogram(inside) if len(inside) else ""


def listened(result: Result) -> bool:
    """Whether the moments were chosen by sound, and the frames there seen as well."""
    return bool(result.attention.keys() == {"audio"} and result.gmacs["skimming"] and result.gmacs["recognition"])


def prior_of(result: Result, place: Axis) -> Prior | None:
    """What was thought of every position before what was chosen was seen; None of what chose otherwise.

    That is how much each called for a look where all were chosen at once, and else the first look's attention to sound.
    """
    at = [m.at for m in result.moments]
    if not at:
        return None
    if choice := result.choice:
        return prior(axis(choice.times), choice.shares, at, COLUMNS, log=False)
    return prior(place, result.attention["audio"][0][result.indexed], at, COLUMNS) if listened(result) else None


def lanes(result: Result) -> list[Lane]:
    """Attention of every look, for each modality that chooses; a clip model has one look at everything."""
    found, times = [], result.times[result.indexed]
    for modality, weights in result.attention.items():
        own = [m for m in result.moments if m.modality in (modality, "both")]
        picks = [(int(np.abs(times - m.at).argmin()), (m.look or 1) - 1) for m in own]
        share = result.shares[:, ("image", "audio").index(modality)]
        found.append(lane(modality, weights[:, result.indexed], picks, share))
    return found


def moments(result: Result, reel: Reel) -> dict[str, list[Moment]]:
    """What was seen and heard, by modality; where all was chosen at once, what counted most comes first."""
    found: dict[str, list[Moment]] = {}
    for m in sorted(result.moments, key=lambda m: -m.weight) if result.choice else result.moments:
        for modality in (m.modality, "image") if listened(result) else (m.modality,):
            own = found.setdefault(modality, [])
            image = heard(reel.mel, m.at) if modality == "audio" else reel.pictures.get(m.at, "")
            own.append(Moment(len(own) + 1, m.at, image, m.weight))
    return found


def closer(
    decoder: Asking, result: Result, video: str | os.PathLike | None, reel: Reel, reading: Reading
) -> dict[str, list[Moment]]:
    """What was seen closer, as one more gallery, if there was anything and the video can be read."""
    found = [] if video is None or reel.missing else region_pictures.gallery(decoder, result, video, reading)
    return {"closer": found} if found else {}


def evidence(result: Result) -> Chart | None:
    """How the scores of the best classes came about, look by look or clip by clip."""
    best = np.argsort(-result.scores, kind="stable")[: len(result.top)]
    what = "look" if result.gmacs["skimming"] else "clip"
    return evidence_chart([label for label, _ in result.top], result.evidence[:, best], what)
