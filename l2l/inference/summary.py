"""A result in a few lines for a person at a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from l2l.core.texts import clock
from l2l.inference.result import SILENCES

NOT_CALIBRATED = (
    "The scores are the network's own and may be too sure or not sure enough; for a skim run, "
    "python -m l2l.sure RUN --data=FEATURES calibrates them"
)


def text(result: Mapping[str, Any]) -> str:
    """What `Result.to_json` gives, in several lines; or `path: error`."""
    name = printable(result["path"])
    if "error" in result:
        return f"{name}: {result['error']}"
    parts = lambda numbers: ", ".join(f"{part} {value:.3g}" for part, value in numbers.items())
    lines = [f"{100 * x['score']:5.1f} %  {printable(x['label'])}" for x in result["top"]]
    for modality in dict.fromkeys(m["modality"] for m in result["moments"]):
        own = [m for m in result["moments"] if m["modality"] == modality]
        lines.append(f"{modality:<8} " + "  ".join(f"{clock(m['at'], tenths=True)} ({m['weight']:.2f})" for m in own))
    lines += notes(result)
    lines.append(f"looks    {result['looks']}, video of {result['positions']} positions")
    lines.append(f"GMACs    {result['gmacs']:.3g}: {parts(result['gmacs_of'])}")
    lines.append(f"seconds  {result['seconds']:.3g}: {parts(result['seconds_of'])}")
    decoded = (f"{kind} {x['seconds']:.3g} s, {size(x['bytes'])}" for kind, x in result["decoded"].items())
    lines.append(f"decoded  {'; '.join(decoded)}")
    lines += [f"page     {printable(result['page'])}"] if "page" in result else []
    return "\n  ".join([name, *lines])


def notes(result: Mapping[str, Any]) -> list[str]:
    """A line for each."""
    return [f"note     {note}" for note in result["notes"]]


def running(result: Mapping[str, Any], until: float) -> str:
    """One line of a video that is still coming: how far it has come, the best class so far, and if nothing is heard."""
    best, silence = result["top"][0], "".join(f"  ({note})" for note in result["notes"] if note in SILENCES)
    return f"{clock(until)}  {100 * best['score']:5.1f} %  {printable(best['label'])}{silence}"


def failures(failed: Sequence[Mapping[str, Any]], count: int) -> str:
    """What could not be used of so many videos."""
    return "\n  ".join([f"{len(failed)} of {count} could not be used:", *map(text, failed)])


def size(count: int) -> str:
    """Bytes in kB or MB."""
    return f"{count / 1e3:.3g} kB" if count < 1e6 else f"{count / 1e6:.3g} MB"


def printable(name: str) -> str:
    """A name on one line, quoted and escaped where it has characters that a terminal must not get."""
    return name if name.isprintable() else ascii(name)
