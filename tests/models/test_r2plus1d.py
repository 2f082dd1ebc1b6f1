"""R(2+1)D: structure at full size by shapes, arithmetic on small ones."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models.backbones.conv import Conv
from l2l.models.backbones.r2plus1d import R2Plus1D, spatial, temporal
from tests.helpers.quick import fill, jit

SMALL = {"num_classes": 5, "width": 4, "stages": (1, 1)}


def shapes(model, *frames):
    x = jax.ShapeDtypeStruct(frames, jnp.float32)
    return jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, None, False), x)


def small(**changes):
    model = R2Plus1D(**SMALL | changes)
    frames = jax.random.normal(jax.random.key(1), (2, 4, 16, 16, 3))
    return model, frames, fill(model.init, frames, None, train=False)


def run(model, variables, frames, *, train):
    mutable = ["batch_stats"]
    return jit(lambda v, x: model.apply(v, x, None, train, mutable=mutable))(variables, frames)


def test_full_size_is_torchvisions():
    (logits, out), variables = shapes(R2Plus1D(400), 2, 16, 112, 112, 3)
    assert sum(math.prod(x.shape) for x in jax.tree.leaves(variables["params"])) == 31_505_325
    assert logits.shape == (2, 400)
    assert {name: x.shape[1:] for name, x in out.items()} == {
        "stem": (16, 56, 56, 64),
        "layer1": (16, 56, 56, 64),
        "layer2": (8, 28, 28, 128),
        "layer3": (4, 14, 14, 256),
        "layer4": (2, 7, 7, 512),
        "feature": (512,),
    }


def test_a_blocks_convolutions_share_the_middle_width():
    params = shapes(R2Plus1D(400), 1, 16, 112, 112, 3)[1]["params"]
    middle = {name: params[name]["conv2"]["spatial"]["kernel"].shape[-1] for name in params if "layer" in name}
    assert middle == {
        "layer1_0": 144, "layer1_1": 144, "layer2_0": 230, "layer2_1": 288,
        "layer3_0": 460, "layer3_1": 576, "layer4_0": 921, "layer4_1": 1152,
    }  # fmt: skip
    assert all(params[n]["conv1"]["spatial"]["kernel"].shape[-1] == m for n, m in middle.items())


@pytest.mark.parametrize("strides", [(1, 1), (2, 2)])
def test_factors_equal_three_dimensional_convolutions(strides):
    x = jax.random.normal(jax.random.key(0), (2, 5, 7, 6, 3))
    t, s = strides

    def three(x, kernel, window, pads):
        layout = ("NDHWC", "DHWIO", "NDHWC")
        return jax.lax.conv_general_dilated(x, kernel, window, [(p, p) for p in pads], dimension_numbers=layout)

    conv = Conv(4, (3, 3), (s, s), (1, 1))
    mine, variables = conv.init_with_output(jax.random.key(1), x[0])
    mine = spatial(conv.bind(variables), x)
    kernel = variables["params"]["kernel"]
    np.testing.assert_allclose(mine, three(x, kernel[None], (1, s, s), (0, 1, 1)), atol=1e-5)

    conv = Conv(4, (3, 1), (t, 1), (1, 0))
    variables = conv.init(jax.random.key(1), x[0])
    mine = temporal(conv.bind(variables), x)
    kernel = variables["params"]["kernel"][:, :, None]
    np.testing.assert_allclose(mine, three(x, kernel, (t, 1, 1), (1, 0, 0)), atol=1e-5)


def test_remat_changes_neither_variables_nor_gradients():
    def gradient(remat):
        model = R2Plus1D(num_classes=3, width=2, stages=(1,), remat=remat)
        frames = jax.random.normal(jax.random.key(1), (2, 2, 8, 8, 3))
        variables = fill(model.init, frames, None, train=False)

        def loss(params):
            whole = variables | {"params": params}
            (logits, _), _ = model.apply(whole, frames, None, True, mutable=["batch_stats"])
            return (logits**2).sum()

        return variables, jit(jax.grad(loss))(variables["params"])

    for kept, again in zip(gradient(False), gradient(True), strict=True):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), kept, again)


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32():
    model, frames, variables = small(dtype=jnp.bfloat16)
    (logits, out), updates = run(model, variables, frames, train=True)
    assert out["layer1"].dtype == jnp.bfloat16
    kept = [logits, out["feature"], *jax.tree.leaves((variables, updates))]
    assert {x.dtype for x in kept} == {jnp.dtype("float32")}
    half, full = (run(m, variables, frames, train=False)[0][0] for m in (model, R2Plus1D(**SMALL)))
    np.testing.assert_allclose(half, full, atol=0.03 * np.abs(full).max())


def test_training_moves_the_statistics_and_evaluation_does_not():
    model, frames, variables = small()
    _, updates = run(model, variables, frames, train=True)
    before = variables["batch_stats"]["stem_norm"]["mean"]
    assert not np.allclose(updates["batch_stats"]["stem_norm"]["mean"], before)
    _, updates = run(model, variables, frames, train=False)
    assert np.array_equal(updates["batch_stats"]["stem_norm"]["mean"], before)
