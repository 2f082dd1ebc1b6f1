"""Clip records -> examples: JPEG decode, and for training one random crop, flip and scale for all frames of a clip."""

import dataclasses

from l2l.data import schema
from l2l.data.tensorflow import tf
from l2l.media import policy

Example = dict[str, tf.Tensor]
KINDS = {schema.BYTES: tf.string, schema.INT: tf.int64, schema.FLOAT: tf.float32}


def parse(raw: tf.Tensor, table: dict[str, schema.Field]) -> Example:
    """A serialised `tf.train.Example` -> its fields as the table says; scalars where the length is 1."""
    spec = {}
    for name, field in table.items():
        kind = KINDS[field.kind]
        if field.length is None:
            spec[name] = tf.io.RaggedFeature(kind)
        else:
            spec[name] = tf.io.FixedLenFeature([] if field.length == 1 else [field.length], kind)
    return tf.io.parse_single_example(raw, spec)


def multi_hot(labels: tf.Tensor, classes: int) -> tf.Tensor:
    """Label ids (l,) -> float32 (classes,) of zeros and ones; one that there is not is an error."""
    known = tf.reduce_all((labels >= 0) & (labels < classes))
    with tf.control_dependencies([tf.debugging.Assert(known, [f"a label id is outside the {classes} labels", labels])]):
        return tf.reduce_max(tf.one_hot(labels, classes), axis=0)


def drawn(raw: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
    """Whether a clip record, or the first of those side by side, is the one of its video that an epoch draws.

    Epochs take the clips of a video by turns, from one on that its id and the seed tell.
    """
    fields = {name: schema.CLIP_RECORD[name] for name in ("video_id", "clip", "clips")}
    record = parse(raw if raw.shape.rank == 0 else raw[0], fields)
    key = tf.strings.join([record["video_id"], tf.strings.as_string(seed)], "/")
    first = tf.strings.to_hash_bucket_fast(key, 2**31)
    return record["clip"] == (first + epoch) % record["clips"]


def mirrored(frames: tf.Tensor) -> tf.Tensor:
    """Images (t, h, w, 3) with left and right exchanged.

    As one tall image: for those TensorFlow reverses rows of pixels ten times as fast as by a negative stride.
    """
    shape = tf.shape(frames)
    return tf.reshape(tf.reverse(tf.reshape(frames, [-1, shape[2], 3]), [1]), shape)


@dataclasses.dataclass(frozen=True)
class ClipReader:
    """Decodes clip records. The device gets uint8 squares of `side` pixels and resizes them to the model's input.

    Attributes:
      frames: how many of a clip's images are decoded, from the first on.
      side: side of the square that is cut out of a stored image, pixels.
      classes: number of labels.
      scale: smallest random zoom in training; the square's side is drawn from [scale, 1] * side, then resized to side.
      flip: whether training mirrors half of the clips.
      largest: pixels of the shorter side of a stored image; what says that it has more is not decoded.
    """

    frames: int
    side: int
    classes: int
    scale: float = 1.0
    flip: bool = True
    largest: int = 65_500

    def train(self, raw: tf.Tensor, seed: tf.Tensor, shared: tf.Tensor) -> Example:
        """frames uint8 (t, side, side, 3), audio int16 (16000,), labels float32 (classes,), has_audio, mask bool."""
        del shared  # all batches of clips have one shape
        record = parse(raw, schema.CLIP_RECORD)
        draw = tf.random.stateless_uniform([4], seed)
        side = tf.cast(tf.round(self.side * (self.scale + (1 - self.scale) * draw[0])), tf.int32)
        frames = self._crop(*self._sized(record["frames"]), side, draw[1], draw[2])
        if self.scale < 1:
            frames = tf.image.resize(frames, [self.side, self.side])
            frames = tf.saturate_cast(tf.round(frames), tf.uint8)
        if self.flip:
            frames = tf.cond(draw[3] < 0.5, lambda: mirrored(frames), lambda: frames)
        return self._example(record, frames) | {"mask": tf.constant(True)}

    def eval(self, raw: tf.Tensor, own: tf.Tensor) -> Example:
        """As `train`, but the centre crop, and with video_id, clip, clips and times (centre, seconds).

        Images that another process feeds to the model, those not `own` (bool), are black: decoding is the work.
        """
        record = parse(raw, schema.CLIP_RECORD)
        black = lambda: tf.zeros([self.frames, self.side, self.side, 3], tf.uint8)
        frames = tf.cond(own, lambda: tf.stack([*map(self._centre, self._sized(record["frames"])[0])]), black)
        host = {key: record[key] for key in ("video_id", "clip", "clips")}
        return self._example(record, frames) | host | {"times": record["start"] + record["duration"] / 2}

    def fit(self, clip: Example) -> tuple[int, Example]:
        """Every clip has the same shape: one bucket."""
        return 0, clip

    def _example(self, record: Example, frames: tf.Tensor) -> Example:
        return {
            "frames": tf.ensure_shape(frames, [self.frames, self.side, self.side, 3]),
            "audio": tf.ensure_shape(tf.io.decode_raw(record["audio"], tf.int16), [policy.AUDIO_RATE]),
            "labels": multi_hot(record["labels"], self.classes),
            "has_audio": record["has_audio"] > 0,
        }

    def _sized(self, jpegs: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Of (n,) the `frames` that are used, once it is seen that none says it is larger than it may.

        With height and width of the first, (2,) int64.
        """
        used = [jpegs[i] for i in range(self.frames)]
        shapes = tf.stack([tf.io.extract_jpeg_shape(jpeg, tf.int64)[:2] for jpeg in used])
        most = schema.PIXELS * tf.strings.length(tf.stack(used))
        small = tf.reduce_min(shapes, axis=1) <= self.largest
        fits = tf.reduce_all(small & (tf.reduce_prod(shapes, axis=1) <= tf.cast(most, tf.int64)))
        said = [f"an image says that it is larger than its bytes, or than {self.largest} pixels, allow", shapes]
        with tf.control_dependencies([tf.debugging.Assert(fits, said)]):
            return [tf.identity(jpeg) for jpeg in used], shapes[0]

    def _centre(self, jpeg: tf.Tensor) -> tf.Tensor:
        """The centre square of the whole image, as `preprocess.centre_crop` of `jpeg.decode_jpeg` gives it.

        (`decode_and_crop_jpeg` is quicker, but the colours of its outermost columns are a little off: it smooths
        without the pixels beyond. Training does not mind.)
        """
        image = tf.io.decode_jpeg(jpeg, channels=3, dct_method="INTEGER_ACCURATE")
        top, left = ((tf.shape(image)[i] - self.side) // 2 for i in (0, 1))
        return image[top : top + self.side, left : left + self.side]

    def _crop(self, jpegs: list[tf.Tensor], shape: tf.Tensor, side: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """The same square of every frame; y and x in [0, 1) say at which of the places that it can have."""
        places = tf.cast(shape, tf.int32) - side + 1
        top, left = (tf.cast(tf.cast(places[i], tf.float32) * at, tf.int32) for i, at in enumerate((y, x)))
        window = tf.stack([top, left, side, side])
        decode = lambda jpeg: tf.io.decode_and_crop_jpeg(jpeg, window, channels=3, dct_method="INTEGER_ACCURATE")
        return tf.stack([*map(decode, jpegs)])
