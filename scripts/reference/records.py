"""docs/reference/records.md: what a directory of shards holds, from l2l/data/schema.py and the tables of rules."""

from collections.abc import Mapping

from l2l.core.rules import Rule
from l2l.data import schema
from l2l.data.index_rules import INDEX, LATER
from l2l.media.policy import POLICY, ClipPolicy
from scripts.reference.markdown import attributes, escaped, json_rule, page, table

MANY = {1: "one", None: "any number"}
HEAD = ("field", "stored as", "meaning")
INTRODUCTION = """\
A directory of shards has TFRecord files named `KIND-SPLIT.tfrecord-00000-of-00008`, an `index.json`, and, of clips, a
`videos.json`. A record is a `tf.train.Example`. There are three kinds of record:

- `clips`: pictures and sound of one clip of a video. The clips of a video lie together and in order, in one shard.
- `features`: numbers that a model made of one whole video, one row for each position.
- `teacher`: what a teacher says of each clip of a directory of clips, in the same order.

A directory is finished when its `index.json` is there: it is written last. The file `l2l/data/schema.py` is the one
definition of all this. A directory that another release wrote is read if its `version` is the same."""
CODE = """\
## Read clips without this project

TensorFlow alone reads them:

    import tensorflow as tf

    one = lambda kind, *shape: tf.io.FixedLenFeature(shape, kind)
    some = lambda kind: tf.io.FixedLenSequenceFeature([], kind, allow_missing=True)
    fields = {"video_id": one(tf.string), "clip": one(tf.int64), "start": one(tf.float32), "labels": some(tf.int64),
              "frames": some(tf.string), "audio": one(tf.string), "audio_valid": one(tf.int64, 2)}

    def read(record):
        clip = tf.io.parse_single_example(record, fields)
        clip["frames"] = tf.map_fn(tf.io.decode_jpeg, clip["frames"], fn_output_signature=tf.uint8)
        clip["audio"] = tf.io.decode_raw(clip["audio"], tf.int16)
        return clip

    shards = tf.io.gfile.glob("data/mine/clips-train.tfrecord-*")
    for clip in tf.data.TFRecordDataset(shards).map(read).as_numpy_iterator():
        ...

## Read clips with TensorFlow Datasets

`tfds.builder_from_directory("data/mine")` opens every split: decoded pictures, 16,000 samples of sound, labels with the
names of the classes, and a meaning for every field. `tfds.as_dataframe` shows them. A split of which no video could be
used is listed with 0 examples; TFDS refuses to make a data set of it alone ("corresponds to no data").

`tfds.show_examples` knows single pictures only. This shows the first picture of every clip:

    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory("data/mine")
    first = {"image": tfds.features.Image(), "label": builder.info.features["labels"].feature}
    info = tfds.core.DatasetInfo(builder=builder, features=tfds.features.FeaturesDict(first))
    clips = builder.as_dataset(split="train")
    shown = tfds.show_examples(clips.map(lambda x: {"image": x["frames"][0], "label": x["labels"][0]}), info)"""
REGIONS = """\
Of features whose index has `glances` in its policy, each record also holds what a region selector needs. A picture
has r regions."""
VIDEOS = """\
Beside the clips, `videos.json` says where each stored video lies, so that a report can show pictures and play sounds:
`{video id: path}`. A path is relative to the file where both are on one disk. Of a stretch of a video it is
`{video id: {"path", "start", "end", "reading"}}`: start and end in seconds, null where the video begins or ends, and
`reading` with the keys `audio_track` and `trust_length` where these were given to the command that prepared the clips.

`actions.json` lies beside clips of whole videos of which it is known where the action is: those of ActivityNet and the
untrimmed parts of the built-in sample. It has the labelled stretches, whatever their labels, of the videos that have
them: `{video id: [[start, stop], ...]}` in seconds of the file. Extraction copies it beside the features. You can write
one for your own videos. It is for evaluation only and no part of a directory's hash."""
SHARDS = "Each entry of `splits` is a list of shards, in order, with these keys:"
POLICY_TEXT = """\
`policy` says how the records were made. Of features it has `clips` (the policy of the clips), `student` (`{path, hash}`
of the run that described them; null where there is none), `widths` (how many values an `image` and an `audio`
descriptor has), of features that were given `hops` (seconds from a row of a modality to the next) and, with regions,
`glances` (the same as `widths` of `cells` and `regions`). Of teacher records it has all that the
outputs depend on: the clips, the teacher, and what it saw. Of clips it has these keys:"""


def records() -> str:
    kinds = [
        ("## Clip records", schema.CLIP_RECORD),
        ("## Feature records", schema.FEATURE_RECORD),
        (f"### With regions\n\n{REGIONS}", schema.GLANCES),
        ("## Teacher records", schema.TEACHER_RECORD),
    ]
    tables = [f"{title}\n\n{fields(kind)}" for title, kind in kinds]
    return page("Records", INTRODUCTION, *tables, CODE, _index(), f"## videos.json and actions.json\n\n{VIDEOS}")


def fields(record: Mapping[str, schema.Field]) -> str:
    """A table of the fields of a kind of record."""
    of = lambda field: f"{field.kind}, {MANY.get(field.length, field.length)}"
    return table(HEAD, [(f"`{name}`", of(field), escaped(field.meaning)) for name, field in record.items()])


def _index() -> str:
    texts = attributes(schema.Index.__doc__)
    texts |= {
        "label_hash": "of the list of class names, in their order",
        "hash": "identifies the content: kind, version, class names, shards and policy",
        "table": "for people, it follows from the rest: split, status, how many of its videos",
    }
    shard = {
        "file": "name of the file, beside the index",
        "records": "how many it holds",
        "videos": "of how many videos these are",
        "bytes": "size of the file",
        "sha256": "of the file, in hex",
    }
    parts = [
        "## index.json",
        _rules(INDEX | LATER, texts, LATER),
        SHARDS,
        table(("key", "meaning"), [(f"`{key}`", text) for key, text in shard.items()]),
        POLICY_TEXT,
        _rules(POLICY, attributes(ClipPolicy.__doc__), {}),
    ]
    return "\n\n".join(parts)


def _rules(rules: Mapping[str, Rule], texts: Mapping[str, str], later: Mapping[str, Rule]) -> str:
    """A table of keys, what each may be, and what it means; `later` are those that may be missing."""
    name = lambda key: f"`{key}`" + (" (optional)" if key in later else "")
    rows = [(name(key), json_rule(words), escaped(texts[key])) for key, (_, words) in rules.items()]
    return table(("key", "allowed", "meaning"), rows)
