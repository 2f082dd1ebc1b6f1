"""The models against PyTorch's with the same weights; the answers were made once by tests/golden/make.py."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from l2l.models.backbones.r2plus1d import R2Plus1D
from l2l.models.backbones.resnet import STAGES, AudioResNet, ImageResNet
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion
from l2l.weights import torch_names
from tests.golden import generator
from tests.helpers.quick import jit

CLOSE = 1e-4
GOLDEN = Path(__file__).parents[1] / "golden"


def golden(name):
    with np.load(GOLDEN / f"{name}.npz") as file:
        return dict(file)


def imported(rows, init, *args, **kwargs):
    """Variables made of generated torch arrays, through the importer."""
    shapes = jax.eval_shape(lambda *x: init(jax.random.key(0), *x, **kwargs), *args)
    zeros = jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), shapes)
    names = {name: x.shape for name, x in torch_names.from_variables(zeros, rows).items()}
    return torch_names.to_variables(generator.weights(names), rows, shapes)


def error(ours, theirs):
    """How large the difference is beside the whole."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) if ours.shape == theirs.shape else np.inf


def channels_last(x):
    """(b, c, ..) -> (b, .., c)."""
    return np.moveaxis(x, 1, -1)


@functools.cache
def teacher():
    model = R2Plus1D(400)
    clips = jnp.zeros((1, 2, 16, 16, 3))
    return model, imported(torch_names.r2plus1d(), model.init, clips, None, train=False)


def test_r2plus1d_answers_as_torchvisions():
    model, variables = teacher()
    clips = channels_last(generator.uniform("clips", (1, 3, 5, 28, 36)))
    logits, out = jit(functools.partial(model.apply, train=False))(variables, clips, None)
    wanted = golden("r2plus1d")
    for name in ("stem", "layer1", "layer2", "layer3", "layer4"):
        assert error(out[name], channels_last(wanted[name])) < CLOSE
    assert error(out["feature"], wanted["avgpool"][..., 0, 0, 0]) < CLOSE
    assert error(logits, wanted["out"]) < CLOSE


def step(variables, dtype):
    """(loss, every parameter's change by torch's name) of one step of SGD."""
    model = R2Plus1D(400, dtype=dtype)
    clips = channels_last(generator.uniform("batch", (2, 3, 4, 32, 32))).astype(dtype)
    labels = jnp.array([3, 211])

    def loss(params):
        state = {"params": params, "batch_stats": variables["batch_stats"]}
        (logits, _), _ = model.apply(state, clips, None, train=True, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    value, gradients = jit(jax.value_and_grad(loss))(variables["params"])
    changes = jax.tree.map(lambda g: -generator.LR * g, gradients)
    return value, torch_names.from_variables(variables | {"params": changes}, torch_names.r2plus1d())


def test_one_step_of_training_changes_r2plus1d_as_it_changes_torchvisions():
    """In float64: under batch statistics, two float32 programs differ by half a percent at the first layer."""
    _, variables = teacher()
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), variables)
        value, found = step(wide, jnp.float64)
    wanted = golden("r2plus1d_step")
    assert float(value) == pytest.approx(float(wanted["loss"]), rel=1e-6)
    names = [name.removesuffix("/norm") for name in wanted if name.endswith("/norm")]
    assert len(names) == len(jax.tree.leaves(variables["params"]))
    for name in names:
        projections = (generator.signs(name, found[name].shape, 8) * found[name]).reshape(8, -1).sum(1)
        difference = projections - wanted[f"{name}/projections"]
        assert np.sqrt(np.mean(difference**2)) < 1e-3 * wanted[f"{name}/norm"], name


def trunk(model, rows, x):
    """(answer, outputs of the blocks by name) of a trunk with generated weights."""
    variables = imported(rows, model.init, x, train=False)
    run = functools.partial(model.apply, train=False, capture_intermediates=True, mutable=["intermediates"])
    out, found = jit(run)(variables, x)
    blocks = found["intermediates"]["trunk"]
    return out, {name: x["__call__"][0] for name, x in blocks.items() if name.startswith("layer")}


def test_resnet18_answers_as_torchvisions():
    rows = [(f"trunk/{ours}", name, kind) for ours, name, kind in torch_names.resnet()]
    images = channels_last(generator.uniform("images", (2, 3, 46, 38)))
    out, blocks = trunk(ImageResNet(), rows, images)
    wanted = golden("resnet")
    for i in range(1, 5):
        assert error(blocks[f"layer{i}_1"], channels_last(wanted[f"layer{i}"])) < CLOSE
    assert error(out, wanted["avgpool"][..., 0, 0]) < CLOSE


def test_audio_trunk_answers_as_the_released_one():
    rows = torch_names.student(("audio",), STAGES, "net_image", "net_audio")
    part = [(ours, name, kind) for ours, name, kind in rows if ours.startswith("audio/")]
    part = [(ours.removeprefix("audio/"), name.removeprefix("net_audio."), kind) for ours, name, kind in part]
    x = channels_last(generator.uniform("log_mel", (1, 1, 101, 40)))[..., 0]
    out, blocks = trunk(AudioResNet(), part, 5 * x - 5)  # the trunk's own scaling undone
    wanted = golden("audio")
    for i in range(1, 5):
        assert error(blocks[f"layer{i}_1"], channels_last(wanted[f"layer{i}"])) < CLOSE
    assert error(out, wanted["out"]) < CLOSE


@pytest.fixture(scope="module")
def skimmed():
    """The released skimmer's answers and ours, with the same weights, on the same videos."""
    wanted = golden("skimmer")
    lengths = wanted["lengths"]
    shape = (len(lengths), lengths.max() + 1, 512)
    mask = np.arange(shape[1]) < lengths[:, None]
    banks = [generator.uniform(name, shape) * mask[..., None] for name in ("image_bank", "audio_bank")]
    fusion = Fusion()
    rows = [(x.removeprefix("fusion/"), name, kind) for x, name, kind in torch_names.HEAD if x != "classifier"]
    frozen = imported(rows, fusion.init, banks[0], banks[1])
    model = Skimmer(200, fusion)
    variables = imported(torch_names.skimmer(), model.init, *banks, mask, frozen, train=True)
    fused = fusion.apply(frozen, banks[0][:, 0], banks[1][:, 0])
    logits, out = jit(functools.partial(model.apply, train=False))(variables, *banks, mask, frozen)
    return wanted, {"logits": logits, "fused": fused} | out


@pytest.mark.parametrize("name", ["fused", "head_logits", "step_logits", "logits"])
def test_skimmer_answers_as_the_released_one(skimmed, name):
    wanted, ours = skimmed
    assert error(ours[name], wanted[name]) < CLOSE
