"""The notebook runs from its first cell to its last, on little data, and is stored without outputs."""

import json
from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.helpers import xla

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "notebooks" / "explore.ipynb"
SMALL = """
DEMO, WORK = "nowhere", "work"
SHORT, LONG, BATCH = 64, 8, 8
EPOCHS = {"teacher": 1, "distill": 1, "finetune": 1, "skim": 1}
"""


@pytest.fixture
def notebook():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_stored_without_outputs():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)


def test_it_runs(notebook, tmp_path, monkeypatch):
    """With the sample's recipes for an epoch each; what is printed and drawn comes out."""
    (numbers,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    numbers.source = SMALL
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("XLA_FLAGS", xla.flags(1))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.delenv("MPLBACKEND", raising=False)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    printed = "".join(output.text for output in outputs if output.output_type == "stream" and output.name == "stdout")
    assert len(pictures) == 6
    assert "it says what the teacher says in" in printed
    assert "multiply-adds" in printed
    finished = {path.parent.name for path in (tmp_path / "work/runs").glob("*/done.json")}
    assert finished == {"teacher", "finetune", "skim"}
