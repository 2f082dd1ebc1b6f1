"""What this machine has and what is missing for what, with the cure.

    python -m l2l.doctor [--json]

Versions, packages that break when they are imported, devices, codecs, folders that can be written to, the compile
cache. It needs nothing but Python, whatever else is missing or broken.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence

from l2l.core import command
from l2l.doctor import checks, packages

EPILOG = """\
--json prints one object: ok, and findings: a list of
  {part, name, status (ok, missing, broken, unused), said, needed_for, required, cure}.

Exit status: 0, 1 if something required is missing or broken.
"""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog=command.program("l2l.doctor"),
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--json", action="store_true", help="one JSON object")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    args = parser().parse_args(argv)
    found = [*packages.versions(), *checks.devices(), *checks.codecs(), *checks.folders()]
    bad = [x for x in found if x.required and x.status != checks.OK]
    if args.json:
        print(json.dumps({"ok": not bad, "findings": [dataclasses.asdict(x) for x in found]}))
    else:
        print(text(found))
    return int(bool(bad))


def text(found: Sequence[checks.Finding]) -> str:
    """For a person: the parts, then what is missing for what."""
    lines = []
    for part in dict.fromkeys(x.part for x in found):
        lines += [part, *(f"  {x.status:<8} {x.name:<20} {x.said}" for x in found if x.part == part)]
    for title, required in (("to mend", True), ("only if you want it", False)):
        bad = [x for x in found if x.status != checks.OK and x.required == required]
        lines += ["", title, *(f"  {x.needed_for}: {x.name} is {x.status}; {x.cure}" for x in bad)] if bad else []
    return "\n".join(lines)


if __name__ == "__main__":
    command.run(main)
