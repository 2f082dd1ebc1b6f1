"""Clips with a teacher's answers beside them: the teacher's features and logits of every clip, float16, kept as shards.

There is one shard of answers per clip shard, its records in the same order: reading goes through both files at once,
so that answers are never looked up, and order, shuffling and resuming are those of the clips.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from l2l.data import faults, features, schema
from l2l.data.clips import ClipReader, Example, parse
from l2l.data.tensorflow import tf

KEY = ("video_id", "clip")  # of a clip
CURE = "delete it, and the same command asks the teacher again"


def encode(answer: dict[str, Any]) -> bytes:
    """video_id, clip, clips, feature (d,), logits (k,) -> a serialised teacher record.

    Raises:
      ValueError: an answer is not finite, or too large for float16.
    """
    with np.errstate(over="ignore"):  # it is told below
        small = {name: np.asarray(answer[name]).astype("<f2") for name in ("feature", "logits")}
    for name, value in small.items():
        if not np.isfinite(value).all():
            raise ValueError(
                f"the teacher's {name} of clip {answer['clip']} of {answer['video_id'].decode()} cannot be kept: it "
                "is not finite in float16; mend the teacher, or distil with --config.cache_teacher=False"
            )
    values = {"video_id": [answer["video_id"]]} | {name: [int(answer[name])] for name in ("clip", "clips")}
    return features.serialise(values | {k: [v.tobytes()] for k, v in small.items()}, schema.TEACHER_RECORD)


def describe_shard(path: Path, clips: schema.Shard) -> schema.Shard:
    """What the index says of a shard of answers to the clips of another.

    Raises:
      ShardError: it cannot be read, or holds more or fewer records than the clips.
    """
    try:
        found = features.describe_shard(path)
    except schema.ShardError as error:
        raise schema.ShardError(f"{str(error).removesuffix(faults.CURE)}{CURE}") from error
    if found.records != clips.records:
        raise schema.ShardError(f"{path} holds {found.records} answers to {clips.records} clips: {CURE}")
    return dataclasses.replace(found, videos=clips.videos)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaughtReader(ClipReader):
    """Decodes a clip record and the teacher record beside it: (2,) serialised.

    Attributes:
      feature, logits: how many values the teacher's answers have.
    """

    feature: int
    logits: int

    def train(self, raw: tf.Tensor, seed: tf.Tensor, shared: tf.Tensor) -> Example:
        """As a clip's, with teacher_feature float16 (d,) and teacher_logits float16 (k,), which nothing augments."""
        return super().train(raw[0], seed, shared) | self._answer(raw)

    def eval(self, raw: tf.Tensor, own: tf.Tensor) -> Example:
        """As a clip's, with the same two."""
        return super().eval(raw[0], own) | self._answer(raw)

    def _answer(self, raw: tf.Tensor) -> Example:
        clip = parse(raw[0], {name: schema.CLIP_RECORD[name] for name in KEY})
        answer = parse(raw[1], schema.TEACHER_RECORD)
        same = tf.reduce_all([clip[name] == answer[name] for name in KEY])
        named = [x[name] for x in (clip, answer) for name in KEY]
        tf.debugging.Assert(same, ["the teacher's answer is to another clip: this one, then that one", *named])
        half = lambda name, width: tf.ensure_shape(tf.io.decode_raw(answer[name], tf.float16), [width])
        return {"teacher_feature": half("feature", self.feature), "teacher_logits": half("logits", self.logits)}
