"""The parts of the built-in sample: how many videos, what they show, how they are cut into clips."""

import dataclasses
from pathlib import Path

import numpy as np

from l2l.media.policy import ClipPolicy

from . import render
from . import timeline as untrimmed

SPLITS = ("train", "val", "test")
SHARDS = 8  # of a split, whatever its size: the same files as ever
CLIP = ClipPolicy(frames=8, fps=8, short_side=64, clips=1)
POSITIONS = ClipPolicy(frames=1, fps=8, hop=1.0, short_side=64)
FAR = ClipPolicy(frames=1, fps=8, hop=1.0, short_side=128)


@dataclasses.dataclass(frozen=True)
class Part:
    """One part.

    Attributes:
      counts: videos per split.
      policy: how their clips are cut.
      domain: ranges of what does not matter.
      actions: how many classes an untrimmed video shows; 0: the video is a trimmed clip of one.
      videos: the part whose videos it cuts once more; "": it has its own.
      scale: of the size of its pictures, and of the time from one to the next.
    """

    counts: dict[str, int]
    policy: ClipPolicy
    domain: render.Domain = render.TARGET
    actions: int = 0
    videos: str = ""
    scale: int = 1


# The place in this table is a part of the seed of a part's videos: new parts go to its end.
LARGE = {"train": 416, "val": 208, "test": 1040}
PARTS = {
    "source": Part({"train": 2000, "val": 400}, CLIP, render.SOURCE),
    "trimmed": Part({"train": 96, "val": 320}, CLIP),
    "untrimmed": Part({"train": 208, "val": 32, "test": 208}, POSITIONS, actions=1),
    "untrimmed_large": Part(LARGE, POSITIONS, actions=1),
    "untrimmed_large_clips": Part(LARGE, dataclasses.replace(POSITIONS, frames=8), actions=1, videos="untrimmed_large"),
    "untrimmed_pairs": Part({"train": 416, "val": 64, "test": 416}, POSITIONS, actions=2),
    "far_clips": Part({"train": 960, "val": 160}, dataclasses.replace(FAR, clips=1), render.FAR, scale=2),
    "far": Part({"train": 256, "val": 16, "test": 256}, FAR, render.FAR, actions=1, scale=2),
}
DEMO = ("source", "trimmed", "untrimmed")  # what the demo needs


@dataclasses.dataclass(frozen=True)
class Item:
    """One video of the sample: the number'th of a split of a part that has its own videos."""

    part: str
    split: str
    number: int

    @property
    def video_id(self) -> str:
        return f"{self.part}-{self.split}-{self.number:05d}"

    @property
    def path(self) -> Path:
        """Relative to --out."""
        return Path("videos") / self.part / self.split / f"{self.video_id}.mp4"

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes that it shows, all of them equally often; two go together in every order and combination."""
        round_, first = divmod(self.number, len(render.LABELS))
        if PARTS[self.part].actions < 2:
            return (render.LABELS[first],)
        ahead = 1 + round_ % (len(render.LABELS) - 1)
        return (render.LABELS[first], render.LABELS[(first + ahead) % len(render.LABELS)])

    def generators(self, seed: int) -> list[np.random.Generator]:
        """Independent generators: of what happens, of the pictures, of the sound, of the file."""
        key = [seed, list(PARTS).index(self.part), SPLITS.index(self.split), self.number]
        return [np.random.default_rng(child) for child in np.random.SeedSequence(key).spawn(4)]

    def segments(self, seed: int) -> list[untrimmed.Segment]:
        """What happens when in an untrimmed video."""
        return untrimmed.timeline(self.labels, self.generators(seed)[0])


def items_of(part: str, counts: dict[str, int]) -> list[Item]:
    """The videos of a part, so many of each split."""
    owner = PARTS[part].videos or part
    return [Item(owner, split, number) for split, many in counts.items() for number in range(many)]
