"""The paper's sizes, from imported weights: two real steps of distillation in a process of its own."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy

from l2l import import_weights
from l2l.models.backbones.resnet import STAGES
from l2l.runs import fits
from l2l.weights import i3d_names, published, torch_names
from tests.golden import generator
from tests.helpers import shards, xla

ROOT = Path(__file__).parents[2]
GIB = 2**30


def save(path, rows, shapes, **more):
    """A file with generated weights under torch's names."""
    zeros = jax.tree.map(lambda x: np.broadcast_to(np.float32(0), x.shape), shapes)
    names = {name: x.shape for name, x in torch_names.from_variables(zeros, rows).items()}
    safetensors.numpy.save_file(generator.weights(names | more), path)
    return str(path)


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("L2L_SOAK"), reason="takes long: make soak")
def test_distillation_at_full_size_from_imported_weights(tmp_path):
    teacher = fits.clip_shapes(published.config_of("configs/teacher.py:kinetics400"), 400)
    student = fits.clip_shapes(published.config_of("configs/distill.py:kinetics400"), 400)
    file = save(tmp_path / "r2plus1d.safetensors", torch_names.r2plus1d(), teacher)
    assert import_weights.main([file, "--model=r2plus1d_18", f"--out={tmp_path / 'teacher'}"]) == 0
    trunk = fits.only(student, ("(params|batch_stats)/image/.*",))
    head = {"fc.weight": (1000, 512), "fc.bias": (1000,)}
    file = save(tmp_path / "resnet.safetensors", torch_names.trunk("image", STAGES), trunk, **head)
    for modality in ("image", "audio"):
        assert import_weights.main([file, f"--model=resnet18_{modality}", f"--out={tmp_path / modality}"]) == 0
    labels = i3d_names.labels()
    splits = {"train": 2, "val": 1}
    data = shards.clip_directory(tmp_path / "clips", videos=splits, shards=1, frames=16, size=128, labels=labels)
    numbers = {
        "run": tmp_path / "run",
        "data.dir": data,
        "teacher": tmp_path / "teacher",
        "init": f"{tmp_path / 'image'},{tmp_path / 'audio'}",
        "data.batch": 1,
        "data.eval_batch": 1,
        "data.streams": 1,
        "epochs": 1.0,
        "log_every": 1,
    }
    flags = [f"--config.{key}={value}" for key, value in numbers.items()]
    command = [sys.executable, "-m", "l2l.main", "--config=configs/distill.py:kinetics400", *flags]
    environment = os.environ | {"XLA_FLAGS": xla.flags(1)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=600)
    steps = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [x["train/loss"] for x in steps if "train/loss" in x]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < 8 * GIB
