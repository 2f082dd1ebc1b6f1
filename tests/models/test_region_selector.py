"""Looking closer: regions of pictures, the choice among them, what it costs, and the way from pixels to an answer."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.evaluate import model_macs, skim_macs
from l2l.models.backbones.resnet import ImageResNet, stage_of
from l2l.models.regions import Regions
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion
from l2l.runs import config as run_config
from l2l.runs import run_folder
from l2l.tasks import from_config
from tests.helpers import shards, small
from tests.helpers.counts import fusion_macs, student_counts
from tests.helpers.quick import fill, jit

N, D, C, T, K, R = 9, 6, 4, 3, 3, 9
LENGTHS = np.array([9, 5, 2, 0])  # the last row is padding of the batch
FUSION = Fusion(feature=7, hidden=8)
NUMBERS = {"num_classes": K, "fusion": FUSION, "steps": T, "hidden": 10, "key": 5, "query": 6, "count_start": False}
CLOSER = Skimmer(**NUMBERS, index_by="audio", selection="straight_through", closer="state")


def test_regions_cover_a_picture_evenly_from_edge_to_edge():
    regions = Regions(size=20, side=8, across=3)
    assert regions.starts.tolist() == [0, 6, 12]
    assert regions.corners[:4].tolist() == [[0, 0], [0, 6], [0, 12], [6, 0]]
    assert Regions(20, 8, 1).corners.tolist() == [[6, 6]]
    picture = np.arange(2 * 20 * 20 * 3).reshape(2, 20, 20, 3)
    np.testing.assert_array_equal(regions.cut(jnp.asarray(picture), jnp.array([6, 12])), picture[:, 6:14, 12:20])
    with pytest.raises(ValueError, match=r"20 pixels show no more closer than the model's 20: .* --short_side"):
        Regions(20, 20, 3)


def test_regions_of_the_middle_of_a_picture_lie_in_the_whole():
    """A model may see the 20 pixels in the middle of 26: a region's shares are those of all that people see."""
    regions = Regions(size=20, side=8, across=3)
    np.testing.assert_array_equal(regions.boxes_of(20), regions.boxes)
    row = np.arange(26)
    for (left, top, side), (y, x) in zip(np.rint(regions.boxes_of(26) * 26).astype(int), regions.corners, strict=True):
        np.testing.assert_array_equal(row[left : left + side], row[3:23][x : x + 8])
        np.testing.assert_array_equal(row[top : top + side], row[3:23][y : y + 8])


def test_a_map_says_of_a_region_the_mean_over_its_area():
    """Beside the mean of the map enlarged to pixels, exactly."""
    regions, grid = Regions(size=24, side=10, across=3), np.random.default_rng(0).normal(size=(2, 4, 4, 5))
    pixels = grid.repeat(6, axis=1).repeat(6, axis=2)
    for number, (top, left) in enumerate(regions.corners):
        expected = pixels[:, top : top + 10, left : left + 10].mean((1, 2))
        np.testing.assert_allclose(regions.means(jnp.asarray(grid))[:, number], expected, atol=1e-5)


def test_the_map_is_the_last_one_that_is_fine_enough():
    assert [stage_of(112, cells, 4) for cells in (1, 4, 5, 7, 8, 28)] == [3, 3, 2, 2, 1, 0]
    trunk, x = ImageResNet(4, (1, 1, 1)), jnp.ones((1, 48, 48, 3))
    out = lambda *cells, **how: trunk.init_with_output(jax.random.key(0), x, False, *cells, **how)[0]
    assert jax.eval_shape(out).shape == (1, 16)
    assert jax.eval_shape(lambda: out(5, method="grid")).shape == (1, 6, 6, 8)
    with pytest.raises(ValueError, match=r"48 pixels are \[12, 6, 3\] wide, regions=13 is too many"):
        stage_of(48, 13, 3)


@pytest.fixture(scope="module")
def data():
    """Descriptors of images and sounds, the mask, the fusion, and the glances."""
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(2, 4, N, D)).astype(np.float32)
    fusion = jax.tree.map(lambda x: 20 * x, FUSION.init(jax.random.key(3), jnp.zeros((1, D)), jnp.zeros((1, D))))
    glances = {"cells": rng.normal(size=(4, N, R * C)), "regions": 2 * rng.normal(size=(4, N, R * D))}
    glances = {key: x.astype(np.float32) for key, x in glances.items()}
    return image, audio, np.arange(N) < LENGTHS[:, None], fusion, None, None, glances


@pytest.fixture(scope="module")
def variables(data):
    return fill(CLOSER.init, *data, train=False)


@functools.cache
def compiled(model, hard=True):
    return jit(functools.partial(model.apply, train=False, hard=hard))


def trained(model, variables, data):
    """Output and gradients of one training step."""

    def loss(params):
        (logits, out), _ = model.apply(variables | {"params": params}, *data, train=True, mutable=["batch_stats"])
        return (jnp.sin(logits[:3]) ** 2).sum(), (logits, out)

    gradients, rest = jit(jax.grad(loss, has_aux=True))(variables["params"])
    return *rest, gradients


def test_a_look_is_both_glances_and_only_the_chosen_region_is_read(data, variables):
    """By value: the answer from what was picked alone, look by look."""
    image, audio, _, fusion, *_, glances = data
    logits, out = compiled(CLOSER)(variables, *data)
    params, blank = variables["params"], np.zeros_like(glances["regions"]).reshape(4, N, R, D)
    regions = glances["regions"].reshape(4, N, R, D)
    fuse = lambda *x: np.asarray(FUSION.apply(fusion, *(jnp.asarray(z)[None] for z in x))[0])
    for row, length in enumerate(LENGTHS):
        looks = []
        for t in range(min(T, length)):
            at, region = int(out["picked"]["audio"][t, row]), int(out["region"][t, row])
            blank[row, at, region] = regions[row, at, region]
            first, second = (fuse(x, audio[row, at]) for x in (image[row, at], regions[row, at, region]))
            gate = params["closely"]["share"]
            share = jax.nn.sigmoid(np.concatenate([first, second]) @ gate["kernel"] + gate["bias"])
            looks.append(first + share * (second - first))
        mean = np.mean(looks, 0) if looks else np.zeros(7)
        expected = mean @ params["classifier"]["kernel"] + params["classifier"]["bias"]
        np.testing.assert_allclose(logits[row], expected, rtol=1e-3, atol=1e-4)
    again, same = compiled(CLOSER)(variables, *data[:6], glances | {"regions": blank.reshape(4, N, R * D)})
    np.testing.assert_array_equal(again, logits)
    np.testing.assert_array_equal(same["region"], out["region"])
    np.testing.assert_allclose(out["closer"].sum(-1), 1, rtol=1e-5)
    assert len(np.unique(np.asarray(out["region"])[:, :3])) > 1


def test_training_sees_one_region_and_learns_what_the_others_would_have_shown(data, variables):
    """Forward as if it were hard; backward the gradient of the attention's weighted sum over all regions."""
    logits, out, gradients = trained(CLOSER, variables, data)
    for part in ("keys", "ask", "share"):
        assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradients["closely"][part])), part
    others = np.ones((4, N, R, 1), np.float32)
    for t in range(T):
        others[range(4), out["picked"]["audio"][t], out["region"][t]] = 0
    glances = data[-1]
    changed = glances["regions"] + (others * np.ones(D, np.float32)).reshape(4, N, R * D)
    again, _, different = trained(CLOSER, variables, (*data[:6], glances | {"regions": changed}))
    np.testing.assert_allclose(again, logits, rtol=1e-5, atol=1e-5)
    kernel = lambda tree: tree["closely"]["ask"]["output"]["kernel"]
    assert np.abs(kernel(different) - kernel(gradients)).max() > 1e-4


def test_padding_changes_nothing(data, variables):
    pad = lambda x, value: np.pad(x, ((0, 0), (0, 4), (0, 0)), constant_values=value)
    image, audio, mask, fusion, *_, glances = data
    wide = {key: pad(x, np.nan) for key, x in glances.items()}
    padded = pad(image, np.nan), pad(audio, 1e6), np.pad(mask, ((0, 0), (0, 4))), fusion, None, None, wide
    for way in (lambda x: compiled(CLOSER)(variables, *x), lambda x: trained(CLOSER, variables, x)):
        (logits, out, *_), (wider, same, *_) = way(data), way(padded)
        np.testing.assert_allclose(wider, logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(same["region"], out["region"])


def test_what_it_is_compared_with_does_not_ask(data):
    _, out = compiled(CLOSER.clone(closer="centre"))(
        variables := fill(CLOSER.clone(closer="centre").init, *data, train=False), *data
    )
    assert set(variables["params"]["closely"]) == {"share"}
    assert np.all(out["region"] == R // 2)
    _, out = compiled(CLOSER.clone(closer="random"))(variables, *data)
    drawn = {}
    for position, region in zip(np.ravel(out["picked"]["audio"]), np.ravel(out["region"]), strict=True):
        assert drawn.setdefault(int(position), int(region)) == region
    assert len(set(drawn.values())) > 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"closer": "best"}, "unknown closer 'best'; choose from state, random, centre"),
        ({"index_by": "both"}, "one picture"),
    ],
)
def test_what_cannot_look_closer_says_so(change, words, data):
    with pytest.raises(ValueError, match=words):
        fill(CLOSER.clone(**change).init, *data, train=False)


@pytest.mark.parametrize("choose", ["state", "centre", "random"])
def test_cost_of_a_second_glance(choose):
    """The regions of a picture are read, and one of them is fused and mixed. A state asks 25 keys of the cells, which
    nothing else reads.
    """
    n, r, c, d = 30, 25, 256, 512
    skimmer = Skimmer(20, Fusion(), index_by="audio", count_start=False)
    features = skim_macs.Features(d, d, cells=r * c, regions=r * d)
    ask = n * r * c + 1024 * 1024 + 1024 * 512 + r * c * 512 + r * 512
    second = n * r * d + (ask if choose == "state" else 0) + r * d + fusion_macs() + 2 * 512
    closer, plain = (skim_macs.parts(skimmer.clone(closer=x), features).of(n, 10, 10) for x in (choose, ""))
    assert closer - plain == 10 * second


def test_a_video_pays_a_trunk_for_each_second_glance():
    config, student = (run_config.plain(run_config.load_config(f"configs/{x}.py:closer")) for x in ("skim", "finetune"))
    numbers = {"positions": 30, "steps": 10, "looks": 10}
    without = config | {"model": config["model"] | {"closer": ""}}
    near, plain = (model_macs.video_macs(c, student, 16, **numbers) for c in (config, without))
    picture, larger = (student_counts(size, width=8, stages=(1, 1, 1, 1))["image"] for size in (48, 68))
    assert (near["recognition"], plain["recognition"]) == (20 * picture, 10 * picture)
    assert near["indexing"] == plain["indexing"]
    every = model_macs.video_macs(config, student, 16, **numbers, soft=True)
    assert every["recognition"] == 30 * 26 * picture  # soft selection reads all regions of all pictures
    assert 2 * picture <= larger <= 2.2 * picture  # what the sweep gives a single glance
    with pytest.raises(ValueError, match="closer='state' looks at regions, which these features do not have"):
        model_macs.video_macs(config, student | {"model": student["model"] | {"regions": 0}}, 16, **numbers)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Clips of larger pictures than a student sees, and its features with regions."""
    root = tmp_path_factory.mktemp("closer")
    clips = shards.clip_directory(root / "clips", videos={"train": 8, "val": 4, "test": 4}, clips=6, size=32)
    c = small.config("finetune", root / "student", clips, data__resize=14)
    c.model["regions"] = 3
    student = small.untrained(c)
    e = run_config.load_config("configs/extract.py")
    small.stage(e, root / "features", **{"student": str(student), "data.dir": str(clips), "data.eval_batch": 8})
    return root


def test_features_hold_what_the_trunk_sees_of_every_region(work):
    run = run_folder.load_run(work / "student")
    task, glances = from_config.clip_task(run.config, len(run.labels)), from_config.glances_of(run.config)
    source = small.source_of(run.config, str(work / "clips"))
    batch = next(source.eval("val", batch=8))
    features = next(
        small.source_of({"task": "skim", "data": {"lengths": (8,)}, "recognition": ""}, str(work / "features")).eval(
            "val", batch=1
        )
    )
    eye = {kind: tree["image"] for kind, tree in run.variables["model"].items()}
    pictures = batch["frames"][:6, 0]
    assert pictures.shape == (6, 32, 32, 3)
    found = features["regions"][0, :6].reshape(6, 9, -1)
    for number, (top, left) in enumerate(Regions(32, 14, 3).corners):
        square = jnp.asarray(pictures[:, top : top + 14, left : left + 14], jnp.float32)
        square = (square / 255 - jnp.array(task.mean)) / jnp.array(task.std)
        expected = jit(functools.partial(glances.trunk.apply, train=False))(eye, square)
        np.testing.assert_allclose(found[:, number], expected, rtol=5e-3, atol=5e-3)
    assert features["cells"].shape == (1, 8, 9 * 8)


def test_a_skimmer_looks_closer_from_its_config(work):
    numbers = {"data__lengths": (8,), "epochs": 2.0}
    c = small.config("skim", work / "skim", work / "features", student=str(work / "student"), **numbers)
    c.model.update({"closer": "state", "index_by": "audio"})
    path = small.run(c)
    arrays = np.load(path / "predictions.npz")
    assert arrays["region"].shape == (4, 3)
    assert arrays["closer"].shape == (4, 3, 9)
    assert arrays["region"].max() < 9


def test_features_without_regions_are_refused(work):
    c = small.config("skim", work / "other", work / "features")
    c.model.update({"closer": "state", "index_by": "audio"})
    student = run_config.plain(small.config("finetune", work / "plain", work / "clips"))
    with pytest.raises(ValueError, match="which these features do not have: fine-tune a student with regions"):
        from_config.skim_task(run_config.plain(c), 3, student)
