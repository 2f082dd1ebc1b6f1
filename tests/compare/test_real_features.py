"""Films composed of recordings: what is taken, what lies inside, and that no container is on two sides of a split."""

import json

import numpy as np
import pytest

from benchmarks import real_features


@pytest.fixture
def folder(tmp_path):
    """Two pours of each class and three empty handlings for every container, each of 5 rows of pictures."""
    arrays, rows = {}, []
    kinds = [(filling, level) for filling in (1, 2, 3) for level in (1, 2)] * 2 + [(0, 0)] * 3
    for container in range(1, 10):
        for i, (filling, level) in enumerate(kinds):
            name = f"C{container}_{i}"
            arrays[f"{name}/c1"] = np.full((5, 3), container, np.float16)
            arrays[f"{name}/audio"] = np.arange(3, dtype=np.float16)[:, None]
            rows.append([name, container, 0, filling, level, 0, 0])
    rows += [["not published", 10, 0, -1, -1, 0, 0], ["no sound", 1, 0, 0, 0, 0, 0]]
    np.savez(tmp_path / real_features.FEATURES, **arrays)
    (tmp_path / real_features.LABELS).write_text(json.dumps({"rows": rows}))
    return tmp_path


def test_recordings_take_the_sound_that_is_nearest(folder):
    found = real_features.recordings(folder)
    assert len(found) == 9 * 15
    # Pictures lie at 0.27, 0.8, 1.33, 1.87 and 2.4 s, the sound at 0.48, 1.44 and 2.4 s.
    assert found[0].audio[:, 0].tolist() == [0, 0, 1, 1, 2]
    assert [r.label for r in found[:15]] == [0, 1, 2, 3, 4, 5] * 2 + [-1] * 3


def test_a_film_has_one_pour_among_empty_handlings(folder):
    own = real_features.recordings(folder)
    films = real_features.compose(own, 20, seed=0)
    for film in films:
        assert sum(part.label >= 0 for part in film) == 1
        assert 7 <= len(film) <= 10
    videos = real_features.stacked(films)
    for i, film in enumerate(films):
        at = next(place for place, part in enumerate(film) if part.label >= 0)
        assert np.flatnonzero(videos["inside"][i]).tolist() == list(range(5 * at, 5 * at + 5))
        assert videos["labels"][i].argmax() == film[at].label
        assert videos["valid"][i].sum() == 5 * len(film)
    again = real_features.compose(own, 20, seed=0)
    assert [[p.container for p in film] for film in again] == [[p.container for p in film] for film in films]


@pytest.mark.parametrize("last", ["val", "test"])
def test_no_container_is_on_both_sides(folder, last, monkeypatch):
    monkeypatch.setattr(real_features, "FILMS", {"train": 12, "val": 6, "test": 6})
    seen = []
    compose = real_features.compose
    monkeypatch.setattr(real_features, "compose", lambda own, *more: seen.append(own) or compose(own, *more))
    groups = real_features.groups_of(folder, ("train", last))
    for fold, group in enumerate(groups):
        learned, asked = ({r.container for r in own} for own in seen[2 * fold : 2 * fold + 2])
        assert not learned & asked
        assert not (learned | asked if last == "val" else learned) & {*real_features.FOLDS[fold]}
        assert group["own"].splits.keys() == {"train", last}
        rows = group["own"].splits["train"]
        np.testing.assert_allclose(rows["image"][rows["valid"]].mean(0), 0, atol=1e-3)
