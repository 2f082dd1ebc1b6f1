"""Published weights by name: which config and which clips they go with, and the variables in a file's arrays."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.traverse_util
import numpy as np

from l2l.media.policy import ClipPolicy
from l2l.models.student import modalities
from l2l.runs.config import load_config, plain
from l2l.runs.fits import clip_shapes, only, skim_shapes
from l2l.runs.run_folder import Run
from l2l.weights import i3d_names, torch_names
from l2l.weights.torch_names import Arrays, Row, WeightsError, from_variables, to_variables

Tree = dict[str, Any]
Config = Mapping[str, Any]
NET_IMAGE, NET_AUDIO = "net_image", "net_audio"  # the released code never wrote a file with trunks: names of ours
HEADS = ("params/(fusion|classifier)/.*",)
OWN_CLIPS = ClipPolicy()
# torchvision's recipe for all its Kinetics weights: 15 frames a second, squeezed to 128 x 171 whatever their aspect.
TORCHVISION_CLIPS = ClipPolicy(frames=16, fps=15.0, short_side=128, width=171)


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a file's arrays lie in a model.

    Attributes:
      model: its name in `models.MODELS`.
      rows: the table, see `import_torch`.
      part: patterns of the variables that they cover; () for all.
      unused: patterns of torch names that are left out on purpose.
    """

    model: str
    rows: list[Row]
    part: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Published:
    """One kind of published file.

    Attributes:
      config: the experiment whose model it is.
      layout: (arrays, config) -> layout.
      head: torch name of the classifier's weight, whose rows are the classes; "" for a trunk.
      policy: how clips are cut for it.
    """

    config: str
    layout: Callable[[Arrays, Config], Layout]
    head: str = ""
    policy: ClipPolicy = OWN_CLIPS


def teacher(arrays: Arrays, config: Config) -> Layout:
    del arrays
    return Layout("r2plus1d", torch_names.r2plus1d(config["model"]["stages"]))


def image_trunk(arrays: Arrays, config: Config) -> Layout:
    del arrays
    rows = torch_names.trunk("image", config["model"]["stages"])
    return Layout("student", rows, part=("(params|batch_stats)/image/.*",), unused=(r"fc\..*",))


def audio_trunk(arrays: Arrays, config: Config) -> Layout:
    """All but the first convolution, which sees three channels there and one here."""
    del arrays
    rows = [row for row in torch_names.trunk("audio", config["model"]["stages"]) if row[1] != "conv1"]
    part = ("(params|batch_stats)/audio/trunk/(?!stem/).*",)
    return Layout("student", rows, part, unused=(r"fc\..*", r"conv1\.weight"))


def student(arrays: Arrays, config: Config) -> Layout:
    """Fusion and classifier, and the trunks where the file has them."""
    image, audio = (torch_names.prefix_of(arrays, channels) for channels in (3, 1))
    if image is None and audio is None:
        return Layout("student", torch_names.HEAD, HEADS)
    chosen, stages = modalities(config["model"]["modality"]), config["model"]["stages"]
    rows = torch_names.student(chosen, stages, image or NET_IMAGE, audio or NET_AUDIO)
    # The released audio net has its first convolution under two names.
    return Layout("student", rows, unused=(rf"{re.escape(audio or NET_AUDIO)}\.conv1\.weight",))


def skimmer(arrays: Arrays, config: Config) -> Layout:
    del arrays
    rows = skimmer_rows(config["model"])
    return Layout("skimmer", rows, unused=(r"net_imageAudio\..*",))


def skimmer_rows(model: Config) -> list[torch_names.Row]:
    """The table of a skimmer with these numbers."""
    return torch_names.skimmer(modalities(model["index_by"]), weigh=model.get("weigh", False))


PUBLISHED = {
    "r2plus1d_18": Published("teacher:kinetics400", teacher, "fc.weight", TORCHVISION_CLIPS),
    "resnet18_image": Published("distill:kinetics400", image_trunk),
    "resnet18_audio": Published("distill:kinetics400", audio_trunk),
    "student_released": Published("finetune:activitynet", student, "net_classifier.classifier.weight"),
    "skimmer_released": Published("skim:activitynet_released", skimmer, "net_classifier.classifier.weight"),
}


def record_of(name: str, arrays: Arrays, labels: list[str] | tuple[str, ...] | None) -> dict[str, Any]:
    """Config, labels, clip policy and student of a published model.

    Args:
      name: of `PUBLISHED`.
      arrays: of its file.
      labels: class names in the classifier's order; None for those of Kinetics-400 or, if there are not 400, numbers.

    Raises:
      WeightsError: the file has no such classifier, or another number of classes.
    """
    kind = PUBLISHED[name]
    classes = 0
    if kind.head:
        if kind.head not in arrays:
            raise WeightsError(f"{kind.head} is missing: these are not the weights of {name}")
        classes = len(arrays[kind.head])
        numbers = i3d_names.labels() if classes == 400 else [str(i) for i in range(classes)]
        labels = numbers if labels is None else labels
    if len(labels or ()) != classes:
        raise WeightsError(f"the weights know {classes} classes, --labels names {len(labels or ())}")
    student = config_of("finetune:activitynet") if kind.layout is skimmer else None
    policy = dataclasses.asdict(kind.policy)
    return {"config": config_of(kind.config), "labels": list(labels or ()), "policy": policy, "student": student}


def config_of(variant: str) -> dict[str, Any]:
    """An experiment's config without what it would build on."""
    config = load_config(variant)
    config.makers, config.data.dir = (), ""
    config.teacher = config.init = config.student = config.recognition = ""
    return plain(config)


def variables_of(
    name: str, arrays: Arrays, record: Mapping[str, Any], student: Run | None = None
) -> tuple[Tree, tuple[str, ...]]:
    """The variables of a run, and patterns of what they cover if that is a part of the model.

    Args:
      name: of `PUBLISHED`.
      arrays: of its file.
      record: config, labels and student of the run, see `record_of`.
      student: of a skimmer, if there is one beside the file.

    Raises:
      WeightsError: names and shapes do not fit to the last one, or the student is not the skimmer's.
    """
    config, classes = record["config"], len(record["labels"])
    layout = PUBLISHED[name].layout(arrays, config)
    if layout.model != config["model"]["name"]:
        raise WeightsError(f"the file holds a {config['model']['name']}, {name} is a {layout.model}")
    read = lambda layout, shapes: to_variables(arrays, layout.rows, only(shapes, layout.part), layout.unused)
    if layout.model != "skimmer":
        return {"model": read(layout, clip_shapes(config, classes or 1))}, layout.part
    whose = student.config if student else record["student"]
    heads = read(Layout("student", torch_names.HEAD, HEADS, unused=(".*",)), clip_shapes(whose, classes))
    if student and not same(heads["params"]["fusion"], student.variables["model"]["params"]["fusion"]):
        raise WeightsError(f"the skimmer reads another student's features than those of {student.path}")
    model = read(layout, skim_shapes(config, classes, whose, heads["params"]))
    return {"model": model, "student": student.variables["model"] if student else heads}, ()


def arrays_of(run: Run) -> tuple[str, Arrays]:
    """(name in `PUBLISHED`, arrays under torch's names) of a finished run.

    Raises:
      WeightsError: its model has no PyTorch counterpart.
    """
    model, own = run.config["model"], run.variables["model"]
    match model["name"]:
        case "r2plus1d":
            return "r2plus1d_18", from_variables(own, torch_names.r2plus1d(model["stages"]))
        case "student":
            rows = torch_names.student(modalities(model["modality"]), model["stages"], NET_IMAGE, NET_AUDIO)
            arrays = from_variables(own, rows)
            stem = f"{NET_AUDIO}.feature_extraction.0.weight"
            twice = {f"{NET_AUDIO}.conv1.weight": arrays[stem].copy()} if stem in arrays else {}
            return "student_released", arrays | twice
        case "skimmer" if run.recogniser is None and run.clip_model["model"]["name"] == "student":
            rows = [row for row in torch_names.HEAD if row[0] != "classifier"]
            fusion = from_variables(run.variables["student"], rows)
            rows = skimmer_rows(model)
            if lost := torch_names.unnamed(own, rows):
                raise WeightsError(f"{run.path} has {lost[0]}, which has no PyTorch counterpart: its weights stay here")
            return "skimmer_released", from_variables(own, rows) | fusion
    whose = f" over features of a {run.student['model']['name']}" if run.student else ""
    judge = " with a recogniser" if run.recogniser else ""
    raise WeightsError(f"{run.path} is a {model['name']}{whose}{judge}, which has no PyTorch counterpart here")


def i3d(path: str | None) -> tuple[dict[str, Any], Tree]:
    """(record as `record_of` makes, variables) of I3D from its data file; None for that of the installed package.

    Raises:
      ValueError: the package is not installed, or the file is not what it should be.
    """
    config = config_of("teacher:kinetics400")
    config |= {"model": i3d_names.MODEL, "data": config["data"] | i3d_names.DATA}
    policy = dataclasses.asdict(ClipPolicy(**i3d_names.POLICY))
    record = {"config": config, "labels": i3d_names.labels(), "policy": policy, "student": None}
    return record, {"model": i3d_names.i3d_variables(path)}


def same(a: Tree, b: Tree) -> bool:
    """Whether two trees have the same names and values."""
    a, b = (flax.traverse_util.flatten_dict(tree) for tree in (a, b))
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)
