"""Videos without labels, to distil on: whatever lies in a folder, however deep.

A fifth of the videos goes to val and another to test, settled by their names alone. Of two or three there is no val,
unless --val asks for it. --test=0 gives train and val as releases did that knew no test split. Where the folder holds
nothing but folders train, val and test (two of them at least), these are the splits.
"""

import argparse
import os

from .. import storage
from . import folder
from .layout import arranged
from .lists import videos_in
from .rows import PrepareError, Row


def add_arguments(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--videos", required=True, help="folder of videos")
    folder.add_shares(parser)


def read(
    videos: str | os.PathLike, *, val: folder.Share = None, test: folder.Share = None
) -> tuple[list[Row], list[str]]:
    """Lists the videos of a folder, however deep, and no class names.

    Args:
      videos: the folder.
      val: share of the videos that goes into the split `val`.
      test: share of them that goes into the split `test`, both as `folder.shared_out` says.

    Raises:
      PrepareError: no such folder, or no videos in it.
    """
    if not storage.is_folder(videos):
        raise PrepareError(f"{videos} is not a folder: --dataset=unlabelled takes a folder of videos")
    places = arranged(videos_in(videos), labels=False)
    if not places:
        raise PrepareError(f"{videos} holds no videos")
    return folder.rows_of(videos, places, val, test), []
