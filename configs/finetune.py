"""Fine-tunes the distilled student on labelled clips of the target set.

    python -m l2l.main --config=configs/finetune.py          # built-in set
    python -m l2l.main --config=configs/finetune.py:activitynet

Without distillation, for comparison: --config.init= (nothing), and another --config.run.

The variant features is for features that somebody else made: it trains what stands on them, each position labelled with
its video's classes, and needs no pixels: --config.data.dir=DIR --config.run=RUN.

The variant closer makes a student for looking closer, see configs/skim.py: fine-tuned on parts of pictures as well.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from configs.common import full_student, small_clips, small_student, variant_of


def sample(c: ConfigDict) -> None:
    """The small student on few labelled target clips."""
    small_clips(c, "data/sample/trimmed", frames=1)
    c.run, c.init = "runs/sample/finetune", "runs/sample/distill"
    c.model = small_student()
    c.optim.lr, c.epochs, c.eval_epochs, c.save_epochs = 5e-4, 12.0, 0.0, 0.0
    c.best, c.log_every = "", 10


def closer(c: ConfigDict) -> None:
    """The student with a preview, on small, far-away actions; it describes 5 x 5 regions of a picture.

    It sees the whole square of 128 pixels, scaled down to 48; the random zoom goes down to parts of 48, unscaled.
    """
    sample(c)
    c.data.dir, c.run, c.init = "data/sample/far_clips", "runs/sample/finetune_closer", "runs/sample/preview"
    c.model.update({"preview": 8, "regions": 5})
    c.data.resize, c.data.scale = c.data.crop, 0.375
    c.optim.lr, c.epochs, c.log_every = 1e-3, 16.0, 50


def features(c: ConfigDict) -> None:
    """Fusion and classifier alone, on the positions of data/features, see data_prep/features.py."""
    c.data.dir, c.run = "data/features", "runs/features/finetune"
    c.model = ConfigDict({"name": "fusion", "image": 0, "audio": 0, "feature": 512, "dropout": 0.5})
    c.data.lengths, c.data.batch = (256,), 64
    c.optim.name, c.optim.lr, c.optim.weight_decay = "adamw", 1e-3, 1e-3
    c.epochs = 20.0


def full(name: str) -> Callable[[ConfigDict], None]:
    """The paper's student on data/NAME with a fresh classifier; the paper does not give its schedule."""

    def change(c: ConfigDict) -> None:
        c.data.dir, c.run, c.init = f"data/{name}", f"runs/{name}/finetune", "runs/kinetics400/distill"
        c.init_skip = (".*classifier/.*",)
        c.model = full_student()
        c.data.frames, c.data.batch, c.data.eval_batch = 1, 256, 256
        c.optim.schedule, c.optim.milestones = "milestones", (20, 30)
        c.epochs = 40.0

    return change


VARIANTS = {"sample": sample, "closer": closer, "features": features} | {
    name: full(name) for name in ("kinetics_sounds", "ucf101", "activitynet", "mini_sports1m")
}


def get_config(variant: str = "sample") -> ConfigDict:
    return variant_of(variant, VARIANTS)
