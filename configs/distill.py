"""Distils the teacher into a student that sees one frame and hears one second of sound (section 3.1 of the paper).

    python -m l2l.main --config=configs/distill.py          # built-in set; makes data and teacher first
    python -m l2l.main --config=configs/distill.py:kinetics400

The second starts from imported trunks (`python -m l2l.import_weights --help`); from nothing: --config.init=
One modality: --config.model.modality=image (or audio).
"""

from ml_collections import ConfigDict

from configs.common import full_student, small_clips, small_student, variant_of


def sample(c: ConfigDict) -> None:
    """A student of width 8 from the small teacher."""
    c.task = "distill"
    small_clips(c, "data/sample/source", frames=8)
    c.run, c.teacher = "runs/sample/distill", "runs/sample/teacher"
    c.model = small_student()
    c.optim.lr, c.epochs = 2e-3, 10.0
    c.eval_epochs, c.save_epochs = 5.0, 5.0


def kinetics400(c: ConfigDict) -> None:
    """The paper's sizes, both trunks started from ImageNet; it does not give its schedule, this one is ours."""
    c.task = "distill"
    c.data.dir, c.run, c.teacher = "data/kinetics400", "runs/kinetics400/distill", "runs/kinetics400/teacher"
    c.init = "runs/imagenet/image,runs/imagenet/audio"
    c.model = full_student()
    c.data.batch, c.data.eval_batch, c.data.streams = 256, 256, 32
    c.optim.lr, c.optim.warmup_epochs = 0.01, 1.0
    c.optim.schedule, c.optim.milestones = "milestones", (20, 40)
    c.epochs = 45.0


VARIANTS = {"sample": sample, "kinetics400": kinetics400}


def get_config(variant: str = "sample") -> ConfigDict:
    return variant_of(variant, VARIANTS)
