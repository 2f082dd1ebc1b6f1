"""Writes a clip model's descriptors (a student's of image and sound, a teacher's feature) of every clip of every video.

    python -m l2l.main --config=configs/extract.py          # built-in set
    python -m l2l.main --config=configs/extract.py:activitynet

VARIANT_listen (of the sample: listen) hears through the preview of configs/preview.py. The variant closer describes,
with the student of configs/finetune.py:closer, the regions of every picture as well.

Another clip model, whose clips may have more frames: --config.student=RUN --config.data.dir=DIR --config.run=FOLDER.
"""

from collections.abc import Callable

from ml_collections import ConfigDict

from configs.common import SAMPLE_MAKERS, variant_of


def sample(c: ConfigDict) -> None:
    """Untrimmed videos, one position a second."""
    c.mode, c.makers = "extract", SAMPLE_MAKERS
    c.data.dir, c.run, c.student = "data/sample/untrimmed", "runs/sample/extract", "runs/sample/finetune"
    c.data.eval_batch = 128


def full(name: str) -> Callable[[ConfigDict], None]:
    """Whole videos of data/NAME_videos with the student that was fine-tuned on data/NAME."""

    def change(c: ConfigDict) -> None:
        c.mode = "extract"
        c.data.dir, c.run, c.student = f"data/{name}_videos", f"runs/{name}/extract", f"runs/{name}/finetune"
        c.data.eval_batch = 512

    return change


def listen(extract: Callable[[ConfigDict], None]) -> Callable[[ConfigDict], None]:
    """The features of the same videos, from the student that hears through its preview."""

    def change(c: ConfigDict) -> None:
        extract(c)
        c.run, c.student = f"{c.run}_listen", c.student.replace("finetune", "preview")

    return change


def closer(c: ConfigDict) -> None:
    """Untrimmed videos of small, far-away actions."""
    sample(c)
    c.data.dir, c.run, c.student = "data/sample/far", "runs/sample/extract_closer", "runs/sample/finetune_closer"


VARIANTS = {"sample": sample} | {name: full(name) for name in ("activitynet", "mini_sports1m")}
VARIANTS |= {"closer": closer, "listen": listen(sample)}
VARIANTS |= {f"{v}_listen": listen(VARIANTS[v]) for v in ("activitynet", "mini_sports1m")}


def get_config(variant: str = "sample") -> ConfigDict:
    return variant_of(variant, VARIANTS)
