"""Which sound streams of a file are read."""

import dataclasses

import av


@dataclasses.dataclass(frozen=True)
class Sound:
    """Sound streams that are read.

    Attributes:
      streams: their places among all streams of the file; none where there is no sound.
      notes: what has to be known of the choice, a line each.
    """

    streams: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


SILENT = Sound()


def guess(container: av.container.InputContainer) -> Sound:
    """What a file's header says, before anything is decoded."""
    return Sound(tuple(s.index for s in container.streams.audio[:1] if s.codec_context is not None))
