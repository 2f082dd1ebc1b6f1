"""What is in a video: the best classes, the moments a finished run looked at, and what it cost.

    python -m l2l.infer VIDEO... --run=RUN [--json] [--top=5]

RUN is the folder of any finished teacher, distill, finetune or skim run. Clips are cut as the run's data were. A clip
model sees all of them and its scores are averaged; the moments are then the clips that speak most for the best class.
A skimmer names what it picked, with the share of the prediction that was read there.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

EPILOG = """\
--json prints one object per video and line:
  path, top (list of {label, score}), moments (list of {modality, seconds, weight}; modality is image, audio, or both),
  gmacs (1e9 multiply-adds in all), seconds (in all), and gmacs_of {indexing, skimming, recognition} and
  seconds_of {decode, features, skimming}, which add up to them;
  or path and error for a video that cannot be used, which does not stop the others.

Exit status: 0, 1 if a video or the run cannot be used, 130 after Ctrl-C.
"""


def at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m l2l.infer",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("videos", nargs="+", metavar="VIDEO", help="video file")
    result.add_argument("--run", required=True, help="folder of a finished run")
    result.add_argument("--json", action="store_true", help="one JSON object per video and line")
    result.add_argument("--top", type=at_least_one, default=5, help="how many classes (default: %(default)s)")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    sys.stdout.reconfigure(errors="backslashreplace")  # labels that the terminal's encoding lacks
    try:
        return look(args)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def look(args: argparse.Namespace) -> int:
    """Prints every video's answer; 1 if one has an error instead."""
    from tqdm import tqdm

    from l2l.data.scan import MediaError
    from l2l.look import load  # takes seconds: --help need not wait, and Ctrl-C is caught meanwhile

    model, failed = load(args.run), False
    show = json.dumps if args.json else text
    quiet = True if len(args.videos) == 1 else None
    videos = tqdm(args.videos, desc="infer", unit="video", leave=False, disable=quiet)
    for path, found in zip(args.videos, model.each(videos), strict=True):
        failed |= isinstance(found, MediaError)
        tqdm.write(
            show({"path": path, "error": found.reason} if isinstance(found, MediaError) else found.to_json(args.top))
        )
        sys.stdout.flush()
    return int(failed)


def text(result: dict[str, Any]) -> str:
    """For a person: several lines, or `path: error`."""
    name = printable(result["path"])
    if "error" in result:
        return f"{name}: {result['error']}"
    parts = lambda numbers: ", ".join(f"{part} {value:.3g}" for part, value in numbers.items())
    lines = [f"{100 * x['score']:5.1f} %  {printable(x['label'])}" for x in result["top"]]
    for modality in dict.fromkeys(m["modality"] for m in result["moments"]):
        own = [m for m in result["moments"] if m["modality"] == modality]
        lines.append(f"{modality:<8} " + "  ".join(f"{clock(m['seconds'])} ({m['weight']:.2f})" for m in own))
    lines.append(f"GMACs    {result['gmacs']:.3g}: {parts(result['gmacs_of'])}")
    lines.append(f"seconds  {result['seconds']:.3g}: {parts(result['seconds_of'])}")
    return "\n  ".join([name, *lines])


def clock(seconds: float) -> str:
    """mm:ss, as a player shows it."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes:02d}:{rest:02d}"


def printable(name: str) -> str:
    """A name on one line, quoted and escaped where it has characters that a terminal must not get."""
    return name if name.isprintable() else ascii(name)


if __name__ == "__main__":
    sys.exit(main())
