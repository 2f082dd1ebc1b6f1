"""The models by name."""

from typing import Any

import flax.linen as nn

from l2l.models.backbones.i3d import I3D
from l2l.models.backbones.r2plus1d import R2Plus1D
from l2l.models.baselines import NonRecurrent, VideoLSTM
from l2l.models.fusion_only import FusionOnly
from l2l.models.glance import Glance
from l2l.models.skimmer import Skimmer
from l2l.models.student import Student

# Over features of whole videos.
VIDEO_MODELS = {"skimmer": Skimmer, "glance": Glance, "lstm": VideoLSTM, "nonrecurrent": NonRecurrent}
MODELS = {"r2plus1d": R2Plus1D, "i3d": I3D, "student": Student, "fusion": FusionOnly} | VIDEO_MODELS


def get(name: str, **kwargs: Any) -> nn.Module:
    """Builds a model.

    Raises:
      ValueError: no such model.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; choose from {', '.join(sorted(MODELS))}")
    return MODELS[name](**kwargs)
