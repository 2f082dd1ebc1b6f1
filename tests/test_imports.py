"""What no file may import but the one that is its only door, read from the import statements."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [path for top in ("l2l", "data_prep", "configs") for path in sorted((ROOT / top).rglob("*.py"))]
# Library -> the files that may import it.
DOORS = {
    "pickle": {"safe_pickle.py", "i3d_names.py"},
    "multiprocessing": {"pool.py"},  # which renders what this project itself draws
    "orbax": {"checkpoint.py"},
}


def imports(path: Path) -> set[str]:
    """Names of the packages that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_doors(path):
    assert not {name for name in imports(path) & set(DOORS) if path.name not in DOORS[name]}


def test_a_folder_can_be_taken_in_at_a_glance():
    """Nobody looks through more names than that: directly in l2l at most 10 files, in a package at most 13."""
    held = {}
    for path in FILES:
        if path.name != "__init__.py" and path.parent.name != "configs":
            held.setdefault(path.parent.relative_to(ROOT), []).append(path.name)
    assert not {
        folder: len(names) for folder, names in held.items() if len(names) > (10 if folder == Path("l2l") else 13)
    }


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=lambda path: path.parent.name)
def test_init_files_hold_name_tables_at_most(path):
    if path.parent.name not in ("tasks", "models", "l2l"):
        body = ast.parse(path.read_text()).body
        assert all(isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant) for x in body)


def test_the_schema_pulls_in_nothing():
    code = "import sys, l2l.data.schema; print([m for m in ('jax', 'tensorflow', 'numpy', 'av') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
