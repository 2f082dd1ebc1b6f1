"""Distils the student's audio trunk into a preview of it, small enough to run over whole sound tracks.

    python -m l2l.main --config=configs/preview.py          # built-in set
    python -m l2l.main --config=configs/preview.py:activitynet

The run is a student that hears through the preview: configs/extract.py:listen describes videos with it, and
configs/skim.py:listen learns to choose moments by what it hears. Labels are not used.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from configs.common import full_student, small_clips, small_student, variant_of


def sample(c: ConfigDict) -> None:
    """Width 8 on every second of the untrimmed training videos."""
    small_clips(c, "data/sample/untrimmed", frames=1)
    c.task, c.best = "preview", "agree"
    c.run, c.teacher = "runs/sample/preview", "runs/sample/finetune"
    c.model = ConfigDict(small_student().to_dict() | {"preview": 8})
    c.data.batch, c.optim.lr, c.optim.warmup_epochs = 64, 4e-3, 0.1
    whole_tracks(c)
    keep_student(c)
    c.epochs, c.eval_epochs, c.save_epochs = 8.0, 0.0, 0.0


def full(name: str) -> Callable[[ConfigDict], None]:
    """Width 32, 0.014 GMAC a second, on the clips of data/NAME_videos; our schedule."""

    def change(c: ConfigDict) -> None:
        c.task, c.best = "preview", "agree"
        c.data.dir, c.run, c.teacher = f"data/{name}_videos", f"runs/{name}/preview", f"runs/{name}/finetune"
        c.model = ConfigDict(full_student().to_dict() | {"preview": 32})
        c.data.frames, c.data.batch, c.data.eval_batch = 1, 256, 256
        c.optim.name, c.optim.lr, c.optim.weight_decay, c.optim.warmup_epochs = "adamw", 2e-3, 1e-3, 0.1
        whole_tracks(c)
        keep_student(c)
        c.epochs = 4.0

    return change


def whole_tracks(c: ConfigDict) -> None:
    """Every second of every video; it is to be heard wherever the skimmer listens."""
    c.data.draw = "clip"
    c.data.shuffle = 8192  # clips of one video lie side by side: batches of them would have statistics of their own


def keep_student(c: ConfigDict) -> None:
    """Nothing but the preview is trained, and what it is to imitate is the descriptor more than the answers."""
    c.optim.lr_scale = (("(image|fusion|classifier)/.*", 0.0),)
    c.distill_weight = 1.0


VARIANTS = {"sample": sample} | {name: full(name) for name in ("activitynet", "mini_sports1m")}


def get_config(variant: str = "sample") -> ConfigDict:
    return variant_of(variant, VARIANTS)
