"""ResNet trunks: structure by shapes, pooling by value."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models.backbones.resnet import AudioResNet, ImageResNet, Trunk
from tests.helpers.quick import fill, jit


def parameters(model, *shape):
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, False), x)["params"]


def count(params):
    return sum(math.prod(x.shape) for x in jax.tree.leaves(params))


def test_parameters_are_resnet18s():
    assert count(parameters(ImageResNet(), 1, 112, 112, 3)) == 11_176_512
    # A stem for one channel instead of three, and four numbers that join the three frequency rows.
    assert count(parameters(AudioResNet(), 1, 101, 40)) == 11_176_512 - 49 * 2 * 64 + 4


@pytest.mark.parametrize(("bands", "rows"), [(40, 3), (64, 4), (128, 8)])
def test_frequency_rows_follow_the_input(bands, rows):
    assert parameters(AudioResNet(), 1, 101, bands)["frequency"]["kernel"].shape == (rows, 1)


@pytest.mark.parametrize(
    ("size", "strides", "channels", "last"),
    [((112, 112), (2, 2), 3, (4, 4)), ((101, 40), (1, 1), 1, (7, 3)), ((113, 57), (2, 2), 3, (4, 2))],
)
def test_trunk_sizes(size, strides, channels, last):
    x = jax.ShapeDtypeStruct((2, *size, channels), jnp.float32)
    trunk = Trunk(64, (2, 2, 2, 2), strides, jnp.float32)
    out = jax.eval_shape(lambda x: trunk.init_with_output(jax.random.key(0), x, False)[0], x)
    assert out.shape == (2, *last, 512)


def test_strided_layers_pad_symmetrically():
    """Mirroring an odd-sized image and every kernel mirrors the map: true of symmetric padding alone."""
    trunk = Trunk(4, (1, 1), (2, 2), jnp.float32)
    x = jax.random.normal(jax.random.key(0), (1, 33, 33, 3))
    variables = fill(trunk.init, x, train=False)
    apply = jit(lambda variables, x: trunk.apply(variables, x, False))
    mirrored = jax.tree.map(lambda w: w[:, ::-1] if w.ndim == 4 else w, variables)
    expected = apply(variables, x)[:, :, ::-1]
    np.testing.assert_allclose(apply(mirrored, x[:, :, ::-1]), expected, atol=1e-5)


def test_audio_joins_rows_and_takes_the_maximum_over_time():
    model = AudioResNet(width=4, stages=(1, 1))
    x = jax.random.normal(jax.random.key(0), (2, 30, 20)) - 6
    variables = fill(model.init, x, train=False)
    feature = jit(lambda: model.apply(variables, x, False))()
    trunk = Trunk(4, (1, 1), (1, 1), jnp.float32)
    inner = {name: tree["trunk"] for name, tree in variables.items()}
    maps = jit(lambda: trunk.apply(inner, (x[..., None] + 5) / 5, False))()  # (b, time, frequency, c)
    frequency = variables["params"]["frequency"]
    joined = np.einsum("btfc,f->btc", maps, frequency["kernel"][:, 0]) + frequency["bias"]
    np.testing.assert_allclose(feature, joined.max(1), atol=1e-5)
