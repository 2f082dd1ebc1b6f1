"""Kinetics-Sounds: the classes of Kinetics that can be both seen and heard, from Kinetics' own lists.

Its 34 classes are named in the appendix of "Look, Listen and Learn" (Arandjelovic and Zisserman, ICCV 2017,
arXiv 1705.08168), after labels that Kinetics had before it was published. No list of videos was published, so the
videos are those that Kinetics (use the lists of Kinetics-400) has in these classes. Two versions, by --classes:

- 31 (default): those that the published Kinetics has, four of them under another name: blowing out candles, dribbling
  basketball, mowing lawn, stomping grapes. AdaMML's authors name the same (https://github.com/IBM/AdaMML/issues/3).
- 34: with the nearest of Kinetics-400 for the three that are gone: strumming guitar for fingerpicking, petting animal
  (not cat) for patting, using computer for typing. These three are a guess; Kinetics-600 lacks two of them.

Class names are Kinetics', in sorted order. Files, splits and --trimmed are as with --dataset=kinetics; rows of other
classes are not part of the set.
"""

import argparse
import os
from collections.abc import Sequence

from . import kinetics
from .rows import PrepareError, Row

SAME = (
    *("blowing nose", "bowling", "chopping wood", "laughing", "playing accordion", "playing bagpipes"),
    *("playing bass guitar", "playing clarinet", "playing drums", "playing guitar", "playing harmonica"),
    *("playing keyboard", "playing organ", "playing piano", "playing saxophone", "playing trombone"),
    *("playing trumpet", "playing violin", "playing xylophone", "ripping paper", "shoveling snow"),
    *("shuffling cards", "singing", "tap dancing", "tapping guitar", "tapping pen", "tickling"),
)
RENAMED = {
    "blowing out": "blowing out candles",
    "dribbling ball": "dribbling basketball",
    "mowing the lawn by pushing lawnmower": "mowing lawn",
    "stomping": "stomping grapes",
}
NEAREST = {
    "fingerpicking": "strumming guitar",
    "patting": "petting animal (not cat)",
    "typing": "using computer",
}
CLASSES = {31: sorted([*SAME, *RENAMED.values()]), 34: sorted([*SAME, *RENAMED.values(), *NEAREST.values()])}


def add_arguments(parser: argparse._ActionsContainer) -> None:
    kinetics.add_arguments(parser)
    parser.add_argument("--classes", type=int, choices=CLASSES, default=31, help="which version (default: 31)")


def read(
    videos: str | os.PathLike, lists: Sequence[str | os.PathLike], *, classes: int = 31, trimmed: bool = False
) -> tuple[list[Row], list[str]]:
    """Lists the clips of these classes in Kinetics' CSV lists, and the class names.

    Raises:
      PrepareError: as `kinetics.read`, or the lists hold none of a class.
    """
    names = CLASSES[classes]
    entries = [entry for entry in kinetics.read_lists(lists) if entry.label in names]
    if absent := sorted(set(names) - {entry.label for entry in entries}):
        raise PrepareError(
            f"the lists hold no video of class {absent[0]!r} ({len(absent)} of {classes} classes are absent); "
            "take the lists of Kinetics-400"
        )
    return kinetics.rows_of(entries, names, videos, trimmed=trimmed), list(names)
