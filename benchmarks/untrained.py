"""Full-size runs with random weights, for measuring what looking at films costs."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from l2l.runs import run_folder
from l2l.runs.config import plain
from l2l.tasks import from_config

CLASSES = 200
POLICY = {"frames": 1, "stride": 1, "fps": None, "hop": 0.53, "hop_frames": None, "short_side": 128, "width": None}
POLICY |= {"quality": 90, "clips": 0, "audio": True}


def write(path: Path, config: Any, variables: dict[str, Any], student: Any = None) -> Path:
    """A finished run folder."""
    record: dict[str, Any] = {"config": plain(config), "inputs": {}, "policy": POLICY}
    record |= {"labels": [f"class {i}" for i in range(CLASSES)], "student": student and plain(student)}
    run_folder.start(path, record)
    run_folder.finish(path, variables, {}, 0)
    return path


def clip_variables(config: Any) -> dict[str, Any]:
    """Random variables of a clip model."""
    size = config.data.crop
    batch = {"frames": np.zeros((1, 1, size, size, 3), np.uint8), "audio": np.zeros((1, 16_000), np.int16)}
    return jax.device_get(jax.jit(from_config.clip_task(plain(config), CLASSES).init)(jax.random.key(0), batch, {}))


def skimmer(path: Path, config: Any, student: Any, described: dict[str, Any]) -> Path:
    """A finished skim run over the descriptors of a student with these variables."""
    task = from_config.skim_task(plain(config), CLASSES, plain(student))
    bank = np.zeros((2, 8, 512), np.float16)
    batch = {"image": bank, "audio": bank, "valid": np.ones((2, 8), bool), "has_audio": np.ones(2, bool)}
    batch |= {"labels": np.zeros((2, CLASSES), np.float32)}
    fresh = jax.jit(task.init)(jax.random.key(0), batch, from_config.skim_frozen(described))
    return write(path, config, {"model": jax.device_get(fresh), "student": described}, student)
