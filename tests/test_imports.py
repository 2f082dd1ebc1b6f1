"""Who may import whom, read from the import statements."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = ("l2l", "data_prep", "configs")
FILES = [path for top in PROJECT for path in sorted((ROOT / top).rglob("*.py"))]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it; `from a import b` gives a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def inside(names: set[str], *tops: str) -> set[str]:
    return {name for name in names if name.split(".")[0] in tops}


LEAVES = (
    "l2l.atomic",
    "l2l.clock",
    "l2l.command",
    "l2l.data.schema",
    "l2l.losses",
    "l2l.metrics",
    "l2l.rules",
    "l2l.rules_index",
    "l2l.sharding",
    "l2l.log",
    "l2l.costs",
)
READ = ("schema", "framing", "media", "cut", "arrays", "scan", "frames", "track", "safe_pickle", "decoder")
READ += ("folders", "texts")
READERS = ("l2l.clock", "l2l.atomic", "l2l.command", "l2l.rules", "l2l.rules_index", "l2l.archive")
READERS += tuple(f"l2l.data.{name}" for name in READ)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_import_rules(path):
    name, names = module_name(path), imports(path)
    own = inside(names, *PROJECT)
    if name in LEAVES:
        assert {n for n in own if not n.startswith("l2l.rules")} <= {"l2l.clock", "l2l.clock.clock"}
    if name.startswith("data_prep"):
        known = {module_name(p) for p in FILES}
        others = {n for n in own if n in known and not n.startswith("data_prep")}
        assert others <= {*READERS, "l2l", "l2l.data"}
        assert not inside(names, "jax", "flax", "optax")
    if name.startswith("l2l"):
        assert not inside(names, "data_prep", "configs")
    if name.startswith("l2l.models"):
        importer = name.startswith("l2l.models.import_")
        assert all(n.startswith("l2l.models") or (importer and n in ("l2l.data", "l2l.data.safe_pickle")) for n in own)
        assert not inside(names, "ml_collections")
    if name.startswith("l2l.tasks"):
        allowed = ("l2l.tasks", "l2l.models", "l2l.losses", "l2l.metrics", "l2l.data.audio", "l2l.data.video")
        assert all(n == "l2l" or n.startswith(allowed) for n in own)
    if name not in ("l2l.data.safe_pickle", "l2l.models.import_i3d"):
        assert not inside(names, "pickle")
    if name != "data_prep.pool":  # which renders what this project itself draws
        assert not inside(names, "multiprocessing")
    if name != "l2l.checkpoint":
        assert not inside(names, "orbax")
    uses_tf = inside(names, "tensorflow", "tensorflow_datasets")
    may_use_tf = name.startswith(("l2l.data.", "data_prep")) and name not in (
        *READERS,
        "l2l.data.audio",
        "l2l.data.video",
    )
    assert may_use_tf or not uses_tf


@pytest.mark.parametrize("path", [p for p in FILES if p.name == "__init__.py"], ids=module_name)
def test_init_files_are_empty_but_for_name_tables(path):
    if path.parent.name not in ("tasks", "models", "l2l"):
        assert path.read_text() == ""


def test_the_schema_pulls_in_nothing():
    code = "import sys, l2l.data.schema; print([m for m in ('jax', 'tensorflow', 'numpy', 'av') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
