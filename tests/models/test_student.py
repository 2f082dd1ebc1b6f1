"""The student and its variants."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l import models
from l2l.models.student import Fusion
from tests.helpers.quick import fill, jit

NUMBERS = {"num_classes": 5, "width": 4, "stages": (1, 1), "feature": 12}


@pytest.fixture(scope="module")
def inputs():
    keys = jax.random.split(jax.random.key(0), 2)
    return jax.random.normal(keys[0], (2, 3, 16, 16, 3)), jax.random.normal(keys[1], (2, 20, 16)) - 5


def start(model, inputs):
    """Output and variables of a model that always starts from the same ones."""
    variables = fill(model.init, *inputs, train=False)
    return compiled(model)(variables, *inputs), variables


@functools.cache
def compiled(model):
    return jit(lambda variables, *inputs: model.apply(variables, *inputs, False))


@pytest.mark.parametrize(
    ("modality", "parts"), [("both", {"image", "audio"}), ("image", {"image"}), ("audio", {"audio"})]
)
def test_a_variant_has_and_uses_only_its_parts(modality, parts, inputs):
    model = models.get("student", **NUMBERS, modality=modality)
    (logits, out), variables = start(model, inputs)
    assert set(variables["params"]) == parts | {"fusion", "classifier"}
    assert {name: x.shape for name, x in out.items()} == dict.fromkeys(parts, (2, 8)) | {"feature": (2, 12)}
    assert logits.shape == (2, 5)
    frames, sound = inputs
    for part, changed in (("image", (frames + 1, sound)), ("audio", (frames, sound + 1))):
        same = np.array_equal(start(model, changed)[0][0], logits)
        assert same is (part not in parts)


def test_only_the_first_frame_is_seen(inputs):
    model = models.get("student", **NUMBERS)
    (logits, _), _ = start(model, inputs)
    frames = inputs[0].at[:, 1:].set(7)
    np.testing.assert_array_equal(start(model, (frames, inputs[1]))[0][0], logits)


def test_fusion_alone_gives_the_students_feature(inputs):
    """What the skimmer relies on: the student's fusion variables work by themselves."""
    model = models.get("student", **NUMBERS)
    (_, out), variables = start(model, inputs)
    alone = Fusion(12).apply({"params": variables["params"]["fusion"]}, out["image"], out["audio"])
    np.testing.assert_allclose(alone, out["feature"], rtol=1e-5, atol=1e-6)


def test_full_size_parameters():
    model = models.get("student", num_classes=400)
    frames, sound = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((1, 1, 112, 112, 3), (1, 101, 40)))
    params = jax.eval_shape(lambda *x: model.init(jax.random.key(0), *x, False), frames, sound)["params"]
    assert params["fusion"]["hidden"]["kernel"].shape == (1024, 1024)
    assert params["fusion"]["output"]["kernel"].shape == (1024, 512)
    assert params["classifier"]["kernel"].shape == (512, 400)


def test_unknown_names_list_the_known_ones(inputs):
    with pytest.raises(ValueError, match=r"'smell'.* both, image, audio"):
        models.get("student", **NUMBERS, modality="smell").init(jax.random.key(0), *inputs, False)
    with pytest.raises(ValueError, match=r"'vgg'.* r2plus1d, skimmer, student"):
        models.get("vgg")
