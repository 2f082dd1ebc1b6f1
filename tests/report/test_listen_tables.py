"""Tables of listening first, of other sound, and of looking closer, against plain computation."""

import numpy as np
import pytest

from l2l.core import atomic
from l2l.report.tables import formats
from l2l.runs import run_folder
from l2l.runs.run_folder import RunError
from tests.helpers import tables_runs
from tests.helpers.tables_runs import SEEDS, SMALL, SOFT, at


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    """The paper's method, straight-through, and listening first, with made-up results; (folder, curves, sure files)."""
    out, rng, found, sures = tmp_path_factory.mktemp("listening"), np.random.default_rng(2), {}, {}
    arms = {"soft": ("skim.py", SOFT), "both": ("skim.py", {"model__weigh": False})}
    arms["listen"] = ("skim.py:listen", {"described_by": "preview.py"})
    for seed in SEEDS:
        for name, (file, change) in arms.items():
            path = tables_runs.finished(out / name / str(seed), file, {}, seed=seed, **SMALL, **change)
            found[name, seed] = tables_runs.curves(path, rng)
        sures[seed] = tables_runs.sure(path, rng)
        trials = {t: {"hard": rng.uniform(), "uniform": rng.uniform()} for t in ("as it is", "swapped")}
        atomic.write_json(path / "sound_trials.json", {"run": run_folder.hash_at(path), "trials": trials})
    return out, found, sures


BY_SOUND = "straight-through, index by audio, preview of width 8, looks weighed"


def test_listening_first_beside_everything_else(listening):
    out, curves, sures = listening
    (table,), _ = formats.build("listen", [out])
    rows = {row.name: row for row in table.rows}
    expected = {
        f"{BY_SOUND}, hard, T = {t}": [at(curves["listen", s], "hard", 1, t) for s in SEEDS] for t in range(1, 5)
    }
    expected |= {
        f"{name}, {how}, s = {stride}": [at(curves[arm, s], how, stride, 4) for s in SEEDS]
        for arm, name, how in (("soft", "soft, start counted", "soft"), ("both", "straight-through", "hard"))
        for stride in (1, 5, 10)
    }
    expected[f"{BY_SOUND}, stops when sure"] = [sures[s]["test"] for s in SEEDS]
    chosen = lambda s, name, t: next(p for p in curves["both", s]["selections"] if (p["way"], p["steps"]) == (name, t))
    for name, words in (("uniform", "uniform"), ("confident", "most confident (SCSampler's idea)")):
        expected |= {f"{words}, T = {t}": [chosen(s, name, t) for s in SEEDS] for t in range(1, 5)}
    expected["dense, all positions"] = [chosen(s, "dense", 4) for s in SEEDS]
    assert rows.keys() == expected.keys()
    for name, points in expected.items():
        assert list(rows[name].values["top1"].values()) == pytest.approx([100 * p["top1"] for p in points]), name
        assert list(rows[name].values["gmacs"].values()) == pytest.approx([p["gmacs"] for p in points])
    mean = {name: [np.mean([p[key] for p in points]) for key in ("gmacs", "top1")] for name, points in expected.items()}
    best = {name: max(m[1] for m in mean.values() if m[0] <= own[0]) for name, own in mean.items()}
    for name, row in rows.items():
        assert row.mean("below") == pytest.approx(100 * (best[name] - mean[name][1]), abs=1e-9)
    upper = [name for name in mean if best[name] == mean[name][1]]
    foreign = [name for name in upper if not name.startswith(BY_SOUND)]
    assert table.text.startswith(f"{len(upper)} of {len(rows)} rows lie on the upper envelope, ")
    assert set(table.text.partition("listening first: ")[2].partition(". ")[0].split("; ")) == set(foreign)
    assert [x.name for x in table.charts[0].series][-1] == "upper envelope"


def test_listening_first_is_compared_with_both_modalities(listening):
    out, curves, _ = listening
    (table,), _ = formats.build("listen", [out])
    ours, both = ([at(curves[name, s], "hard", 1, 4) for s in SEEDS] for name in ("listen", "both"))
    loss, cost = table.claims[-2:]
    assert loss.text.startswith(f"{BY_SOUND}, hard, T = 4 at most a point below straight-through, hard, s = 1")
    assert loss.differences == pytest.approx([100 * (a["top1"] - b["top1"]) for a, b in zip(ours, both, strict=True)])
    assert cost.differences == pytest.approx([100 * a["gmacs"] / b["gmacs"] for a, b in zip(ours, both, strict=True)])
    assert (loss.low, cost.high) == (-1.0, 25.0)
    for one in table.claims[:-2]:
        mine, _, other = one.text.removesuffix(", which costs no less").partition(" above ")
        rows = {row.name: row for row in table.rows}
        assert rows[mine].mean("gmacs") <= rows[other].mean("gmacs")
        assert one.mean == pytest.approx(rows[mine].mean("top1") - rows[other].mean("top1"))
    with pytest.raises(RunError, match="choose by sound"):
        formats.build("listen", [out / "both"])


def test_other_sound(listening):
    out = listening[0]
    (table,), _ = formats.build("sound", [out])
    trials = [run_folder.read_json(out / "listen" / str(s) / "sound_trials.json")["trials"]["swapped"] for s in SEEDS]
    row = next(row for row in table.rows if row.name == f"{BY_SOUND}: swapped")
    assert list(row.values["hard"].values()) == pytest.approx([100 * t["hard"] for t in trials])
    one = next(c for c in table.claims if c.text == f"{BY_SOUND}: swapped: above uniform")
    assert one.differences == pytest.approx([100 * (t["hard"] - t["uniform"]) for t in trials])
    with pytest.raises(RunError, match="python -m l2l.sound_trials"):
        formats.build("sound", [out / "both"])


def test_closer(tmp_path):
    rng, kept = np.random.default_rng(2), {}
    arms = {"closer": {}, "none": {"model__closer": ""}, "more": {"model__closer": "", "model__steps": 2}}
    for seed in SEEDS:
        for arm, change in arms.items():
            path = tmp_path / f"{arm}/{seed}"
            numbers = {"model__steps": 4} | change
            tables_runs.finished(path, "skim.py:closer", {}, seed=seed, described_by="finetune.py:closer", **numbers)
            kept[arm, seed] = tables_runs.curves(path, rng)["points"]
    (table,), _ = formats.build("closer", [tmp_path])
    names = ["one glance, 4 looks", "one glance, 2 looks", "closer where the state says, 4 looks"]
    names = [f"{name}, 48 pixels" for name in (*names, "closer where the state says, 2 looks")]
    rows = {row.name: row for row in table.rows}
    assert set(rows) == set(names)
    at = lambda arm, steps: [
        100 * next(p["top1"] for p in kept[arm, s] if (p["way"], p["stride"], p["steps"]) == ("hard", 1, steps))
        for s in SEEDS
    ]
    for name, (arm, steps) in zip(names, (("none", 4), ("more", 2), ("closer", 4), ("closer", 2)), strict=True):
        assert list(rows[name].values["top1"].values()) == pytest.approx(at(arm, steps))
    assert {c.text for c in table.claims} == {f"{names[2]} above {other}" for other in names[:2]}
