"""Writes the project's address, `repository` of [tool.l2l] in pyproject.toml, to where it is said.

    python scripts/set_repository.py

README.md gets the badge of the tests, mkdocs.yml the link of the documentation, the notebook the source that it
installs from. While the address is empty, all three do without it.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BADGE_MARK = "<!-- badges -->"
DOCS_MARK = "# repo_url: set by pyproject's tool.l2l.repository"
CHECKOUT = ".."  # the notebook's folder lies in the project's


def badge(address: str) -> str:
    """README's line of badges; the mark stays behind them, because a line that begins with it would be read as HTML."""
    if not address:
        return BADGE_MARK
    tests = f"{address}/actions/workflows/test.yml"
    return f"[![tests]({tests}/badge.svg)]({tests}) {BADGE_MARK}"


def docs_link(address: str) -> str:
    """The line of mkdocs.yml."""
    return f"repo_url: {address}  {DOCS_MARK}" if address else DOCS_MARK


def clone_line(address: str) -> str:
    """The notebook's line, as JSON has it."""
    source = f"git+{address}" if address else CHECKOUT
    return rf"REPOSITORY = \"{source}\""


# File -> (what its line looks like with or without an address, the line for an address).
LINES = {
    "README.md": (re.compile(rf"^.*{re.escape(BADGE_MARK)}$", re.MULTILINE), badge),
    "mkdocs.yml": (re.compile(rf"^.*{re.escape(DOCS_MARK)}$", re.MULTILINE), docs_link),
    "notebooks/explore.ipynb": (re.compile(r"REPOSITORY = \\\"[^\"]*\\\""), clone_line),
}


def set_repository(root: Path) -> None:
    """Writes the three lines.

    Raises:
        ValueError: with the file, what is wrong and the cure; nothing was written then.
    """
    address = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["l2l"]["repository"]
    if address and not re.fullmatch(r"https://[^\s\"]+[^\s\"/]", address):
        raise ValueError(
            f"pyproject.toml: repository = {address!r} is no address: write https://... with no / at its end"
        )
    texts = {}
    for name, (pattern, line) in LINES.items():
        text = (root / name).read_text(encoding="utf-8")
        found = pattern.findall(text)
        if len(found) != 1:
            raise ValueError(f"{name}: {len(found)} lines like `{line('')}`: there must be one")
        texts[name] = text.replace(found[0], line(address))
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    try:
        set_repository(ROOT)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
