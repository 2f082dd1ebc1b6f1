"""Markdown of the generated pages: tables, and what docstrings say."""

import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence

# A program, or a flag with its value, in a text that does not set it apart.
PROGRAM = re.compile(
    r"pip install [^)\n]*|python -m [\w.]*\w|(?<![\w-])--[a-z]\w*(?:\.[\w.]*\w)?(?:=(?:[\w./:-]*\w)?)?"
)
MADE = "<!-- made by `make reference`: change what it is made from, not this page -->"


def escaped(text: str) -> str:
    """Text in which nothing but what stands between backticks is markup; programs and flags are put between them."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(piece if piece.startswith("`") else _plain(piece) for piece in pieces)


def _plain(text: str) -> str:
    text = re.sub(r"([*\\])", r"\\\1", text.replace("<", "&lt;"))
    return re.sub(PROGRAM, r"`\g<0>`", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of cells whose text is Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "&#124;")


def prose(text: str | None) -> str:
    """A docstring as Markdown: its indented lines stay blocks of code, lists get the blank line that they need."""
    found: list[str] = []
    for line in _lists(textwrap.dedent(text or "")).splitlines():
        before = found[-1] if found else ""
        in_list = line.startswith("  ") and before.startswith(("- ", "  ")) and not before.startswith("    ")
        block = line.startswith("  ") and not in_list
        begins_list = line.startswith("- ") and not before.startswith(("- ", "  "))
        ends_list = before.startswith("- ") and not line.startswith(("- ", "  "))
        if before and line and (begins_list or ends_list or block != before.startswith("    ")):
            found.append("")
        if in_list:
            found.append(f"  {escaped(line.strip())}")
        else:
            found.append(line if line.startswith("    ") else f"    {line}" if block else escaped(line))
    return "\n".join(found).strip("\n")


def _lists(text: str) -> str:
    """Lines that are indented by two, and of which some end with a semicolon, are a list that semicolons separate."""

    def of(lines: re.Match) -> str:
        items = [" ".join(item.split()) for item in lines[0].split(";")]
        return "\n".join(f"- {item}" for item in items) + "\n" if ";\n" in lines[0] else lines[0]

    return re.sub(r"(?:^  \S.*\n)+", of, text, flags=re.MULTILINE)


def attributes(docstring: str | None) -> dict[str, str]:
    """What the section "Attributes" of a docstring says of each name."""
    section = inspect.cleandoc(docstring or "").partition("Attributes:\n")[2].partition("\n\n")[0]
    found = {}
    for names, text in re.findall(r"^  (\w[\w, ]*): (.*(?:\n {4}.*)*)", section, re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), " ".join(text.split()).removesuffix("."))
    return found


def allowed(words: str) -> str:
    """The words of a rule, without an article; large numbers as powers."""
    short = re.sub("^an? ", "", words).replace(", of characters that can be written", "")
    return escaped(re.sub(r"\d{7,}", lambda x: _power(int(x[0])), short))


def json_rule(words: str) -> str:
    """The same of a value in a JSON file, which has lists."""
    return allowed(words.replace("a tuple of", "a list of"))


def _power(number: int) -> str:
    for base, power in ((2, number.bit_length() - 1), (10, len(str(number)) - 1)):
        if base**power == number:
            return f"{base}^{power}"
    return f"2^{number.bit_length()} - 1" if number + 1 == 2 ** number.bit_length() else str(number)


def page(title: str, *parts: str) -> str:
    return "\n\n".join([MADE, f"# {title}", *(part.strip("\n") for part in parts)]) + "\n"
