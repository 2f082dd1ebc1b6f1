"""Features that somebody else made, a .npy per video and modality, and a CSV -> feature shards to skim over.

    python -m data_prep.features --features=FOLDER --list=FILE.csv --out=DIR --image_hop=1 --audio_hop=0.96

- files: FOLDER/image/VIDEO.npy and FOLDER/audio/VIDEO.npy, numbers of shape (rows, width); one of the two folders may
  lack. The width is that of most files of a modality. Rows follow each other in time: row i of a modality with a hop of
  h seconds lies at (i + 1/2) h.
- positions: those of the images or, where the folder has none, of the sound. Each takes the row of the other modality
  that is nearest in time, the earlier of two that are equally near.
- CSV: a header and the columns video and label (several separated by "|") and perhaps split (train, val or test), start
  and end (seconds, a labelled stretch). A video may have several rows: it is of all their classes. Without the column
  split a fifth of each class goes to val and another to test, settled by the names of the videos alone.
- a video without sound features is kept and marked (has_audio 0). One without image features is set aside, as positions
  are images to look at. So is one whose file is damaged, of another width, empty, or not finite in float16; index.json
  and the table at the end have the reason.
- labelled stretches stand in DIR/actions.json.

A second call does only what is missing. What is stored is not read again: to take changed files in, delete DIR.
"""

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from l2l.core import atomic, command
from l2l.data import schema
from l2l.media.container import MediaError
from l2l.media.policy import ClipPolicy

from . import storage
from .datasets import folder, lists
from .datasets.rows import DECIDED, PrepareError, Row, decided, one_form, say_forms
from .shards import feature_shards, finish, plan
from .shards.arrays import Modality, bank, with_width
from .shards.feature_shards import Described

MODALITIES = ("image", "audio")
REQUIRED, OPTIONAL = ("video", "label"), ("split", "start", "end")
ACTIONS = "actions.json"
HOPS = 1e-3, 3600.0  # seconds, at least and at most
APART = 2  # hops, of the longer one, that image and sound features may differ in length

Stretches = dict[str, list[tuple[float, float]]]


def read_list(path: Path, val: folder.Share = None, test: folder.Share = None) -> tuple[list[Row], Stretches]:
    """The videos of a CSV in the order of their first rows, and their labelled stretches in seconds by video.

    Args:
      path: the CSV.
      val, test: shares of each class for validation and for the test, where the list has no splits; None for a fifth.

    Raises:
      PrepareError: a mistake in the list; the message names file, line, value and cure.
    """
    rows: dict[str, Row] = {}
    stretches: Stretches = {}
    places: dict[str, str] = {}
    for where, cells in lists.table(path, REQUIRED, OPTIONAL):
        row, stretch = _row(where, cells)
        lists.once(places, f"{row.video_id} {row.labels} {stretch}", where)
        before = rows.setdefault(row.video_id, row)
        if before.split != row.split:
            raise PrepareError(f"{where}: {row.path!r} is in split {row.split!r} here and {before.split!r} above")
        if before is not row and (stretch is None) != (row.video_id not in stretches):
            raise PrepareError(
                f"{where}: {row.path!r} has rows with a stretch and without: give all or none of them one"
            )
        rows[row.video_id] = dataclasses.replace(before, labels=tuple(dict.fromkeys((*before.labels, *row.labels))))
        if stretch:
            stretches.setdefault(row.video_id, []).append(stretch)
    say_forms(path, (label for row in rows.values() for label in row.labels))
    return _with_splits(path, list(rows.values()), val, test), stretches


def _row(where: str, cells: Mapping[str, str]) -> tuple[Row, tuple[float, float] | None]:
    """A line of the list: its video, and its stretch if it has one; the split is "" where the list has none."""
    cells = {name: text.strip() for name, text in cells.items()}
    labels = tuple(dict.fromkeys(one_form(label.strip()) for label in cells["label"].split("|")))
    for name, values in (("video", [cells["video"]]), ("label", labels), ("split", [cells.get("split", "train")])):
        if not all(values):
            raise PrepareError(f"{where}: {name} is empty")
    video = cells["video"]
    if Path(video).is_absolute() or ".." in Path(video).parts or "\\" in video:
        raise PrepareError(f"{where}: {video!r} lies outside of the feature folders: name it as below them")
    split = cells.get("split", "")
    if split and split not in folder.SPLITS:
        raise PrepareError(f"{where}: split {split!r} is none of {', '.join(folder.SPLITS)}: mend it")
    start, end = (lists.seconds(where, name, cells.get(name, "")) for name in ("start", "end"))
    if (start is None) != (end is None) or (start is not None and end is not None and end <= start):
        raise PrepareError(f"{where}: a labelled stretch needs a start and an end after it, in seconds")
    stretch = None if start is None or end is None else (start, end)
    return Row(video, labels, split, video_id=one_form(video)), stretch


def _with_splits(path: Path, rows: list[Row], val: folder.Share, test: folder.Share) -> list[Row]:
    """The rows, shared out where the list names no splits."""
    if rows[0].split:
        if (val, test) != (None, None):
            decided(f"the column split of {path} decides: --val and --test change nothing")
        return rows
    classes: dict[str, list[str]] = {}
    for row in rows:
        classes.setdefault(min(row.labels), []).append(row.video_id)
    split_of = folder.shared_out(classes, val, test)
    return [dataclasses.replace(row, split=split_of[row.video_id]) for row in rows]


def modalities_of(features: Path, rows: Sequence[Row], hops: Mapping[str, float | None]) -> dict[str, Modality]:
    """The modalities that a folder has, in the order image, audio, with the width of most files of the list.

    Raises:
      PrepareError: there is none, or no file of the list in one; a hop that lacks or that is of no use.
    """
    if storage.is_remote(features) or not features.is_dir():
        raise PrepareError(f"{features} is no folder here: --features takes the one that holds image/ and audio/")
    found = {}
    for name in MODALITIES:
        hop, place = hops[name], features / name
        if not place.is_dir():
            if hop is not None:
                raise PrepareError(f"{place} is not there: make it, or leave out --{name}_hop")
            continue
        if hop is None:
            raise PrepareError(f"{place} needs --{name}_hop: the seconds from one of its rows to the next")
        found[name] = with_width(Modality(place, hop), rows)
    if not found:
        raise PrepareError(f"{features} holds neither of the folders image and audio")
    return found


def nearest(times: np.ndarray, hop: float, rows: int) -> np.ndarray:
    """Which of the rows, the i-th of which lies at (i + 1/2) hop seconds, is nearest to each time (n,), int64.

    The earlier of two that are equally near, up to rounding.
    """
    return np.clip(np.ceil(times / hop - 1 - 1e-9), 0, rows - 1).astype(np.int64)


def describer(modalities: Mapping[str, Modality], stretches: Stretches) -> Callable[[Row], Described]:
    """What reads the features of a video, see the head of this file."""
    (leads, first), *others = modalities.items()

    def describe(row: Row) -> Described:
        led = bank(first, row)
        if led is None:
            raise MediaError(
                "missing", row.path, f"there is no {leads}/{row.video_id}.npy, whose rows are the positions"
            )
        times = (np.arange(len(led)) + 0.5) * first.hop
        found = dict.fromkeys(MODALITIES, np.zeros((len(led), 0), np.float16)) | {leads: led}
        notes = _beyond(stretches.get(row.video_id, []), len(led) * first.hop)
        heard = "audio" in modalities
        for name, other in others:
            rows = bank(other, row)
            if rows is None:
                heard, rows = False, np.zeros((1, other.width), np.float16)
                notes.append(f"no {name} features: marked as without sound")
            elif abs(len(rows) * other.hop - len(led) * first.hop) > APART * max(other.hop, first.hop):
                notes.append(
                    f"image and audio features differ by more than {APART} hops in length: are the hops right?"
                )
            found[name] = rows[nearest(times, other.hop, len(rows))]
        return Described(times, found["image"], found["audio"], heard, tuple(notes))

    return describe


def _beyond(stretches: Sequence[tuple[float, float]], end: float) -> list[str]:
    past = any(start >= end for start, _ in stretches)
    return ["a labelled stretch begins after the last position: is the hop right?"] if past else []


def convert(
    features: Path,
    listed: Path,
    out: str,
    hops: Mapping[str, float | None],
    *,
    val: folder.Share = None,
    test: folder.Share = None,
    retry_failed: bool = False,
) -> schema.Index:
    """Writes a directory of feature shards, and what became of each video.

    Args:
      features: folder with image/ or audio/, or both.
      listed: the CSV.
      out: directory of the shards, here or in an object store; what is whole there is kept.
      hops: seconds from a row to the next, by modality; None for one that is not there.
      val, test: as of `read_list`.
      retry_failed: whether to try the videos again that were set aside by an earlier call.

    Raises:
      PrepareError: a mistake in the list, the folders or the flags, or an output that cannot be written.
    """
    DECIDED.clear()
    rows, stretches = read_list(listed, val, test)
    labels = sorted({label for row in rows for label in row.labels})
    folder.say_numbers(labels)
    modalities = modalities_of(features, rows, hops)
    facts = {f"{name} {key}": getattr(m, key) for name, m in modalities.items() for key in ("hop", "width")}
    asked = feature_shards.make(rows, labels, out, facts, notes=DECIDED)
    with plan.claimed(asked, 0, len(asked.jobs)):
        feature_shards.write(asked, describer(modalities, stretches), retry_failed=retry_failed)
        accounts = feature_shards.collect(asked)
        stored = finish.stored_rows(asked, accounts)
        if stretches:
            _save_stretches(out, stretches, stored)
        notes = (*asked.notes, *finish.lacking(asked, stored))
        return feature_shards.save(asked, accounts, policy_of(modalities), notes, finish.noted(asked, accounts))


def policy_of(modalities: Mapping[str, Modality]) -> dict[str, object]:
    """What the index says of how the records were made."""
    first = next(iter(modalities.values()))
    return {
        "clips": dataclasses.asdict(ClipPolicy(frames=1, hop=first.hop)),
        "student": {},  # which network made them is not known
        "widths": {name: modalities[name].width if name in modalities else 0 for name in MODALITIES},
        "hops": {name: modality.hop for name, modality in modalities.items()},
    }


def _save_stretches(out: str, stretches: Stretches, stored: Sequence[Row]) -> None:
    known = {row.video_id: sorted(set(stretches[row.video_id])) for row in stored if row.video_id in stretches}
    with storage.staged(out) as stage:
        atomic.write_json(stage / ACTIONS, dict(sorted(known.items())))


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("data_prep.features"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--features", required=True, type=Path, help="folder with image/VIDEO.npy, audio/VIDEO.npy, or both")
    add(
        "--list",
        required=True,
        type=Path,
        dest="listed",
        help="CSV with columns video,label and perhaps split,start,end",
    )
    add("--out", required=True, help="directory for the shards, here or gs://bucket/folder")
    for name in MODALITIES:
        note = f"seconds from one row of the {name} features to the next; needed where {name}/ is there"
        add(f"--{name}_hop", type=command.number(float, *HOPS), metavar="SECONDS", help=note)
    folder.add_shares(result)
    add("--retry_failed", action="store_true", help="try the videos again that were set aside by an earlier call")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    said = f"interrupted: {args.out} is not finished; run the same command again to continue"
    return command.status(lambda: convert_told(args), interrupted=said)


def convert_told(args: argparse.Namespace) -> None:
    """Converts, and says what was."""
    hops = {name: getattr(args, f"{name}_hop") for name in MODALITIES}
    how = {"val": args.val, "test": args.test, "retry_failed": args.retry_failed}
    index = convert(args.features, args.listed, args.out, hops, **how)
    finish.report(index)
    widths = " and ".join(f"{name} of {width}" for name, width in index.policy["widths"].items() if width)
    print(f"{args.out} is finished: {len(index.labels)} classes, {widths} values, {len(index.failed)} videos set aside")


if __name__ == "__main__":
    command.run(main)
