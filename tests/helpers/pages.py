"""Pages of the report, as tests read them."""

import html.parser
import re

from l2l.report import __main__ as report


class Page(html.parser.HTMLParser):
    """Elements with their attributes, and all text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += " ".join(data.split()) + " "

    def of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


def make(capsys, out, *folders, more=()):
    """Runs the command; returns the page and its text."""
    assert report.main([*map(str, folders), f"--out={out}", *more]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text(encoding="utf-8")
    return Page(text), text


def shares_of(page, row):
    """top-1, its error, top-5, mAP, N of a row of the accuracy table, as shown; None where there is a dash."""
    found = re.search(rf" {re.escape(row)} (?:val|test) ((?:[\d.,–]+ ){{5}})", page.text)[1].split()
    return [None if x == "–" else float(x.replace(",", "")) for x in found]
