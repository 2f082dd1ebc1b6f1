"""What is frozen stays, bit by bit, and answers as in evaluation; what is not, moves."""

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from l2l.models.backbones.audio_preview import Preview
from l2l.models.backbones.r2plus1d import R2Plus1D
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion, Student
from l2l.tasks.classify import Classify
from l2l.tasks.distill_preview import DistilPreview
from l2l.train.frozen import still
from l2l.train.optim import make_optimizer
from l2l.train.state import TrainState
from l2l.train.step import make_step
from tests.core.test_sharding import mesh_of
from tests.helpers.quick import fill, jit

RULES = (("image/trunk/layer1_0/.*", 1.0), ("image/.*", 0.0))
FROZEN = ("image/trunk/stem/", "image/trunk/stem_norm/")


@pytest.fixture(scope="module")
def student():
    """A task and a batch."""
    rng = np.random.default_rng(0)
    model = Student(3, width=2, stages=(1,), feature=4, modality="image")
    batch = {
        "frames": rng.integers(0, 256, (8, 1, 12, 12, 3)).astype(np.uint8),
        "audio": rng.integers(-3000, 3000, (8, 16_000)).astype(np.int16),
        "labels": np.eye(3, dtype=np.float32)[rng.integers(0, 3, 8)],
        "mask": np.ones(8, bool),
    }
    return Classify(model, 12, (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)), batch


def flat(tree) -> dict[str, np.ndarray]:
    return flax.traverse_util.flatten_dict(jax.device_get(tree), sep="/")


def moved(before, after) -> set[str]:
    """Paths of what is not the same to the bit."""
    before, after = flat(before), flat(after)
    return {path for path in before if before[path].tobytes() != after[path].tobytes()}


def test_frozen_parts_stay_and_the_rest_moves(student):
    task, batch = student
    variables = fill(task.init, batch, {})
    how = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-2, "clip_norm": 0.0, "lr_scale": RULES}
    optimizer = make_optimizer(variables["params"], lambda step: 0.1, **how)
    state = TrainState(jnp.zeros((), jnp.int32), opt_state=optimizer.init(variables["params"]), **variables)
    step = make_step(task, optimizer, mesh_of(1), lr_scale=RULES)
    for _ in range(2):
        state, measured = step(state, {}, batch, jax.random.key(0))
    for kind, tree in state.variables.items():
        paths = set(flat(tree))
        stays = {path for path in paths if path.startswith(FROZEN)}
        assert stays
        assert moved(variables[kind], tree) == paths - stays
    assert measured["grad_norm"] > 0


def test_the_gradient_of_what_is_frozen_counts_nowhere(student):
    """Neither in the norm that is measured nor in the one that is clipped."""
    task, batch = student
    variables = fill(task.init, batch, {})
    rules = (("(image|fusion)/.*", 0.0),)
    state = TrainState(jnp.zeros((), jnp.int32), opt_state=optax.sgd(1.0).init(variables["params"]), **variables)
    after, measured = make_step(task, optax.sgd(1.0), mesh_of(1), lr_scale=rules)(state, {}, batch, jax.random.key(0))
    assert moved(variables["batch_stats"], after.batch_stats) == set()
    change = {path: flat(after.params)[path] - x for path, x in flat(variables["params"]).items()}
    assert {path for path, x in change.items() if x.any()} == {"classifier/kernel", "classifier/bias"}
    norm = np.sqrt(sum((x**2).sum() for x in change.values()))
    assert float(measured["grad_norm"]) == pytest.approx(float(norm), rel=1e-4)


def clip_inputs():
    return np.random.default_rng(0).normal(size=(2, 2, 8, 8, 3)).astype(np.float32), None


def skim_inputs():
    rng = np.random.default_rng(0)
    fusion = {"params": fill(Fusion(4, 5).init, *(np.zeros((1, 3), np.float32),) * 2)["params"]}
    return *rng.normal(size=(2, 4, 6, 3)).astype(np.float32), np.ones((4, 6), bool), fusion


@pytest.mark.parametrize(
    ("model", "inputs", "part"),
    [
        (R2Plus1D(3, width=2, stages=(1,), remat=True), clip_inputs, "layer1_0"),  # inside of a lifted block
        (Skimmer(3, Fusion(4, 5), steps=2, hidden=6, key=4, query=5), skim_inputs, "query_image"),  # of a scan
    ],
)
def test_within_blocks_that_are_lifted(model, inputs, part):
    """All of it frozen, it answers as in evaluation; a part of it frozen, this part's statistics stay."""
    inputs = inputs()
    variables = fill(model.init, *inputs, train=False)

    def train(rules):
        with still(rules):
            return jit(lambda v: model.apply(v, *inputs, train=True, mutable=["batch_stats"]))(variables)

    wanted = jit(lambda v: model.apply(v, *inputs, train=False))(variables)[0]
    (logits, _), new = train(((".*", 0.0),))
    np.testing.assert_array_equal(logits, wanted)
    assert moved(variables["batch_stats"], new["batch_stats"]) == set()
    new = train(((f"{part}/.*", 0.0),))[1]
    paths = set(flat(variables["batch_stats"]))
    stays = {path for path in paths if path.startswith(f"{part}/")}
    assert stays
    assert moved(variables["batch_stats"], new["batch_stats"]) == paths - stays


def test_a_part_of_a_preview(student):
    task, batch = student
    ear = Preview(4, 2)
    variables = fill(ear.init, np.zeros((1, 101, 40), np.float32), train=False)
    preview = DistilPreview(task, task, ear, Fusion(4), 1.0)
    with still((("audio/stem_norm/.*", 0.0),)):
        _, stats = jit(lambda v: preview._hear(v["params"], v["batch_stats"], batch))(variables)
    paths = set(flat(stats))
    assert paths - moved(variables["batch_stats"], stats) == {"stem_norm/mean", "stem_norm/var"}
