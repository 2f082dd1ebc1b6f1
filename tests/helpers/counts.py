"""Multiply-adds that tests begin with."""

from collections.abc import Mapping
from typing import Any

from l2l.evaluate.model_macs import clip_counts
from l2l.models.student import Student


def student_counts(size: int, **numbers: Any) -> Mapping[str, int]:
    """Of a student on an image of `size` pixels and a second of sound: "image", "audio", "feature" and "logits"."""
    return clip_counts(Student(**{"num_classes": 400} | numbers), 1, size)


def fusion_macs(inputs: int = 1024, feature: int = 512) -> int:
    """Of the two linear layers over concatenated descriptors."""
    return inputs * 1024 + 1024 * feature
