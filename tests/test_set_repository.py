"""The project's address is said once, in pyproject.toml; README, documentation and notebook follow, or do without."""

import json
import re

import pytest

from scripts import set_repository
from tests.helpers.commands import ROOT

ADDRESS = "https://example.org/somebody/l2l"
README = "# l2l\n\n<!-- badges -->\n\nText.\n"
NOTEBOOK = "notebooks/explore.ipynb"
DOCS = "site_name: l2l\n# repo_url: set by pyproject's tool.l2l.repository\ntheme: material\n"


def tree(root, address):
    """The files that say the address, as they are without one, and a pyproject.toml that says it."""
    (root / "pyproject.toml").write_text(f'[tool.l2l]\nrepository = "{address}"\n')
    (root / "README.md").write_text(README)
    (root / "mkdocs.yml").write_text(DOCS)
    (root / "notebooks").mkdir(exist_ok=True)
    notebook = (ROOT / NOTEBOOK).read_text(encoding="utf-8")
    (root / NOTEBOOK).write_text(notebook, encoding="utf-8")


def said(root):
    """What the three files say."""
    cells = json.loads((root / NOTEBOOK).read_text(encoding="utf-8"))["cells"]
    (line,) = [line for cell in cells for line in cell["source"] if line.startswith("REPOSITORY")]
    return (root / "README.md").read_text(), (root / "mkdocs.yml").read_text(), line


def test_all_follow_and_an_empty_one_takes_it_back(tmp_path):
    tree(tmp_path, ADDRESS)
    without = said(tmp_path)
    set_repository.set_repository(tmp_path)
    tests = f"{ADDRESS}/actions/workflows/test.yml"
    assert said(tmp_path) == (
        f"# l2l\n\n[![tests]({tests}/badge.svg)]({tests}) <!-- badges -->\n\nText.\n",
        f"site_name: l2l\nrepo_url: {ADDRESS}  # repo_url: set by pyproject's tool.l2l.repository\ntheme: material\n",
        f'REPOSITORY = "git+{ADDRESS}"\n',
    )
    (tmp_path / "pyproject.toml").write_text('[tool.l2l]\nrepository = ""\n')
    set_repository.set_repository(tmp_path)
    assert said(tmp_path) == without == (README, DOCS, 'REPOSITORY = ".."\n')
    assert (tmp_path / NOTEBOOK).read_text(encoding="utf-8") == (ROOT / NOTEBOOK).read_text(encoding="utf-8")


def test_the_files_say_what_pyproject_says(tmp_path):
    """Run on this checkout, it would change nothing; with an address all three say it."""
    files = ("pyproject.toml", *set_repository.LINES)
    (tmp_path / "notebooks").mkdir()
    for name in files:
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    set_repository.set_repository(tmp_path)
    for name in files:
        assert (tmp_path / name).read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8")
    asked = re.sub(r'^repository = ".*?"', f'repository = "{ADDRESS}"', (tmp_path / files[0]).read_text(), flags=re.M)
    (tmp_path / files[0]).write_text(asked)
    set_repository.set_repository(tmp_path)
    assert all(ADDRESS in (tmp_path / name).read_text(encoding="utf-8") for name in files)


def test_the_badge_is_of_a_workflow_that_there_is():
    (name,) = set(re.findall(r"workflows/(\w+\.yml)", set_repository.badge(ADDRESS)))
    assert (ROOT / ".github/workflows" / name).is_file()


@pytest.mark.parametrize("address", ["example.org/l2l", "https://example.org/l2l/", "https://example.org/a b"])
def test_what_is_no_address_changes_nothing(tmp_path, address):
    tree(tmp_path, address)
    before = said(tmp_path)
    with pytest.raises(ValueError, match="is no address: write https://"):
        set_repository.set_repository(tmp_path)
    assert said(tmp_path) == before


def test_a_lost_line_is_named_and_changes_nothing(tmp_path):
    tree(tmp_path, ADDRESS)
    (tmp_path / "mkdocs.yml").write_text("site_name: l2l\n")
    before = said(tmp_path)
    with pytest.raises(ValueError, match=r"mkdocs\.yml: 0 lines like `# repo_url: set by"):
        set_repository.set_repository(tmp_path)
    assert said(tmp_path) == before
