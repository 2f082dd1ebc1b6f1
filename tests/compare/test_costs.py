"""Multiply-adds of arms, summed by hand."""

import dataclasses

import numpy as np
import pytest

from l2l.compare import costs
from l2l.compare.arms import Arm
from l2l.compare.study import GLANCE, judge
from l2l.models.student import Fusion
from l2l.runs.config import load_config, plain
from tests.compare.made import CLASSES, made
from tests.helpers.counts import fusion_macs, student_counts

WIDTHS = {"image": 64, "audio": 64}
PICTURE, SOUND = (student_counts(48, width=8, stages=(1, 1, 1, 1))[m] for m in ("image", "audio"))
FUSE, HEAD = fusion_macs(128, 64), 64 * CLASSES
JUDGE, LISTENER = 2 * 128 * 128 + 128, 130 * 64 + 9 * 64**2 + 64  # a sampler is as wide as a glance, a judge wider


@pytest.fixture(scope="module")
def features():
    config = plain(load_config("configs/finetune.py"))
    found = dataclasses.replace(made(), config=config, fusion=Fusion(64))
    for videos in found.splits.values():
        videos["has_audio"] = np.ones_like(videos["has_audio"])
    return found


@pytest.mark.parametrize("kind", ["scores", "pooled", "judge"])
@pytest.mark.parametrize("selection", ["uniform", "confident", "sampler", "dense"])
def test_what_is_chosen_and_read(features, kind, selection):
    """Whichever of its answers is meant: it has one."""
    videos = features.splits["test"]
    count, read = (n.mean() for n in (videos["valid"].sum(1), np.minimum(videos["valid"].sum(1), 4)))
    look, own = PICTURE + SOUND + FUSE + HEAD, JUDGE if kind == "judge" else 0
    wanted = {
        "uniform": read * (look + own),
        "confident": count * look + read * own,
        "sampler": count * (SOUND + LISTENER) + read * (look - SOUND + own),
        "dense": count * (look + own),
    }[selection]
    arm = Arm("a", kind, selection=selection, count=4, model=judge() if kind == "judge" else {})
    for whole in (False, True):
        assert costs.gmacs(arm, features, videos, 4, whole=whole) == pytest.approx(wanted / 1e9)


def test_a_glance_by_sound(features):
    videos = features.splits["test"]
    lengths = videos["valid"].sum(1)
    arm = Arm("g", "glance", model=GLANCE | {"listens": "audio", "stride": 5})
    read = np.minimum(lengths, 4)
    own = 2 * 128 * 64 + 64
    wanted = np.mean(lengths * (SOUND + LISTENER) + read * (PICTURE + FUSE + own)) + HEAD
    assert costs.gmacs(arm, features, videos, 4) == pytest.approx(wanted / 1e9)


def test_nobody_knows_the_cost_of_features_without_a_network():
    assert costs.gmacs(Arm("g", "glance", model=GLANCE), made(), made().splits["test"], 4) is None
