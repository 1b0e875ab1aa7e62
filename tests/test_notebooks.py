"""The notebooks of docs/ run from top to bottom, without a network, as a reader runs them."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs/notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs the extra 'test'")
    nbclient = pytest.importorskip("nbclient", reason="needs the extra 'test'")
    pytest.importorskip("ipykernel", reason="needs the extra 'test'")
    if path.stem == "clicks-to-network":
        pytest.importorskip("timm", reason="needs the extra 'train'")
    here = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs belong to the reader"
    where = {"metadata": {"path": str(tmp_path)}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the client
        nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3", resources=where).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert not [output for output in shown if output.get("output_type") == "error"]


def test_the_page_links_every_notebook() -> None:
    page = (Path(__file__).parents[1] / "docs/notebooks.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"\{download\}`[^`<]+<notebooks/([\w-]+)\.ipynb>`", page)) == [p.stem for p in NOTEBOOKS]
