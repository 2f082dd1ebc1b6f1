"""Trains the clip teacher, R(2+1)D, on labelled clips.

    python -m l2l.main --config=configs/teacher.py          # built-in set
    python -m l2l.main --config=configs/teacher.py:kinetics400

The paper takes a Kinetics teacher as given; the recipe of the full-size variants follows torchvision's video reference.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from configs.common import small_clips, variant_of


def sample(c: ConfigDict) -> None:
    """R(2+1)D of width 8 on 8 frames of 48 pixels."""
    small_clips(c, "data/sample/source", frames=8)
    c.run = "runs/sample/teacher"
    c.model = ConfigDict({"name": "r2plus1d", "width": 8, "stages": (1, 1, 1, 1), "remat": False})
    c.optim.lr, c.epochs = 4e-3, 12.0
    c.eval_epochs, c.save_epochs = 4.0, 4.0


def full(c: ConfigDict) -> None:
    """R(2+1)D-18 on 16 frames of 112 pixels."""
    c.model = ConfigDict({"name": "r2plus1d", "width": 64, "stages": (2, 2, 2, 2), "remat": False})
    c.data.mean, c.data.std = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
    c.data.batch, c.data.eval_batch = 256, 256
    c.optim.lr, c.optim.warmup_epochs = 0.1, 10.0
    c.optim.schedule, c.optim.milestones = "milestones", (20, 30, 40)
    c.epochs = 45.0


def of_data_set(name: str) -> Callable[[ConfigDict], None]:
    """A full-size variant that reads data/NAME and writes runs/NAME/teacher."""

    def change(c: ConfigDict) -> None:
        full(c)
        c.data.dir, c.run = f"data/{name}", f"runs/{name}/teacher"

    return change


VARIANTS = {"sample": sample} | {
    name: of_data_set(name) for name in ("kinetics400", "kinetics_sounds", "ucf101", "activitynet")
}


def get_config(variant: str = "sample") -> ConfigDict:
    return variant_of(variant, VARIANTS)
