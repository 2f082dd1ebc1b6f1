"""What a listener is compared with, by value, and several seeds in one program."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.compare import arms, films, training
from l2l.compare.arms import Arm
from l2l.compare.rivals import Pooled
from l2l.models.student import Fusion, Unfused
from tests.compare.made import made

FUSION = Fusion(feature=7, hidden=8)


def test_cut_keeps_the_marked_positions_in_their_order():
    videos = {"image": np.arange(10.0).reshape(2, 5, 1), "inside": np.array([[1, 1, 0, 0, 1], [0, 1, 0, 1, 0]], bool)}
    videos |= {"valid": np.ones((2, 5), bool)}
    marks = jnp.array([[False, True, False, True, True], [False, False, True, False, False]])
    found = films.cut(videos, marks, 3)
    assert found["image"][..., 0].tolist() == [[1, 3, 4], [7, 0, 0]]
    assert found["valid"].tolist() == [[True, True, True], [True, False, False]]
    assert found["inside"].tolist() == [[True, False, True], [False, False, False]]


@pytest.mark.parametrize("pool", ["mean", "max", "top"])
def test_pooling_by_hand(pool):
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(2, 3, 6, 4)).astype(np.float32)
    mask = np.arange(6) < np.array([6, 4, 1])[:, None]
    model = Pooled(num_classes=3, fusion=Unfused(), pool=pool, count=2)
    variables = model.init(jax.random.key(0), image, audio, mask, {}, train=False)
    logits, _ = model.apply(variables, np.where(mask[..., None], image, np.nan), audio, mask, {}, train=False)
    head = variables["params"]["classifier"]
    for video, n in enumerate((6, 4, 1)):
        own = np.concatenate([image, audio], -1)[video, :n] @ head["kernel"] + head["bias"]
        count = {"mean": n, "max": 1, "top": min(2, n)}[pool]
        np.testing.assert_allclose(logits[video], np.sort(own, 0)[-count:].mean(0), rtol=1e-4, atol=1e-5)


def test_a_sampler_ranks_by_the_score_of_the_true_class():
    features = made()
    task = arms.task_of(Arm("s", "sampler", model={"steps": 2, "stride": 2}), features)
    task = dataclasses.replace(task, mute=0.0)
    batch = {name: value[:3] for name, value in features.splits["train"].items()}
    batch["mask"] = np.array([True, True, False])
    params = task.init(jax.random.key(0), batch, features.frozen)["params"]
    loss, _ = task.loss(params, {}, features.frozen, batch, jax.random.key(0))
    _, out = task.model.apply({"params": params}, *task.inputs(batch, features.frozen), train=False)
    scores = np.asarray(arms.clip_scores(task, features.frozen, batch), np.float64)
    wanted = 0.0
    for video in range(2):
        n, label = int(batch["valid"][video].sum()), batch["labels"][video].argmax()
        may = [i for i in range(n) if batch["has_audio"][video] or i % 2 == 0]
        truth, said = scores[video, :, label], np.asarray(out["scores"], np.float64)[video]
        pairs = [max(0, 1 - said[i] + said[j]) for i in may for j in may if truth[i] > truth[j]]
        wanted += np.mean(pairs) / 2
    np.testing.assert_allclose(loss, wanted, rtol=1e-4)


@pytest.mark.parametrize(
    "arm",
    [
        Arm("g", "glance", model={"steps": 2, "hidden": 8, "context": 3}),
        Arm("l", "skimmer", model={"steps": 2, "hidden": 8, "key": 4, "query": 8, "selection": "straight_through"}),
    ],
    ids=["glance", "skimmer"],
)
def test_seeds_side_by_side_are_what_each_is_alone(arm):
    features, settings = made(), training.Settings(lr=1e-3, epochs=2, batch=8)
    answer = lambda seeds: arms.answers(arm, features, settings, seeds, "test")["steps"]
    both, second = answer(range(3, 5)), answer(range(4, 5))
    np.testing.assert_allclose(both[1], second[0], rtol=1e-3, atol=1e-3)
    assert np.abs(both[0] - both[1]).max() > 0.01


def test_every_video_comes_once_an_epoch():
    rows = training.whole_batches(np.random.default_rng(0), 10, 4)
    assert rows.shape == (3, 4)
    assert sorted(rows.ravel()[:10]) == list(range(10))
    assert training.whole_batches(np.random.default_rng(0), 3, 8).shape == (1, 8)


def test_what_a_glance_reads_and_what_lies_inside():
    features = made()
    arm = Arm("g", "glance", model={"steps": 3, "hidden": 8, "context": 3, "stride": 2})
    found = arms.answers(arm, features, training.Settings(epochs=1, batch=8), range(2), "test")
    videos = features.splits["test"]
    count = len(videos["mask"])
    assert found["steps"].shape == (2, count, 3, 3)
    for seed in range(2):
        for video in range(count):
            picks = found["picked"][seed, video][found["counted"][seed, video]]
            assert len(set(picks)) == len(picks)
            assert found["inside"][seed, video] == pytest.approx(videos["inside"][video][picks].mean())


def test_selections_that_do_not_learn_average_the_clip_models_scores():
    features = made()
    arm = Arm("u", "scores", selection="uniform", count=2)
    found = arms.answers(arm, features, training.Settings(), range(2), "test")
    videos = features.splits["test"]
    task = arms.task_of(Arm("u", "pooled"), features)
    scores = np.asarray(arms.clip_scores(task, features.frozen, {k: jnp.asarray(v) for k, v in videos.items()}))
    for video, n in enumerate(videos["valid"].sum(1)):
        places = sorted({int(0.5 * n / 2), int(1.5 * n / 2)})
        np.testing.assert_allclose(np.exp(found["all"][0, video]), scores[video, places].mean(0), atol=1e-5)
        assert found["inside"][0, video] == pytest.approx(videos["inside"][video, places].mean())


def test_a_reader_learns_what_the_sampler_of_its_own_seed_chooses():
    features, settings = made(), training.Settings(epochs=2, batch=8)
    sampler = Arm("s", "sampler", model={"steps": 2, "hidden": 8, "context": 3, "stride": 2})
    reader = Arm("r", "judge", model={"steps": 1, "hidden": 8}, selection="sampler", count=2)
    trained = lambda seeds: arms.trained_sampler(sampler, features, settings, seeds)
    ask = lambda seeds: arms.after_sampler(sampler, trained(seeds), reader, features, settings, seeds, "test")["all"]
    both, second = ask(range(3, 5)), ask(range(4, 5))
    np.testing.assert_allclose(both[1], second[0], rtol=1e-3, atol=1e-3)


def test_positions_inside_a_labelled_stretch():
    row = {"example": np.array([0]), "video_id": [b"a"], "times": [np.array([0.5, 1.5, 2.5, 0.0])]}
    row |= {"image": np.ones((1, 4, 2), np.float16), "valid": np.array([[True, True, True, False]])}
    other = row | {"example": np.array([1]), "video_id": [b"b"]}
    found = films.stacked(iter([other, row]), {"a": [[1.0, 3.0]]})
    assert found["inside"].tolist() == [[False, True, True], [False, False, False]]
    assert found["image"].dtype == np.float32
    assert "inside" not in films.stacked(iter([row]))


def fused(features):
    """The same videos, as a clip model with a network that fuses has them."""
    fusion, width = Fusion(feature=6, hidden=16), features.splits["train"]["image"].shape[-1]
    params = fusion.init(jax.random.key(0), jnp.zeros((1, width)), jnp.zeros((1, width)))["params"]
    head = {"kernel": np.eye(6, features.classes, dtype=np.float32), "bias": np.zeros(features.classes, np.float32)}
    frozen = {"fusion": jax.tree.map(lambda x: 4 * x, params), "classifier": head}
    return dataclasses.replace(features, frozen=frozen, fusion=fusion)


@pytest.mark.parametrize("kind", ["glance", "sampler", "judge", "pooled", "query"])
def test_a_fusion_that_is_looked_up_teaches_the_same(kind, monkeypatch):
    """Also where sound is left out at random, and of videos that have none."""
    numbers = {"query": {"steps": 2, "key": 8}, "pooled": {}}
    glance = {"steps": 2, "hidden": 8, "context": 3, "stride": 2}
    arm = Arm("a", kind, model=numbers.get(kind, glance))
    features, settings = fused(made()), training.Settings(epochs=3, batch=8)
    assert not features.splits["train"]["has_audio"].all()
    ask = lambda: arms.answers(arm, features, settings, range(2), "test")
    known = ask()
    asked = []
    monkeypatch.setattr(training, "looked_up", lambda task, frozen, videos: (asked.append(task), (task, videos))[1])
    for name, value in ask().items():
        np.testing.assert_allclose(known[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
    assert len(asked) == 1
