"""The runs that a page of `l2l.report` shows, read from its table.

    python -m tests.helpers.report_page runs/sample/report.html

Ends with an error unless the page has a row for every stage of the demo.
"""

import html.parser
import sys
from pathlib import Path

DEMO = {
    "teacher": "training",
    "distill": "distillation",
    "finetune": "fine-tuning",
    "extract": "extraction",
    "skim": "skimming",
}


class Rows(html.parser.HTMLParser):
    """Rows of the table below the heading whose id is "runs"; a cell is a list of its pieces of text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[list[str]]] = []
        self.place, self.in_cell = "before", False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if dict(attrs).get("id") == "runs":
            self.place = "heading"
        elif tag == "table" and self.place == "heading":
            self.place = "table"
        elif tag == "tr" and self.place == "table":
            self.rows.append([])
        elif tag in ("td", "th") and self.place == "table":
            self.rows[-1].append([])
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.in_cell &= tag not in ("td", "th")
        if tag == "table" and self.place == "table":
            self.place = "after"

    def handle_data(self, data: str) -> None:
        if self.in_cell and data.strip():
            self.rows[-1][-1].append(" ".join(data.split()))


def runs_of(page: Path) -> dict[str, dict[str, str]]:
    """Name of a run -> column -> text; its hash and its stage are the columns "hash" and "stage"."""
    head, *rows = Rows(page.read_text(encoding="utf-8")).rows or [[]]
    columns = [" ".join(cell) for cell in head[1:]]
    return {
        run[0]: {"hash": run[-1], "stage": cells[0][0]} | dict(zip(columns, map(" ".join, cells), strict=True))
        for run, *cells in rows
    }


def main(page: str) -> None:
    found = {name: row["stage"] for name, row in runs_of(Path(page)).items()}
    if found != DEMO:
        sys.exit(f"error: {page} shows the runs {found}, not {DEMO}")
    print(f"{page} shows all of {', '.join(DEMO)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
