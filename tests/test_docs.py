"""README and docs/: how long the first is, that links lead somewhere, that the pages ask nothing of other hosts."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.commands import ROOT

TEXTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PICTURE = ROOT / "docs/images/film.png"


def links(path: Path) -> list[str]:
    """Targets of the relative links and pictures of a text, without anchors."""
    found = [target.partition("#")[0] for target in LINK.findall(path.read_text(encoding="utf-8"))]
    return [target for target in found if target and not re.match(r"\w+:", target)]


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_picture_is_small():
    assert "docs/images/film.png" in links(ROOT / "README.md")
    assert PICTURE.stat().st_size < 300_000
    with Image.open(PICTURE) as picture:
        assert min(picture.size) > 600


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    assert [target for target in links(path) if not (path.parent / target).exists()] == []


class Asked(HTMLParser):
    """What a browser would fetch for a page by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("script", "img", "iframe", "source", "video", "audio"):
            self.urls.append(found.get("src") or "")
        elif tag == "link" and found.get("rel") not in ("canonical", "prev", "next"):
            self.urls.append(found.get("href") or "")


def test_the_pages_ask_nothing_of_other_hosts(tmp_path):
    """They are built as `make docs` builds them: every page is in the menu and every link leads somewhere."""
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={tmp_path}"]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) >= len(TEXTS) - 1  # all but README
    for page in pages:
        asked = Asked()
        asked.feed(page.read_text(encoding="utf-8"))
        assert asked.urls
        assert [url for url in asked.urls if re.match(r"(\w+:)?//", url)] == []
    for sheet in tmp_path.rglob("*.css"):
        assert re.findall(r"url\(['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")) == []
