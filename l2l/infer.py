"""What is in videos: the best classes, the moments a finished run looked at, and what it cost.

    python -m l2l.infer VIDEO... --run=RUN [--stride=5] [--stop_when_sure] [--json] [--html=DIR]
    python -m l2l.infer --follow=FILE --run=RUN

RUN is the folder of any finished teacher, distill, finetune or skim run, or a file that `python -m l2l.export` made of
one: such a file is a program, take it only from people whom you trust. VIDEO is a file, a folder (all videos below it),
a pattern, or @LIST, a text file with one of these a line. Clips are cut as the run's data were. A clip model sees all
clips of a video, however few of each were stored to learn from, and its scores are averaged; the moments are then the
clips that speak most for the best class. A skimmer names what it picked, with the share of the prediction that was read
there.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from l2l.core import command

EPILOG = """\
--json prints one object per video and line:
  path; top, a list of {label, score}; calibrated, whether the scores can be read as probabilities;
  moments, a list of {modality, at, weight}: modality is image, audio, or both, at is the place in the film in
  seconds, weight the share of the prediction, of a skimmer also look, which of its looks that was, from 1, and where
  a picture was seen closer region, [left, top, side] in shares of its middle square (seconds is the old name of at);
  chosen_by, of a run that chooses all its looks at once: what chose, audio, image (of every few positions) or both;
  its moments come in the order of the choice, the likeliest first;
  looks, how many there were; positions, of how many clips; has_audio, false if nothing was heard: then no moment is
  audio or both;
  notes, a list of what has to be known to read the answer: of the file, such as which of its sound tracks was read,
  "no sound", "sound track is silent", what a run does without sound, and that a run knows nothing but the built-in set;
  gmacs (1e9 multiply-adds in all) and gmacs_of {indexing, skimming, recognition}, which add up to it;
  seconds (in all) and seconds_of {decode, features, skimming, compile}, which add up to it: compile is what the
  first video of a length waits for;
  decoded {image, audio}, each {seconds, bytes}: how much of the film went to a decoder;
  run {name, hash, classes, stride, stop_when_sure}: which run looked, and how; page, with --html;
  or path and error for a video that cannot be used, which does not stop the others.
With --follow one such object follows the other while the video comes; the last one is the answer to the whole.

Exit status: 0, 1 if a video or the run cannot be used, 130 after Ctrl-C.
"""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("l2l.infer"),
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("videos", nargs="*", metavar="VIDEO", help="video file, folder, pattern, or @LIST")
    add("--list", action="append", default=[], metavar="LIST", help="text file with one VIDEO a line")
    add("--follow", metavar="FILE", help="a video that is still being written, or - for the standard input")
    add("--run", required=True, help="folder of a finished run, or an exported file")
    add(
        "--stride",
        type=command.number(int, 1, 1e6),
        help="skimmer: describe every so many-th position (default: as it was trained)",
    )
    add("--stop_when_sure", action="store_true", help="skimmer: early exit, by the rule that python -m l2l.sure fitted")
    add(
        "--audio_track",
        type=command.number(int, 1),
        metavar="N",
        help="read the N-th sound track (default: one is chosen)",
    )
    add("--trust_length", choices=("yes", "no"), default="yes", help="no: take files shorter than they say")
    add("--json", action="store_true", help="one JSON object per video and line")
    add("--html", metavar="DIR", help="write a page per video into this folder")
    add("--top", type=command.number(int, 1), default=5, help="how many classes (default: %(default)s)")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    if bool(args.follow) == bool(args.videos or args.list):
        parser().error("name videos, or one with --follow")
    return command.status(lambda: follow(args) if args.follow else look(args))


def load(args: argparse.Namespace) -> Any:
    """The model; takes seconds: --help need not wait, and Ctrl-C is caught meanwhile."""
    from l2l.inference.model import load

    whole = args.trust_length == "yes"
    how = {"stride": args.stride, "stop_when_sure": args.stop_when_sure}
    return load(args.run, **how, audio_track=args.audio_track, trust_length=whole)


def look(args: argparse.Namespace) -> int:
    """Prints every video's answer, or why there is none; 1 if that happens."""
    from tqdm import tqdm

    from l2l.media.paths import paths_of

    model, paths, failed = load(args), paths_of(args.videos, args.list), []
    quiet, pages, calibrated = True if len(paths) == 1 else None, pages_of(args), True
    for path, found in tqdm(answers(model, paths), "infer", len(paths), unit="video", leave=False, disable=quiet):
        told = tell(path, found, args, pages, model)
        calibrated &= told.get("calibrated", True)
        failed += [told] if "error" in told else []
        tqdm.write(show(told, args))
        sys.stdout.flush()
    remark(failed, len(paths), calibrated or args.json)
    return int(bool(failed))


def answers(model: Any, paths: Sequence[Any]) -> Iterable[tuple[str, Any]]:
    """Every path with its Result or MediaError."""
    found = model.each(path for path in paths if isinstance(path, str))
    for path in paths:
        yield (path, next(found)) if isinstance(path, str) else (path.path, path)


def tell(path: str, found: Any, args: argparse.Namespace, pages: Any, model: Any) -> dict[str, Any]:
    """What a model says of a video; writes its page, if there are any."""
    from l2l.media.scan import MediaError

    if isinstance(found, MediaError):
        return {"path": path, "error": found.reason}
    page = {"page": write_page(found, pages, model)} if pages else {}
    return found.to_json(args.top) | page


def show(told: dict[str, Any], args: argparse.Namespace) -> str:
    from l2l.inference.summary import text

    return json_of(told) if args.json else text(told)


def json_of(told: dict[str, Any]) -> str:
    """One line; raises ValueError for a number that JSON does not have."""
    return json.dumps(told, allow_nan=False)


def remark(failed: Sequence[dict[str, Any]], count: int, calibrated: bool) -> None:
    """What concerns all videos together goes to the standard error."""
    from l2l.inference import summary

    if not calibrated and len(failed) < count:
        print(summary.NOT_CALIBRATED, file=sys.stderr)
    if failed and count > 1:
        print(summary.failures(failed, count), file=sys.stderr)


def write_page(result: Any, pages: Any, model: Any) -> str:
    """Writes a video's page and returns its path."""
    from l2l.report.video_page import html_of

    return pages.write(
        result.path,
        html_of(result, result.path, folder=pages.folder, decoder=model.decoders, reading=model.reading),
    )


def pages_of(args: argparse.Namespace) -> Any:
    """Where pages go; None if none are asked for."""
    from l2l.report.page_folder import PageFolder

    return PageFolder(args.html) if args.html else None


def follow(args: argparse.Namespace) -> int:
    """Prints the answer to what has come so far again and again, and at the end the one to the whole."""
    from l2l.media.scan import MediaError

    model, known = load(args), list[str]()
    try:
        for result in model.stream(args.follow):  # one at least: the last, of all that has come
            told = result.to_json(args.top)
            print(json_of(told) if args.json else so_far(told, float(result.times[-1]), known), flush=True)
            known = told["notes"]
    except MediaError as error:
        print(show(tell(args.follow, error, args, pages_of(args), model), args))
        return 1
    told = tell(args.follow, result, args, pages_of(args), model)
    if not args.json:
        print(show(told, args))
    remark([], 1, result.calibrated or args.json)
    return 0


def so_far(told: dict[str, Any], until: float, known: Sequence[str]) -> str:
    """The line of a running answer; its notes follow where they are not known yet."""
    from l2l.inference.summary import notes, running

    return "\n  ".join([running(told, until), *(notes(told) if told["notes"] != known else [])])


if __name__ == "__main__":
    command.run(main)
