"""Templates of l2l/report/templates -> one self-contained page in which every name is escaped."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from l2l.core.texts import clock
from l2l.inference.summary import size

PAGES = Path(__file__).parent / "templates"
# Nothing from a network; videos are files, or lie beside the page; the only script is the one with this hash.
POLICY = (
    "default-src 'none'; img-src data:; media-src 'self' file:; style-src 'unsafe-inline'; "
    "script-src 'sha256-{}'; base-uri 'none'; form-action 'none'"
)


def render(template: str, **values: Any) -> str:
    """The page that a template of l2l/report/templates makes of some values; what UTF-8 cannot say becomes "?"."""
    script = (PAGES / "player.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    loader = jinja2.FileSystemLoader(PAGES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.filters |= {"clock": clock, "size": size}
    text = environment.get_template(template).render(policy=POLICY.format(digest), script=Markup(script), **values)
    return text.lstrip().encode("utf-8", "replace").decode("utf-8")
