"""The examples of docs/integrations.md run as they stand, and are as short as the page needs them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_manifests import Manifest, Mark, read_manifest, read_row_annotation, write_marks
from tests.agmm.conftest import tiny_manifest

PAGE = (Path(__file__).parents[2] / "docs/integrations.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^## (.*?)\n(?:(?!^## ).)*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
#: Packages of examples that nobody needs otherwise; the others are ours, or their examples fail without them.
OPTIONAL = (
    "albumentations", "datasets", "lightning", "mmengine", "segmentation_models_pytorch", "supervision", "torchmetrics",
    "transformers",
)  # fmt: skip


def write_clicks(manifest: Manifest) -> None:
    """The marks of the annotations, which exports need."""
    marks = []
    for row in manifest.rows_of("train"):
        annotation = read_row_annotation(manifest, row)
        places = np.argwhere(annotation != 255).tolist()
        marks.append((row.image_id, [Mark("click", int(annotation[r, c]), r, c) for r, c in places]))
    write_marks(manifest.marks_path, marks)


def code_lines(code: str) -> list[str]:
    """Lines without imports, comments and blank ones."""
    return [line for line in code.splitlines() if line and not re.match(r"(import|from|#) ?", line)]


@pytest.mark.parametrize(("title", "code"), EXAMPLES, ids=[title for title, _ in EXAMPLES])
def test_example(title: str, code: str, tmp_path: Path) -> None:
    assert len(code_lines(code)) <= 15
    for package in OPTIONAL:
        if re.search(rf"^(import|from) {package}\b", code, re.MULTILINE) and not importlib.util.find_spec(package):
            pytest.skip(f"needs {package}")
    write_clicks(read_manifest(tiny_manifest(tmp_path / "sparse/town-50clicks")))
    (tmp_path / "script.py").write_text(code)
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "NO_ALBUMENTATIONS_UPDATE": "1"}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | offline | {"CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_table_counts_the_lines() -> None:
    counted = re.findall(r"^\| (?:Hugging Face )?`?([\w.]+)[^|]*\|[^|]*\| (\d+) \|", PAGE, re.MULTILINE)
    names = {
        "Plain PyTorch": "PyTorch", "Hugging Face Trainer": "Trainer", "Hugging Face datasets": "datasets",
        "Your own augmentation": "albumentations", "Metrics": "torchmetrics", "Viewers and converters": "supervision",
        "Weights on the Hugging Face hub": "hub",
    }  # fmt: skip
    table = dict(counted)
    assert {title: str(len(code_lines(code))) for title, code in EXAMPLES} == {
        title: table[names.get(title, title)] for title, _ in EXAMPLES
    }


def test_every_section_with_code_is_run() -> None:
    assert len(EXAMPLES) == PAGE.count("```python")
