"""The code of the pages about networks runs as a reader runs it: as a script, beside the folders that it names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from agmm import load_run
from cli.agmm_cli import main
from cli.sparsekit_cli import main as sparsekit
from data_manifests import read_manifest
from data_manifests.files.images import read_image_size
from data_manifests.files.masks import read_mask
from tests.agmm.conftest import tiny_manifest
from tests.agmm.report.written_runs import SEG, write_run
from tests.helpers.tiny_run import tiny_run

DOCS = Path(__file__).parents[2] / "docs"


def run_code_of(page: str, folder: Path, then: str = "") -> str:
    """Run the Python code of a page in a folder, and further code after it; returns what they print."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    (folder / "script.py").write_text("\n".join([*blocks, then]), encoding="utf-8")
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "sparse/cityscapes-50clicks", size=(32, 48)))
    run_code_of("training", tmp_path)
    info = load_run(tmp_path / "runs/first").info
    assert (info.config.epochs, info.label_space) == (5, manifest.label_space)
    assert len((tmp_path / "runs/first/log.csv").read_text().splitlines()) == 6


#: Keeps what the page has drawn, to be compared with what the commands draw.
KEEP = """
np.savez(
    "drawn.npz",
    clicks=sparse,
    per_class=rasterize(three_per_class, label_map.shape, space),
    scribbles=rasterize(strokes, label_map.shape, space),
    prediction=prediction,
)
Image.fromarray(image).save("image.png")
"""


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # equal bits are promised on a CPU
    printed = run_code_of("python", tmp_path, KEEP)
    assert "sparse/town-50clicks" in printed
    monkeypatch.chdir(tmp_path)
    for command in (
        ["points", "--clicks", "20"],
        ["points", "--clicks", "3", "--strategy", "per-class", "--margin", "4"],
        ["scribbles", "--length", "0.8"],
    ):
        result = CliRunner().invoke(sparsekit, [*command, "mine", "--out", "commands"])
        assert result.exit_code == 0, result.output
    result = CliRunner().invoke(main, ["predict", "runs/first", "image.png", "--out", "predictions", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    with np.load("drawn.npz") as file:
        drawn = dict(file)
    for name, path in {
        "clicks": "commands/mine-20clicks/annotations/a.png",
        "per_class": "commands/mine-3clicks-per-class/annotations/a.png",
        "scribbles": "commands/mine-scribbles80/annotations/a.png",
        "prediction": "predictions/label_maps/image.png",
    }.items():
        assert np.array_equal(drawn[name], read_mask(path)), name
    assert read_image_size("clicks-and-prediction.png") == (64, 256) and len(list(Path("figures").iterdir())) == 2
    assert run_code_of("python", tmp_path, KEEP) == printed  # the cells of a notebook run again


def test_reports(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data"))
    for name, loss in (("seg", SEG), ("agmm", {})):
        write_run(tmp_path / "runs" / name, manifest, loss=loss)
    assert "| class | baseline | ours |" in run_code_of("reports", tmp_path)


def test_evaluation(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra 'export'")
    pytest.importorskip("onnx", reason="needs the extra 'export'")
    manifest = read_manifest(tiny_manifest(tmp_path / "data"))
    run = tiny_run(tmp_path / "runs/first", manifest)
    image = tmp_path / "images/0001.jpg"
    image.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (41, 67, 3), np.uint8)
    Image.fromarray(noise).save(image)
    for command in (["export", run, "--format", "onnx"], ["predict", run, image, "--out", tmp_path / "predictions"]):
        result = CliRunner().invoke(main, list(map(str, command)))
        assert result.exit_code == 0, result.output
    printed = run_code_of("evaluation", tmp_path)
    ours, theirs = (Image.open(tmp_path / name) for name in ("label_map.png", "predictions/label_maps/0001.png"))
    label_map = np.asarray(ours)
    assert np.mean(label_map == np.asarray(theirs)) > 0.99 and label_map.shape == (41, 67)
    assert printed == f"c{label_map[0, 0]} in the upper left corner\n"
