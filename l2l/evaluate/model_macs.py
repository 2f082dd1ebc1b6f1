"""Multiply-adds of the models that configs name, on a clip and on a video; `macs.py` counts them from numbers."""

from collections.abc import Mapping
from typing import Any

from l2l.evaluate import macs
from l2l.models.baselines import NonRecurrent, VideoLSTM
from l2l.models.glance import Glance
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion, modalities
from l2l.tasks.from_config import fusion_of, glances_of, model_of, widths_of


def clip_macs(config: Mapping[str, Any], classes: int) -> int:
    """Multiply-adds of a clip model on one clip."""
    name, model, size = config["model"]["name"], model_of(config, classes), config["data"]["crop"]
    if name == "fusion":
        return macs.fusion_macs(model.image + model.audio, feature=model.feature) + model.feature * classes
    if name == "i3d":
        return macs.i3d_macs(config["data"]["frames"], size, classes)
    numbers = {"width": model.width, "stages": model.stages, "num_classes": classes}
    if name == "student":
        fusion = macs.fusion_macs(sum(widths_of(config).values()), feature=model.feature)
        return sum(trunk_macs(config).values()) + fusion + model.feature * classes
    count = macs.r2plus1d_bottleneck_macs if model.bottleneck else macs.r2plus1d_macs
    return count(config["data"]["frames"], size, **numbers)


def trunk_macs(config: Mapping[str, Any]) -> dict[str, int]:
    """Multiply-adds of making the image and the audio descriptor of one position, see `widths_of`.

    Of features that are given, none: what made them is not known.
    """
    if config["model"]["name"] == "fusion":
        return {"image": 0, "audio": 0}
    model, crop = model_of(config, 1), config["data"]["crop"]
    if config["model"]["name"] != "student":
        return {"image": clip_macs(config, 0), "audio": 0}
    chosen, numbers = modalities(model.modality), (model.width, model.stages)
    image, audio = macs.image_macs(crop, *numbers), macs.audio_macs(width=numbers[0], stages=numbers[1])
    audio = macs.preview_macs(width=model.preview, features=model.descriptor) if model.preview else audio
    return {"image": image if "image" in chosen else 0, "audio": audio if "audio" in chosen else 0}


def video_macs(
    config: Mapping[str, Any],
    student: Mapping[str, Any],
    classes: int,
    *,
    positions: int,
    steps: int,
    looks: int,
    recogniser: Mapping[str, Any] | None = None,
    soft: bool = False,
    has_audio: bool = True,
) -> dict[str, int]:
    """Multiply-adds of a video model and its clip models on one video, see `macs.video_cost`.

    Args:
      config, student: of the skim run and of the clip model that made the features.
      classes: number of labels.
      positions: clips of the video.
      steps: how often a skimmer looks.
      looks: at how many different positions.
      recogniser: config of the clip model whose features recognise the looks, if others do.
      soft: for soft selection, which reads all positions, those not taken from between the others.
      has_audio: whether it has sound, for a skimmer with a fallback.
    """
    model, trunks = model_of(config, classes, fusion=None), trunk_macs(student)
    if isinstance(model, Glance):
        numbers = {"positions": positions, "pictures": -(-positions // model.stride), "looks": looks}
        return glance_macs(model, student, recogniser, **numbers, soft=soft, has_audio=has_audio)
    if isinstance(model, Skimmer) and model.fallback and not has_audio:
        model, trunks, soft = (
            model.clone(index_by="image", stride=model.fallback, fallback=0),
            trunks | {"audio": 0},
            False,
        )
    skims = isinstance(model, Skimmer)
    taken = -(-positions // model.stride) if skims else positions
    seen = taken if soft else looks
    return macs.video_cost(
        taken,
        seen,
        **trunks,
        skim=own_macs(model, student, recogniser, positions=positions if soft else taken, steps=steps, looks=seen),
        index_by=model.index_by if skims else "both",
        recogniser=clip_macs(recogniser, 0) if recogniser else 0,
        closer=second_glances(student, soft) * trunks["image"] if skims and model.closer else 0,
    )


def glance_macs(
    model: Glance,
    student: Mapping[str, Any],
    recogniser: Mapping[str, Any] | None,
    *,
    positions: int,
    pictures: int,
    looks: int,
    soft: bool = False,
    has_audio: bool = True,
) -> dict[str, int]:
    """Multiply-adds of a glance and its clip models on one video, by parts, see `video_macs`.

    With "both" a look may fall on an image that is there already; it is counted again, so that is at most too much.

    Args:
      pictures: how many positions there are at the model's stride: those whose images help to choose, if any do.
    """
    trunks, read = trunk_macs(student), positions if soft else looks
    audio, image = trunks["audio"] if has_audio else 0, trunks["image"]
    if model.listens == "image" or not has_audio:
        cheap, look = pictures * image, audio
    else:
        cheap, look = positions * audio + (pictures * image if model.listens == "both" else 0), image
    rest = positions * sum(trunks.values()) - cheap if soft else looks * look
    rest += read * second_glances(student, soft) * image if model.closer else 0
    last = read * clip_macs(recogniser, 0) if recogniser else rest
    skim = own_macs(model, student, recogniser, positions=positions, steps=0, looks=read)
    return {"indexing": cheap, "skimming": skim, "recognition": last}


def second_glances(student: Mapping[str, Any], soft: bool) -> int:
    """How many regions of a picture are seen closer: with soft selection all of them, as it reads them all."""
    return glances_of(student).across ** 2 if soft else 1


def own_macs(
    model: Any,
    student: Mapping[str, Any],
    recogniser: Mapping[str, Any] | None,
    *,
    positions: int,
    steps: int,
    looks: int,
) -> int:
    """Multiply-adds of a video model itself, over so many positions whose descriptors are there."""
    widths, fusion = widths_of(student), fusion_of(student)
    fused = isinstance(fusion, Fusion)
    feature = fusion.feature if fused else sum(widths.values())
    numbers = {
        "feature": feature,
        "fusion": macs.fusion_macs(sum(widths.values()), feature=feature) if fused else 0,
        "num_classes": model.num_classes,
    }
    if isinstance(model, VideoLSTM):
        return macs.video_lstm_macs(positions, hidden=model.hidden, **numbers)
    numbers["recognition"] = model_of(recogniser, 1).feature if recogniser else 0
    if isinstance(model, NonRecurrent):
        return macs.nonrecurrent_macs(positions, looks, key=model.key, **numbers)
    if isinstance(model, Glance):
        numbers |= {"hidden": model.hidden, "context": model.context, "widths": widths}
        if model.closer and (near := glances_of(student)):
            numbers |= {"regions": near.across**2, "cell": near.widths["cells"] // near.across**2}
        return macs.glance_macs(positions, looks, **numbers)
    own = {name: getattr(model, name) for name in ("hidden", "key", "query", "index_by", "weigh")}
    if model.closer:
        own["closer"] = region_macs(model, student, positions, numbers["feature"], numbers["fusion"])
    return macs.skimmer_macs(positions, steps, widths=widths, **own, **numbers)


def region_macs(model: Skimmer, student: Mapping[str, Any], positions: int, feature: int, fusion: int) -> int:
    """Multiply-adds of a look's second glance but for its image trunk, see `macs.closer_macs`."""
    own = {name: getattr(model, name) for name in ("hidden", "key", "query")}
    widths = glances_of(student).widths | {"descriptor": widths_of(student)["image"]}
    return macs.closer_macs(positions, **widths, feature=feature, fusion=fusion, **own, choose=model.closer)
