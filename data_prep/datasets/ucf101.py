"""UCF-101, from the lists for action recognition that are published with the videos.

The lists (UCF101TrainTestSplits-RecognitionTask.zip: classInd.txt, trainlist01-03.txt, testlist01-03.txt) lie at
https://www.crcv.ucf.edu/data/UCF101.php. What is chosen:

- split: the training list of a fold goes to train, its test list to val, for there is no other to test on.
- classes: those of classInd.txt, in the order of their numbers. The folder named in a list is the class; the number
  that may follow must be that class's. A row of a class that classInd.txt lacks is set aside as wrong_label.
- files are found by name, upper or lower case, with any suffix of a video, in class folders or not. (The class is
  HandstandPushups, its files are v_HandStandPushups_*.) A listed video without a file is set aside as missing.
- nearly half of the videos have no sound: these are stored with silence and has_audio 0.
"""

import argparse
import os
from pathlib import Path, PurePosixPath

from .lists import lines, misfit, once, videos_by_name
from .rows import PrepareError, Row, one_form

FOLDS = (1, 2, 3)


def add_arguments(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--lists", required=True, help="folder of the published lists (ucfTrainTestlist)")
    add("--videos", required=True, help="folder of the videos (UCF-101)")
    add("--fold", type=int, choices=FOLDS, default=1, help="which of the published splits (default: 1)")


def read(videos: str | os.PathLike, lists: str | os.PathLike, *, fold: int = 1) -> tuple[list[Row], list[str]]:
    """Lists the videos of a fold, and the class names in the order of their numbers.

    Raises:
      PrepareError: a mistake in a list, or no videos.
    """
    classes = _classes(Path(lists) / "classInd.txt")
    found = {name.lower(): path for name, path in videos_by_name(videos).items()}
    rows = []
    places: dict[str, str] = {}
    for split, kind in (("train", "train"), ("val", "test")):
        for where, line in lines(Path(lists) / f"{kind}list{fold:02d}.txt"):
            file, label = _video(where, line, classes)
            once(places, file.stem, where)
            path = found.get(one_form(file.stem).lower(), os.path.join(videos, file))
            rows.append(Row(path, (label,), split, video_id=file.stem, problem=misfit([label], classes)))
    return rows, list(classes)


def _classes(path: Path) -> dict[str, int]:
    """Class name -> number, counted from 1 as in the list."""
    classes: dict[str, int] = {}
    for where, line in lines(path):
        number, _, name = line.partition(" ")
        if number != str(len(classes) + 1) or not name.strip() or name.strip() in classes:
            raise PrepareError(f"{where}: expected the number {len(classes) + 1} and a new class name, got {line!r}")
        classes[name.strip()] = int(number)
    return classes


def _video(where: str, line: str, classes: dict[str, int]) -> tuple[PurePosixPath, str]:
    """A line `Class/v_Class_g08_c01.avi` or `Class/v_Class_g08_c01.avi 1`: the file and its class."""
    name, *number = line.split()
    file = PurePosixPath(name)
    if len(file.parts) != 2 or len(number) > 1:
        raise PrepareError(f"{where}: expected CLASS/VIDEO, perhaps with the class's number, got {line!r}")
    label = file.parts[0]
    if number and label in classes and number[0] != str(classes[label]):
        raise PrepareError(f"{where}: {label} has number {classes[label]} in classInd.txt, here {number[0]!r}")
    return file, label
