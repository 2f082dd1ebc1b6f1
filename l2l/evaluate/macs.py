"""Multiply-adds of every model and of a whole video, counted from numbers alone.

Convolutions and matrix products only; what the field prints as "GFLOPs" is this count. A compiler's own estimate is
no substitute: it counts the body of a loop once.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

STAGES = (2, 2, 2, 2)
STUDENT = MappingProxyType({"image": 512, "audio": 512})  # widths of the student's descriptors
# I3D's mixed blocks, by stage: channels of 1x1; of 1x1 and 3x3x3; of 1x1 and 3x3x3; of the 1x1 after a pool.
MIXED = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def _out(size: int, kernel: int, stride: int) -> int:
    """Length of a convolution's output with the symmetric padding kernel // 2."""
    return (size + 2 * (kernel // 2) - kernel) // stride + 1


def r2plus1d_macs(
    frames: int, size: int, width: int = 64, stages: Sequence[int] = STAGES, num_classes: int = 400
) -> int:
    """R(2+1)D on one clip of (frames, size, size, 3)."""
    side, time, channels, middle = _out(size, 7, 2), frames, width, max(45 * width // 64, 1)
    total = time * side**2 * (49 * 3 * middle + 3 * middle * width)
    for stage, blocks in enumerate(stages):
        planes = width * 2**stage
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            middle = channels * planes * 27 // (channels * 9 + 3 * planes)
            side, before, time = _out(side, 3, stride), time, _out(time, 3, stride)
            area = side**2
            total += area * (before * 9 * channels * middle + time * 3 * middle * planes)
            total += area * time * (9 * planes * middle + 3 * middle * planes)
            if channels != planes:
                total += area * time * channels * planes
            channels = planes
    return total + channels * num_classes


def r2plus1d_bottleneck_macs(
    frames: int, size: int, width: int = 64, stages: Sequence[int] = (3, 8, 36, 3), num_classes: int = 400
) -> int:
    """R(2+1)D with bottleneck blocks, 152 layers unless told otherwise, on one clip of (frames, size, size, 3).

    The middle width of a block follows from its inner channels, as in the published network.
    """
    side, time, channels, middle = _out(size, 7, 2), frames, width, max(45 * width // 64, 1)
    total = time * side**2 * (49 * 3 * middle + 3 * middle * width)
    for stage, blocks in enumerate(stages):
        planes = width * 2**stage
        middle = 27 * planes * planes // (9 * planes + 3 * planes)
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            total += time * side**2 * channels * planes
            side, before, time = _out(side, 3, stride), time, _out(time, 3, stride)
            total += side**2 * (before * 9 * planes * middle + time * 3 * middle * planes)
            total += side**2 * time * 4 * planes * (planes + (channels if block == 0 else 0))
            channels = 4 * planes
    return total + channels * num_classes


def i3d_macs(frames: int, size: int, num_classes: int = 400) -> int:
    """I3D on one clip of (frames, size, size, 3); paddings are SAME, so a length n becomes ceil(n / stride)."""
    half = lambda n: -(-n // 2)
    time, side = half(frames), half(size)
    total = time * side**2 * 343 * 3 * 64
    side = half(side)
    total += time * side**2 * (64 * 64 + 27 * 64 * 192)
    channels = 192
    for number, stage in enumerate(MIXED):
        side, time = half(side), half(time) if number else time  # the first pool leaves the time as it is
        for a, b0, b1, c0, c1, d in stage:
            ones, cubes = channels * (a + b0 + c0 + d), 27 * (b0 * b1 + c0 * c1)
            total += time * side**2 * (ones + cubes)
            channels = a + b1 + c1 + d
    return total + channels * num_classes


def _trunk(size: tuple[int, int], inputs: int, stride: int, width: int, stages: Sequence[int]) -> tuple[int, int, int]:
    """ResNet trunk: multiply-adds and the size of its last map."""
    h, w = (_out(side, 7, stride) for side in size)
    total, channels = h * w * 49 * inputs * width, width
    h, w = _out(h, 3, 2), _out(w, 3, 2)
    for stage, blocks in enumerate(stages):
        planes = channels * (2 if stage else 1)
        for block in range(blocks):
            if stage and block == 0:
                h, w = _out(h, 3, 2), _out(w, 3, 2)
            total += h * w * 9 * (channels + planes) * planes
            total += h * w * channels * planes if channels != planes else 0
            channels = planes
    return total, h, w


def image_macs(size: int, width: int = 64, stages: Sequence[int] = STAGES) -> int:
    """Image trunk on (size, size, 3)."""
    return _trunk((size, size), 3, 2, width, stages)[0]


def audio_macs(times: int = 101, bands: int = 40, width: int = 64, stages: Sequence[int] = STAGES) -> int:
    """Audio trunk on a log-mel spectrogram (times, bands)."""
    total, h, w = _trunk((times, bands), 1, 1, width, stages)
    return total + h * w * width * 2 ** (len(stages) - 1)


def preview_macs(frames: int = 101, bands: int = 40, width: int = 32, features: int = 512) -> int:
    """Preview trunk on so many log-mel frames; `preview_rate` is that of a second of a long track."""
    t, f, channels = (frames - 4 - 5) // 2 + 1, _out(bands, 5, 2), width
    total = t * f * 25 * width
    for times, down, across in ((2, 1, 2), (4, 2, 2), (8, 1, 2), (8, 1, 1)):
        t, f = (t - 3) // down + 1, _out(f, 3, across)
        total += t * f * channels * (9 + times * width)
        channels = times * width
    return total + t * channels * (f + features)


def preview_rate(width: int = 32, features: int = 512, bands: int = 40) -> float:
    """Multiply-adds of the preview trunk for each second of a long track of 100 log-mel frames a second."""
    long = 80_000
    return (preview_macs(2 * long, bands, width, features) - preview_macs(long, bands, width, features)) * 100 / long


def fusion_macs(inputs: int = 1024, hidden: int = 1024, feature: int = 512) -> int:
    """The two linear layers over concatenated descriptors."""
    return inputs * hidden + hidden * feature


def student_macs(
    size: int,
    times: int = 101,
    bands: int = 40,
    *,
    width: int = 64,
    stages: Sequence[int] = STAGES,
    modality: str = "both",
    feature: int = 512,
    num_classes: int = 400,
) -> int:
    """Student on one clip, the linear classifier included."""
    trunks = {"image": image_macs(size, width, stages), "audio": audio_macs(times, bands, width, stages)}
    chosen = list(trunks) if modality == "both" else [modality]
    descriptor = width * 2 ** (len(stages) - 1)
    fusion = fusion_macs(len(chosen) * descriptor, feature=feature)
    return sum(trunks[m] for m in chosen) + fusion + feature * num_classes


def skimmer_macs(
    positions: int,
    steps: int,
    *,
    widths: Mapping[str, int] = STUDENT,
    feature: int = 512,
    fusion: int | None = None,
    recognition: int = 0,
    hidden: int = 1024,
    key: int = 512,
    query: int = 1024,
    index_by: str = "both",
    weigh: bool = False,
    closer: int = 0,
    num_classes: int = 200,
) -> int:
    """Skimmer on one video whose descriptors are there: keys, `steps` steps, one classification at the end.

    Args:
      positions: how many positions it reads.
      steps: how often it asks.
      widths: of the descriptors, by modality.
      feature: width of the fused feature.
      fusion: multiply-adds of the fusion of one position; None for that of these widths.
      recognition: width of another model's feature, if that is read and classified at the looks.
      closer: multiply-adds of a look's second glance but for its image trunk, see `closer_macs`.
      hidden, key, query, index_by, weigh, num_classes: as the skimmer's.
    """
    chosen = [m for m in widths if index_by in (m, "both")]
    width = sum(widths.values())
    fusion = fusion_macs(width, feature=feature) if fusion is None else fusion
    look = positions * width + fusion
    ask = len(chosen) * (hidden * query + query * key + positions * key)
    share = 2 * hidden if len(chosen) == 2 else 0
    keys = positions * sum(widths[m] for m in chosen) * key
    worth = ((recognition or feature) + 1) * key if weigh else 0
    step = lstm_macs(feature, hidden) + ask + share + look + positions * recognition + worth + closer
    return keys + look + steps * step + (recognition or feature) * num_classes


def closer_macs(
    positions: int,
    *,
    cells: int,
    regions: int,
    descriptor: int,
    feature: int,
    fusion: int,
    hidden: int,
    key: int,
    query: int,
    choose: str = "state",
) -> int:
    """Choosing a region of the picture that a look has picked, and fusing what it shows.

    Args:
      positions: how many the picture is read from, as a one-hot sum.
      cells, regions: values that describe all regions of a picture, before and after they are seen closer.
      descriptor: values that describe one.
      feature, fusion: width of the fused feature, and multiply-adds of fusing.
      hidden, key, query, choose: as the skimmer's and its closer's; only the "state" has to ask.
    """
    ask = hidden * query + query * key + cells * key + regions // descriptor * key
    return positions * (cells + regions) + (ask if choose == "state" else 0) + regions + fusion + 2 * feature


def lstm_macs(inputs: int, hidden: int) -> int:
    """One step of an LSTM."""
    return (inputs + hidden) * 4 * hidden


def video_lstm_macs(positions: int, *, fusion: int, feature: int, hidden: int, num_classes: int) -> int:
    """LSTM over the fused features of all positions; `fusion` are the multiply-adds of fusing one."""
    return positions * (fusion + lstm_macs(feature, hidden)) + hidden * num_classes


def nonrecurrent_macs(
    positions: int, looks: int, *, fusion: int, feature: int, recognition: int, key: int, num_classes: int
) -> int:
    """One query over the fused features of all positions, of which `looks` are classified; see `skimmer_macs`."""
    return positions * (fusion + feature * key + key) + looks * (recognition or feature) * num_classes


def glance_macs(
    positions: int,
    looks: int,
    *,
    widths: Mapping[str, int] = STUDENT,
    feature: int = 512,
    fusion: int | None = None,
    recognition: int = 0,
    hidden: int = 128,
    context: int = 9,
    regions: int = 0,
    cell: int = 0,
    num_classes: int = 200,
) -> int:
    """Glance on one video whose descriptors are there: the listener over all positions, the judge over the looks.

    Args:
      positions: how many positions the listener scores.
      looks: how many the judge reads.
      widths, feature, fusion, recognition: as of `skimmer_macs`.
      hidden, context, num_classes: as the model's.
      regions, cell: of how many regions of a picture one is seen closer, and how many values the first look has of
        each; 0 if pictures are seen once.
    """
    width = sum(widths.values())
    listener = (width + 2) * hidden + context * hidden**2 + hidden
    fuse = 0 if recognition else fusion_macs(width, feature=feature) if fusion is None else fusion
    judge = fuse + 2 * (recognition or width) * hidden + hidden
    if regions:  # scoring them, fusing one, the share of it, and what the judge's attention sees of it
        judge += regions * (cell + 1) * hidden + fuse + 2 * feature + 2 * widths["image"] * hidden
    return positions * listener + looks * judge + (recognition or feature) * num_classes


def video_cost(
    positions: int,
    looks: int,
    *,
    image: int,
    audio: int,
    skim: int,
    index_by: str = "both",
    recogniser: int = 0,
    closer: int = 0,
) -> dict[str, int]:
    """Multiply-adds of one video.

    Args:
      positions: how many positions are indexed (the video's clips / the indexing stride).
      looks: how many positions are read.
      image: multiply-adds of the image trunk.
      audio: multiply-adds of the audio trunk.
      skim: multiply-adds of the skimmer on that many positions.
      index_by: both, audio or image: what is computed at every position. The other trunk runs only at the looks.
      recogniser: multiply-adds of another model that runs at the looks.
      closer: multiply-adds of the image trunk's second glances at a look.

    Returns:
      "indexing", "skimming" and "recognition" (what is computed at the looks alone); their sum is the total.
    """
    everywhere = {"both": image + audio, "image": image, "audio": audio}[index_by]
    return {
        "indexing": positions * everywhere,
        "skimming": skim,
        "recognition": looks * (image + audio - everywhere + recogniser + closer),
    }
