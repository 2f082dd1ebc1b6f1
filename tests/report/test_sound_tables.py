"""Tables of other sound, and of looking closer, against plain computation."""

import numpy as np
import pytest

from l2l.core import atomic
from l2l.report.tables import formats
from l2l.runs import run_folder
from l2l.runs.run_folder import RunError
from tests.helpers import tables_runs
from tests.helpers.tables_runs import SEEDS, SMALL


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """Skimmers by sound, tried with other sound, and by both, which were not; a folder."""
    out, rng = tmp_path_factory.mktemp("tried"), np.random.default_rng(2)
    by_sound = {"model__index_by": "audio", "described_by": "preview.py"}
    for seed in SEEDS:
        for name, change in (("sound", by_sound), ("both", {})):
            path = tables_runs.finished(out / name / str(seed), "skim.py", {}, seed=seed, **SMALL, **change)
            tables_runs.curves(path, rng)
        path = out / "sound" / str(seed)
        trials = {t: {"hard": rng.uniform(), "uniform": rng.uniform()} for t in ("as it is", "swapped")}
        atomic.write_json(path / "sound_trials.json", {"run": run_folder.hash_at(path), "trials": trials})
    return out


BY_SOUND = "straight-through, index by audio, preview of width 8, looks weighed"


def test_other_sound(tried):
    out = tried
    (table,), _ = formats.build("sound", [out])
    trials = [run_folder.read_json(out / "sound" / str(s) / "sound_trials.json")["trials"]["swapped"] for s in SEEDS]
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
