"""ActivityNet 1.2 and 1.3, from the JSON lists that are published on its site.

The lists (activity_net.v1-2.min.json, activity_net.v1-3.min.json) are linked at http://activity-net.org/download.html,
where a form leads to the videos. What is chosen:

- split: training, validation and testing go to train, val and test. Videos of testing come without labels and are
  left out; one that has labels is kept.
- --unit=video (default), for the video level: a row is a whole video with all labels that occur in it. Its segments,
  whatever their labels, go into actions.json, by which evaluation tells how often a skimmer looks inside one; those
  that end where they begin are left out.
- --unit=segment, for clips: a row is an annotated segment, only that stretch of the video. Segments of one video with
  the same times are one row with all their labels. The list has a few of 0 and 0.01 s: what is shorter than
  0.1 s is set aside as too_short. A segment that reaches past the video's end is cut there.
- classes: the labels of training, in sorted order; a row with another label, or none, is set aside as wrong_label.
- files: v_ID or ID, anywhere below --videos, with any suffix of a video (mp4, mkv and webm occur). A listed video
  without a file is set aside as missing.
"""

import argparse
import os
from collections.abc import Iterator
from typing import Any

from .lists import load_json, misfit, path_of, videos_by_name
from .rows import PrepareError, Row, decided

UNITS = ("video", "segment")
SPLITS = {"training": "train", "validation": "val", "testing": "test"}
SHORTEST = 0.1  # seconds


def add_arguments(parser: argparse._ActionsContainer) -> None:
    add = parser.add_argument
    add("--lists", required=True, metavar="JSON", help="the published list, such as activity_net.v1-3.min.json")
    add("--videos", required=True, help="folder of the videos")
    add("--unit", choices=UNITS, default="video", help="what a row is: whole videos or segments (default: video)")


def read(videos: str | os.PathLike, lists: str | os.PathLike, *, unit: str = "video") -> tuple[list[Row], list[str]]:
    """Lists the labelled videos or their segments, and the class names in sorted order.

    Raises:
      PrepareError: a mistake in the list, or no videos.
    """
    entries = _entries(lists)
    training = {x["label"] for entry in entries.values() if entry["subset"] == "training" for x in entry["annotations"]}
    classes = sorted(training or {x["label"] for entry in entries.values() for x in entry["annotations"]})
    found, known, unlabelled = videos_by_name(videos), set(classes), 0
    rows: list[Row] = []
    for video_id, entry in entries.items():
        if entry["subset"] == "testing" and not entry["annotations"]:
            unlabelled += 1
            continue
        path = path_of([f"v_{video_id}", video_id], found, videos)
        stretches = _segments if unit == "segment" else _whole
        rows += stretches(path, video_id, entry, known)
    if unlabelled:
        decided(f"{unlabelled} videos of the subset testing have no labels and are left out")
    return rows, classes


def _whole(path: str, video_id: str, entry: dict[str, Any], classes: set[str]) -> Iterator[Row]:
    labels = tuple(dict.fromkeys(x["label"] for x in entry["annotations"]))
    spans = sorted({(float(a), float(b)) for a, b in (x["segment"] for x in entry["annotations"]) if a < b})
    actions, problem = tuple(spans) or None, misfit(labels, classes)
    yield Row(path, labels, SPLITS[entry["subset"]], video_id=video_id, problem=problem, actions=actions)


def _segments(path: str, video_id: str, entry: dict[str, Any], classes: set[str]) -> Iterator[Row]:
    if not entry["annotations"]:
        yield from _whole(path, video_id, entry, classes)
    stretches: dict[tuple[float, float], dict[str, None]] = {}
    for annotation in entry["annotations"]:
        start, end = (round(float(at), 3) for at in annotation["segment"])
        stretches.setdefault((start, end), {})[annotation["label"]] = None
    for (start, end), labels in stretches.items():
        problem = misfit(labels, classes)
        if end - start < SHORTEST:
            problem = "too_short", f"the segment from {start:g} to {end:g} s is shorter than {SHORTEST:g} s"
        split, row_id = SPLITS[entry["subset"]], f"{video_id}@{start:.3f}-{end:.3f}"
        yield Row(path, tuple(labels), split, start, end, row_id, problem)


def _entries(path: str | os.PathLike) -> dict[str, dict[str, Any]]:
    """The database of a list, checked: video id -> {"subset": ..., "annotations": [{"segment", "label"}, ...]}."""
    value = load_json(path)
    database = value.get("database") if isinstance(value, dict) else None
    if not isinstance(database, dict) or not database:
        raise PrepareError(f'{path} has no videos under "database": it is not a list of ActivityNet')
    for video_id, entry in database.items():
        where = f"{path}, video {video_id!r}"
        got = entry.get("subset") if isinstance(entry, dict) else entry
        if not isinstance(entry, dict) or got not in [*SPLITS]:
            raise PrepareError(f"{where}: subset must be one of {', '.join(SPLITS)}, got {got!r}")
        if not isinstance(entry.get("annotations"), list):
            raise PrepareError(f"{where}: annotations must be a list, got {entry.get('annotations')!r}")
        for annotation in entry["annotations"]:
            _check_annotation(where, annotation)
    return database


def _check_annotation(where: str, annotation: Any) -> None:
    if not isinstance(annotation, dict) or not isinstance(annotation.get("label"), str) or not annotation["label"]:
        raise PrepareError(f"{where}: an annotation needs a label, got {annotation!r}")
    segment = annotation.get("segment")
    number = lambda x: isinstance(x, int | float) and not isinstance(x, bool) and 0 <= x < 1e12
    if not isinstance(segment, list) or len(segment) != 2 or not all(number(x) for x in segment):
        raise PrepareError(f"{where}: a segment is [start, end] in seconds from 0 on, got {segment!r}")
