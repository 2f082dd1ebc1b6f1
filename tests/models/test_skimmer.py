"""The skimmer: its scan against a plain loop, and what each of its choices promises."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2l.models.layers import WeightNormLSTM, lstm_step
from l2l.models.skimmer import Skimmer
from l2l.models.student import Fusion, Unfused
from tests.helpers.quick import fill, jit

N, D, T, K = 9, 6, 3, 3
LENGTHS = np.array([9, 5, 2, 0])  # the last row is padding of the batch
FUSION = Fusion(feature=7, hidden=8)


class Loop(Skimmer):
    """The oracle: the same steps in a Python loop."""

    def _unroll(self, step, carry, view):
        outs = []
        for _ in range(self.steps):
            carry, out = step(self, carry, view)
            outs.append(out)
        return jax.tree.map(lambda *x: jnp.stack(x), *outs)


def build(kind=Skimmer, **choices):
    return kind(**{"num_classes": K, "fusion": FUSION, "steps": T, "hidden": 10, "key": 5, "query": 6} | choices)


@pytest.fixture(scope="module")
def data():
    """Descriptors of images and sounds, and the mask."""
    rng = np.random.default_rng(0)
    image, audio = rng.normal(size=(2, 4, N, D)).astype(np.float32)
    return image, audio, np.arange(N) < LENGTHS[:, None]


@pytest.fixture(scope="module")
def fusion():
    variables = FUSION.init(jax.random.key(3), jnp.zeros((1, D)), jnp.zeros((1, D)))
    return jax.tree.map(lambda x: 20 * x, variables)  # so that what is looked at makes a difference


def start(model, data, fusion):
    """Variables that leave no choice a near tie and no statistic at 0 or 1."""
    return fill(model.init, *data, fusion, train=False)


@functools.cache
def compiled(model, hard):
    return jit(functools.partial(model.apply, train=False, hard=hard))


def evaluate(model, variables, data, fusion, hard=False):
    return compiled(model, hard)(variables, *data, fusion)


def trained(model, variables, data, fusion):
    """Output, new statistics and gradients of one training step."""

    def loss(params):
        whole = variables | {"params": params}
        (logits, out), new = model.apply(whole, *data, fusion, train=True, mutable=["batch_stats"])
        return (jnp.sin(logits[:3]) ** 2).sum(), (logits, out, new)

    gradients, rest = jit(jax.grad(loss, has_aux=True))(variables["params"])
    return *rest, gradients


def assert_close(a, b, **tolerance):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **({"rtol": 1e-4, "atol": 1e-5} | tolerance)), a, b)


CHOICES = [
    {},
    {"selection": "straight_through", "index_by": "audio", "count_start": False},
    {"index_by": "image", "masking": False},
]
names = lambda c: " ".join(map(str, c.values())) or "paper"


@pytest.mark.parametrize("choices", CHOICES, ids=names)
def test_scan_equals_a_plain_loop(choices, data, fusion):
    scan, loop = build(**choices), build(Loop, **choices)
    variables = start(scan, data, fusion)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, start(loop, data, fusion))
    for hard in (False, True):
        mine, oracle = (evaluate(m, variables, data, fusion, hard=hard) for m in (scan, loop))
        assert_close(mine, oracle)
    mine, oracle = (trained(m, variables, data, fusion) for m in (scan, loop))
    assert_close(mine, oracle)
    before, after = variables["batch_stats"], mine[2]["batch_stats"]
    assert all(not np.allclose(a, b) for a, b in zip(*map(jax.tree.leaves, (before, after)), strict=True))


@pytest.mark.parametrize("choices", CHOICES[:2], ids=names)
def test_more_padding_changes_nothing(choices, data, fusion):
    model = build(**choices)
    variables = start(model, data, fusion)
    image, audio, mask = data
    wide = ((0, 0), (0, 5), (0, 0))
    padded = (
        np.pad(image, wide, constant_values=np.nan),
        np.pad(audio, wide, constant_values=1e6),
        np.pad(mask, wide[:2]),
    )

    def cut(result):
        logits, out, *rest = result
        weights = {m: w[..., :N] for m, w in out["weights"].items()}
        return logits, out | {"weights": weights}, *rest

    for hard in (False, True):
        plain, wider = (evaluate(model, variables, x, fusion, hard=hard) for x in (data, padded))
        assert_close(plain, cut(wider))
    plain, wider = (trained(model, variables, x, fusion) for x in (data, padded))
    assert_close(plain, cut(wider))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(plain))


@pytest.mark.parametrize("hard", [False, True], ids=["soft", "hard"])
def test_masking_never_picks_a_position_twice(hard, data, fusion):
    model = build(steps=N)
    variables = start(model, data, fusion)
    _, out = evaluate(model, variables, data, fusion, hard=hard)
    for picked in out["picked"].values():
        for row, length in enumerate(LENGTHS):
            taken = np.asarray(picked)[:length, row]
            assert sorted(taken) == list(range(length))
    free = build(steps=N, masking=False)
    _, out = evaluate(free, variables, data, fusion, hard=hard)
    assert any(len(set(np.asarray(p)[:, 0])) < N for p in out["picked"].values())


@pytest.mark.parametrize("count_start", [True, False])
def test_hard_reads_what_it_picked_and_averages_the_looks_it_took(count_start, data, fusion):
    model = build(count_start=count_start)
    variables = start(model, data, fusion)
    logits, out = evaluate(model, variables, data, fusion, hard=True)
    image, audio, _mask = data
    np.testing.assert_array_equal(out["looks"], np.minimum(T, LENGTHS + count_start))
    for row, length in enumerate(LENGTHS):
        looks = [[bank[row, :length].sum(0) / max(length, 1) for bank in (image, audio)]] * count_start
        for t in np.flatnonzero(np.asarray(out["counted"])[:, row]):
            (i, a), shares = (int(out["picked"][m][t, row]) for m in ("image", "audio")), out["modality"][t, row]
            looks.append([shares[0] * bank[row, i] + shares[1] * bank[row, a] for bank in (image, audio)])
        assert len(looks) == out["looks"][row]
        fused = [FUSION.apply(fusion, *(jnp.asarray(z)[None] for z in look))[0] for look in looks]
        mean = np.mean(fused, 0) if fused else np.zeros(7)
        head = variables["params"]["classifier"]
        np.testing.assert_allclose(logits[row], mean @ head["kernel"] + head["bias"], rtol=1e-3, atol=1e-4)


def test_weights_are_a_distribution_over_what_may_be_picked(data, fusion):
    model = build()
    _, out = evaluate(model, start(model, data, fusion), data, fusion)
    mask = data[2]
    for weights in out["weights"].values():
        left = np.arange(T)[:, None] < LENGTHS
        np.testing.assert_allclose(weights.sum(-1), left, atol=1e-5)
        assert np.all(np.asarray(weights)[:, ~mask] == 0)
    np.testing.assert_allclose(out["modality"].sum(-1), 1, rtol=1e-6)


def test_straight_through_is_hard_forward_and_teaches_keys_and_queries(data, fusion):
    model = build(selection="straight_through", count_start=False)
    variables = start(model, data, fusion)
    logits, _, _, gradients = trained(model, variables, data, fusion)
    for name in ("keys_image", "keys_audio", "query_image", "query_audio", "lstm", "modality"):
        assert all(np.abs(g).max() > 0 for g in jax.tree.leaves(gradients[name])), name
    one_hot = lambda self, weights, picked, train, hard: jax.nn.one_hot(picked, N) * weights.any(-1, keepdims=True)
    hard_only = type("HardOnly", (Skimmer,), {"_read": one_hot})
    how = {"train": True, "mutable": ["batch_stats"]}
    expected = jit(functools.partial(build(hard_only, count_start=False).apply, **how))(variables, *data, fusion)[0]
    np.testing.assert_allclose(logits, expected[0], rtol=1e-4, atol=1e-5)
    soft, hard = (evaluate(model, variables, data, fusion, hard=h)[0] for h in (False, True))
    assert not np.allclose(soft, hard, atol=1e-3)  # evaluation has both


def test_indexing_by_sound_needs_images_only_where_it_looks(data, fusion):
    model = build(index_by="audio")
    variables = start(model, data, fusion)
    assert not {"keys_image", "query_image", "modality"} & set(variables["params"])
    image, audio, mask = data
    logits, out = evaluate(model, variables, data, fusion, hard=True)
    bank = np.zeros_like(image)  # filled look by look, as someone who decodes only chosen frames does
    for t in range(T):
        picked = np.asarray(evaluate(model, variables, (bank, audio, mask), fusion, hard=True)[1]["picked"]["audio"])
        np.testing.assert_array_equal(picked[t], out["picked"]["audio"][t])
        bank[range(4), picked[t]] = image[range(4), picked[t]]
    again, _ = evaluate(model, variables, (bank, audio, mask), fusion, hard=True)
    np.testing.assert_array_equal(again, logits)
    np.testing.assert_array_equal(out["modality"][0], [[0, 1]] * 4)


@pytest.mark.parametrize("count_start", [True, False])
def test_step_logits_are_those_of_shorter_skimming(count_start, data, fusion):
    model = build(count_start=count_start)
    variables = start(model, data, fusion)
    logits, out = evaluate(model, variables, data, fusion)
    np.testing.assert_array_equal(out["step_logits"][-1], logits)
    shorter, _ = evaluate(build(count_start=count_start, steps=2), variables, data, fusion)
    np.testing.assert_allclose(out["step_logits"][1], shorter, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("choices", [CHOICES[0], {"count_start": False, "index_by": "audio"}], ids=names)
def test_hard_selection_at_a_stride_is_that_of_a_video_of_the_taken_positions(choices, data, fusion):
    sparse, dense = build(**choices, stride=2), build(**choices)
    variables = start(sparse, data, fusion)
    taken = [x[:, ::2] for x in data]
    logits, out = evaluate(sparse, variables, data, fusion, hard=True)
    expected, few = evaluate(dense, variables, taken, fusion, hard=True)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)
    for m, picked in out["picked"].items():
        there = np.asarray(few["counted"])
        np.testing.assert_array_equal(np.asarray(picked)[there], 2 * np.asarray(few["picked"][m])[there])
    np.testing.assert_array_equal(out["looks"], np.minimum(T, -(-LENGTHS // 2) + dense.count_start))
    unread = [np.where(np.arange(N)[:, None] % 2, 1e6, x) for x in data[:2]]
    again, _ = evaluate(sparse, variables, (*unread, data[2]), fusion, hard=True)
    np.testing.assert_array_equal(again, logits)


def test_straight_through_at_a_stride_trains_on_what_is_taken(data, fusion):
    sparse, dense = (build(selection="straight_through", count_start=False, stride=s) for s in (2, 1))
    variables = start(sparse, data, fusion)
    mine, oracle = (
        trained(sparse, variables, data, fusion),
        trained(dense, variables, [x[:, ::2] for x in data], fusion),
    )
    assert_close(mine[0], oracle[0])
    assert_close(mine[2:], oracle[2:])


def test_soft_selection_at_a_stride_reads_what_lies_between(data, fusion):
    sparse, dense = build(stride=4), build()
    variables = start(sparse, data, fusion)
    banks = [np.zeros_like(x) for x in data[:2]]
    for (row, length), bank, d in itertools.product(enumerate(LENGTHS[:3]), (0, 1), range(D)):
        at = np.arange(0, length, 4)
        banks[bank][row, :length, d] = np.interp(np.arange(length), at, data[bank][row, at, d])
    mine = evaluate(sparse, variables, data, fusion)
    assert_close(mine, evaluate(dense, variables, (*banks, data[2]), fusion))
    _, out = mine
    assert any(picked % 4 for picked in np.asarray(out["picked"]["image"])[:, 0])


@pytest.mark.parametrize("how", ["hard", "soft", "train"])
def test_another_models_features_judge_what_was_looked_at(how, data, fusion):
    model = build(count_start=False, selection="straight_through")
    other = np.random.default_rng(8).normal(size=(4, N, 4)).astype(np.float32)
    variables = fill(model.init, *data, fusion, other, train=False)
    assert variables["params"]["classifier"]["kernel"].shape == (4, K)
    more = {"train": True, "mutable": ["batch_stats"]} if how == "train" else {"train": False, "hard": how == "hard"}
    answer = jit(functools.partial(model.apply, **more))(variables, *data, fusion, other)
    logits, out = answer[0] if how == "train" else answer
    head = variables["params"]["classifier"]
    for row, length in enumerate(LENGTHS[:3]):
        looks = []
        for t in range(min(T, length)):
            shares = out["modality"][t, row]
            weights = [out["weights"][m][t, row] for m in ("image", "audio")]
            if how != "soft":
                weights = [np.eye(N)[w.argmax()] for w in weights]
            looks.append(sum(s * w for s, w in zip(shares, weights, strict=True)) @ other[row])
        expected = np.mean(looks, 0) @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(logits[row], expected, rtol=1e-3, atol=1e-4)


def test_where_to_look_does_not_hang_on_who_judges(data, fusion):
    model, other = build(count_start=False), np.ones((4, N, 7), np.float32)
    variables = start(model, data, fusion)
    apply = jit(functools.partial(model.apply, train=False, hard=True))
    (_, alone), (_, judged) = apply(variables, *data, fusion), apply(variables, *data, fusion, other)
    for what in ("weights", "picked", "modality"):
        assert_close(alone[what], judged[what])
    with pytest.raises(ValueError, match="count_start=False"):
        build(count_start=True).init(jax.random.key(0), *data, fusion, other, train=False)


def test_pictures_alone(data):
    """A student without sound, and features that nothing fuses."""
    image, audio, mask = data
    nothing = audio[..., :0]
    model, unfused = build(index_by="image", fusion=Unfused()), {"params": {}}
    variables = start(model, (image, nothing, mask), unfused)
    logits, out = evaluate(model, variables, (image, nothing, mask), unfused, hard=True)
    head = variables["params"]["classifier"]
    for row, length in enumerate(LENGTHS[:3]):
        picked = [int(p) for p in out["picked"]["image"][: min(T - 1, length), row]]
        looks = [image[row, :length].mean(0), *image[row, picked]]
        expected = np.mean(looks, 0) @ head["kernel"] + head["bias"]
        np.testing.assert_allclose(logits[row], expected, rtol=1e-4, atol=1e-5)


def test_lstm_is_the_weight_normalised_textbook_cell():
    cell, rng = WeightNormLSTM(3), np.random.default_rng(0)
    x, h, c = (rng.normal(size=(2, n)).astype(np.float32) for n in (4, 3, 3))
    params = cell.init(jax.random.key(0), 4)["params"]
    assert np.all(params["bias"] == 0)
    np.testing.assert_allclose(np.linalg.norm(params["input_direction"], axis=0), params["input_scale"], rtol=1e-6)
    params = {name: rng.normal(size=p.shape).astype(np.float32) for name, p in params.items()}
    matrix = lambda n: params[f"{n}_scale"] * params[f"{n}_direction"] / np.sqrt((params[f"{n}_direction"] ** 2).sum(0))
    i, f, g, o = np.split(x @ matrix("input") + h @ matrix("hidden") + params["bias"], 4, -1)
    sigmoid = lambda z: 1 / (1 + np.exp(-z))
    after = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    mine = lstm_step(cell.apply({"params": params}, 4), x, h, c)
    assert_close(mine, (sigmoid(o) * np.tanh(after), after))


def test_released_size():
    model = Skimmer(200, Fusion())
    bank, mask = jax.ShapeDtypeStruct((2, 50, 512), jnp.float16), jax.ShapeDtypeStruct((2, 50), bool)
    row = jax.ShapeDtypeStruct((2, 512), jnp.float32)
    fusion = jax.eval_shape(lambda x: Fusion().init(jax.random.key(0), x, x), row)
    run = lambda *x: model.init_with_output(jax.random.key(0), *x, train=False)
    (logits, _), variables = jax.eval_shape(run, bank, bank, mask, fusion)
    assert (logits.shape, logits.dtype) == ((2, 200), jnp.float32)
    assert jax.tree.map(lambda x: x.shape, variables["params"]["query_image"]) == {
        "linear": {"kernel": (1024, 1024), "bias": (1024,)},
        "norm": {"scale": (1024,), "bias": (1024,)},
        "output": {"kernel": (1024, 512), "bias": (512,)},
    }
    assert variables["params"]["lstm"]["hidden_direction"].shape == (1024, 4096)
    assert variables["params"]["keys_audio"]["linear"]["kernel"].shape == (512, 512)


def test_unknown_choices_list_the_known_ones(data, fusion):
    for choice, message in (
        ({"selection": "best"}, "soft, straight_through"),
        ({"index_by": "x"}, "both, image, audio"),
    ):
        with pytest.raises(ValueError, match=message):
            build(**choice).init(jax.random.key(0), *data, fusion, train=False)
