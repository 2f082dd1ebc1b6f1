"""Weights under their PyTorch names -> our variables, and back. One table per model; nothing here imports torch.

A row of a table says which module of ours has which name there, and which kind of layer it is; the kind says how its
arrays correspond. Names and shapes are torchvision's and those of the released Listen to Look code.
"""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import flax.traverse_util
import numpy as np

from l2l.models.backbones.resnet import STAGES

Tree = dict[str, Any]
Arrays = dict[str, np.ndarray]
Row = tuple[str, str, str]  # our module, its torch name, its kind


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One array of ours and the torch arrays it corresponds to."""

    ours: str  # its collection and its name in the module
    theirs: tuple[str, ...]
    read: Callable[..., np.ndarray]
    write: Callable[[np.ndarray], tuple[np.ndarray, ...]]


def _leaf(ours: str, theirs: str, read: Callable, write: Callable) -> Leaf:
    return Leaf(ours, (theirs,), read, lambda x: (write(x),))


_SAME, _TURN = (lambda x: x, lambda x: x), (lambda x: x.T, lambda x: x.T)
_BIAS = _leaf("params/bias", "bias", *_SAME)
KINDS = {
    # (out, in, h, w) there, (h, w, in, out) here; a factor of a 3-D convolution has one axis of length 1 more.
    "conv": [_leaf("params/kernel", "weight", lambda w: w.transpose(2, 3, 1, 0), lambda w: w.transpose(3, 2, 0, 1))],
    "spatial": [
        _leaf(
            "params/kernel",
            "weight",
            lambda w: w.squeeze(2).transpose(2, 3, 1, 0),
            lambda w: w.transpose(3, 2, 0, 1)[:, :, None],
        )
    ],
    "temporal": [
        _leaf(
            "params/kernel",
            "weight",
            lambda w: w.squeeze(4).transpose(2, 3, 1, 0),
            lambda w: w.transpose(3, 2, 0, 1)[..., None],
        )
    ],
    "linear": [_leaf("params/kernel", "weight", *_TURN), _BIAS],
    "unbiased": [_leaf("params/kernel", "weight", *_TURN)],
    # A 1x1 convolution with bias, which is a linear layer here.
    "point": [
        _leaf("params/kernel", "weight", lambda w: w.squeeze((2, 3)).T, lambda w: w.T[:, :, None, None]),
        _BIAS,
    ],
    "norm": [
        _leaf("params/scale", "weight", *_SAME),
        _BIAS,
        _leaf("batch_stats/mean", "running_mean", *_SAME),
        _leaf("batch_stats/var", "running_var", *_SAME),
    ],
    # torch's two biases only ever act as their sum.
    "weight_norm_lstm": [
        _leaf("params/input_direction", "weight_ih_v", *_TURN),
        _leaf("params/input_scale", "weight_ih_g", lambda g: g.squeeze(1), lambda g: g[:, None]),
        _leaf("params/hidden_direction", "weight_hh_v", *_TURN),
        _leaf("params/hidden_scale", "weight_hh_g", lambda g: g.squeeze(1), lambda g: g[:, None]),
        Leaf("params/bias", ("bias_ih", "bias_hh"), np.add, lambda b: (b, np.zeros_like(b))),
    ],
}
COUNTER = r"(.*\.)?num_batches_tracked"  # of a BatchNorm without a momentum; never read
LISTED = 500  # lines, at most, of differences between a file and a model


class WeightsError(ValueError):
    """Weights that do not fit the model, or a file that does not hold weights."""


def within(prefix: str, name: str, rows: Iterable[Row]) -> list[Row]:
    """The rows of a part that is called `prefix` in our tree and `name` there."""
    return [(f"{prefix}/{ours}", f"{name}.{theirs}", kind) for ours, theirs, kind in rows]


def blocks(rows: Iterable[Row], layer: Callable[[int], str], stages: Sequence[int]) -> list[Row]:
    """The rows of a residual block, for all blocks of all stages; `layer` names stage 1, 2, ... there.

    The first block of every stage but the first has a shortcut with weights.
    """
    shortcut = {"downsample", "downsample_norm"}
    return [
        (f"layer{i}_{j}/{ours}", f"{layer(i)}.{j}.{theirs}", kind)
        for i, count in enumerate(stages, 1)
        for j in range(count)
        for ours, theirs, kind in rows
        if ours not in shortcut or (i > 1 and j == 0)
    ]


R2PLUS1D_BLOCK = [
    ("conv1/spatial", "conv1.0.0", "spatial"),
    ("conv1/norm", "conv1.0.1", "norm"),
    ("conv1/temporal", "conv1.0.3", "temporal"),
    ("norm1", "conv1.1", "norm"),
    ("conv2/spatial", "conv2.0.0", "spatial"),
    ("conv2/norm", "conv2.0.1", "norm"),
    ("conv2/temporal", "conv2.0.3", "temporal"),
    ("norm2", "conv2.1", "norm"),
    ("downsample", "downsample.0", "spatial"),
    ("downsample_norm", "downsample.1", "norm"),
]
RESNET_BLOCK = [
    ("conv1", "conv1", "conv"),
    ("norm1", "bn1", "norm"),
    ("conv2", "conv2", "conv"),
    ("norm2", "bn2", "norm"),
    ("downsample", "downsample.0", "conv"),
    ("downsample_norm", "downsample.1", "norm"),
]


def r2plus1d(stages: Sequence[int] = STAGES) -> list[Row]:
    """R2Plus1D <-> torchvision's `r2plus1d_18`."""
    return [
        ("stem/spatial", "stem.0", "spatial"),
        ("stem/norm", "stem.1", "norm"),
        ("stem/temporal", "stem.3", "temporal"),
        ("stem_norm", "stem.4", "norm"),
        *blocks(R2PLUS1D_BLOCK, lambda i: f"layer{i}", stages),
        ("classifier", "fc", "linear"),
    ]


def resnet(stages: Sequence[int] = STAGES) -> list[Row]:
    """Trunk <-> torchvision's `resnet18` without its classifier."""
    stem = [("stem", "conv1", "conv"), ("stem_norm", "bn1", "norm")]
    return stem + blocks(RESNET_BLOCK, lambda i: f"layer{i}", stages)


def trunk(modality: str, stages: Sequence[int]) -> list[Row]:
    """One trunk of the student <-> torchvision's `resnet18`."""
    return [(f"{modality}/trunk/{ours}", name, kind) for ours, name, kind in resnet(stages)]


def sequential_resnet(stages: Sequence[int] = STAGES) -> list[Row]:
    """Trunk <-> the released code's `feature_extraction`, which numbers the layers (2 and 3: ReLU and pooling)."""
    stem = [("stem", "0", "conv"), ("stem_norm", "1", "norm")]
    return stem + blocks(RESNET_BLOCK, lambda i: str(i + 3), stages)


HEAD = [
    ("fusion/hidden", "net_imageAudio.imageAudio_fc1", "linear"),
    ("fusion/output", "net_imageAudio.imageAudio_fc2", "linear"),
    ("classifier", "net_classifier.classifier", "linear"),
]


def student(modalities: Sequence[str], stages: Sequence[int], image: str, audio: str) -> list[Row]:
    """Student <-> the released `VisualNet` and `AudioNet`, called `image` and `audio` there, fusion and classifier."""
    trunk = sequential_resnet(stages)
    rows = within("image/trunk", f"{image}.feature_extraction", trunk) if "image" in modalities else []
    if "audio" in modalities:
        rows += within("audio/trunk", f"{audio}.feature_extraction", trunk)
        rows.append(("audio/frequency", f"{audio}.freq_conv1x1", "point"))
    return rows + HEAD


def skimmer(index_by: Sequence[str] = ("image", "audio"), *, weigh: bool = False) -> list[Row]:
    """Skimmer <-> the released `AudioPreviewModel`, without the fusion, which is the student's.

    That model does not weigh its looks: what does so here has a name of ours.
    """
    rows = [("lstm", "rnn", "weight_norm_lstm"), ("head", "prediction_fc", "linear")]
    rows.append(("classifier", "net_classifier.classifier", "linear"))
    rows += [("modality", "modality_attention", "linear")] if len(index_by) == 2 else []
    for m in index_by:
        key, query = f"{m}_key_conv1x1", f"{m}_queryfeature_mlp"
        rows += [(f"keys_{m}/linear", f"{key}.0", "point"), (f"keys_{m}/norm", f"{key}.1", "norm")]
        rows += [(f"query_{m}/linear", f"{query}.0", "linear"), (f"query_{m}/norm", f"{query}.1", "norm")]
        rows += [(f"query_{m}/output", f"{query}.3", "linear")]
    rows += [("worth/hidden", "worth.hidden", "linear"), ("worth/output", "worth.output", "unbiased")] if weigh else []
    return rows


def _leaves(rows: Iterable[Row]) -> Iterable[tuple[str, list[str], Leaf]]:
    """(our path, torch names, leaf) of every array."""
    for module, name, kind in rows:
        for leaf in KINDS[kind]:
            collection, own = leaf.ours.split("/")
            yield f"{collection}/{module}/{own}", [f"{name}.{x}" for x in leaf.theirs], leaf


def to_variables(arrays: Mapping[str, np.ndarray], rows: Sequence[Row], like: Tree, unused: Sequence[str] = ()) -> Tree:
    """Torch arrays -> variables, float32.

    Args:
      arrays: by their torch names.
      rows: the table of the model or of a part of it.
      like: shapes of the variables, anything with a `shape` at the leaves; of a part's variables alone for a part.
      unused: patterns of torch names that the table leaves out on purpose.

    Raises:
      WeightsError: entries that are missing, unused, of another shape or not finite; up to LISTED are listed. (If most
        of them are missing, these are the weights of something else, and a line says so.)
    """
    named = [name for _, names, _ in _leaves(rows) for name in names]
    there = sum(name in arrays for name in named)
    if 2 * there < len(named):
        others = ", ".join(map(_shown, list(arrays)[:3]))
        raise WeightsError(
            f"these are the weights of another model: of {len(named)} entries ({named[0]}, ...) the file has {there}; "
            f"it has {others}, ..."
        )
    wanted = {path: x.shape for path, x in flax.traverse_util.flatten_dict(like, sep="/").items()}
    found, wrong, used, absent = {}, [], set(), set()
    for path, names, leaf in _leaves(rows):
        used |= {*names}
        missing = [name for name in names if name not in arrays]
        wrong += [f"- {name} is missing" for name in missing]
        if missing:
            absent.add(path)
        else:
            problem = _problem([arrays[name] for name in names], leaf, wanted[path])
            wrong += [f"! {', '.join(names)} {problem}"] if problem else []
            found[path] = None if problem else leaf.read(*(arrays[name] for name in names)).astype(np.float32)
    known = re.compile("|".join((COUNTER, *unused)))
    extra = [name for name in sorted(arrays.keys() - used) if not known.fullmatch(name)]
    wrong += [f"+ {_shown(name)} has no place in the model" for name in extra]
    wrong += [f"? {path} of the model is in no table" for path in sorted(wanted.keys() - found.keys() - absent)]
    if wrong:
        more = [f"and {len(wrong) - LISTED} more"] if len(wrong) > LISTED else []
        lines = "\n  ".join(wrong[:LISTED] + more)
        raise WeightsError(f"the weights do not fit the model ({len(wrong)} differences):\n  {lines}")
    return flax.traverse_util.unflatten_dict(found, sep="/")


def _shown(name: str) -> str:
    """A name of a file as part of a line."""
    return name[:100] if name.isprintable() else ascii(name[:100])


def _problem(theirs: list[np.ndarray], leaf: Leaf, shape: tuple[int, ...]) -> str:
    """What is wrong with some torch arrays for a leaf of this shape, or ""."""
    expected = [x.shape for x in leaf.write(np.broadcast_to(np.float32(0), shape))]
    if [x.shape for x in theirs] != expected:
        return f"is {', '.join(str(x.shape) for x in theirs)}, the model needs {', '.join(map(str, expected))}"
    return "" if all(np.isfinite(x).all() for x in theirs) else "has values that are not finite"


def unnamed(variables: Tree, rows: Sequence[Row]) -> list[str]:
    """Paths of the variables that a table has no name for."""
    named = {path for path, _, _ in _leaves(rows)}
    return sorted(flax.traverse_util.flatten_dict(variables, sep="/").keys() - named)


def from_variables(variables: Tree, rows: Sequence[Row]) -> Arrays:
    """Variables -> arrays under their torch names, the inverse of `to_variables`."""
    flat = flax.traverse_util.flatten_dict(variables, sep="/")
    arrays: Arrays = {}
    for path, names, leaf in _leaves(rows):
        arrays |= dict(zip(names, leaf.write(np.asarray(flat[path])), strict=True))
    return arrays


def prefix_of(arrays: Mapping[str, np.ndarray], channels: int) -> str | None:
    """What a file calls the trunk whose stem sees this many channels (3: image, 1: audio), if it has one.

    The released code never wrote such a file, so the name in front of `feature_extraction` is not settled.
    """
    stem = re.compile(r"(.+)\.feature_extraction\.0\.weight")
    for name, array in arrays.items():
        if (match := stem.fullmatch(name)) and array.ndim == 4 and array.shape[1] == channels:
            return match[1]
    return None
