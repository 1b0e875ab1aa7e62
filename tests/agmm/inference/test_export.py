from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from agmm.errors import TrainingError
from agmm.inference.export import export_run
from agmm.runs.checkpoint import load_run
from cli.agmm_cli import main
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.helpers.tiny_run import tiny_run

# torch says on each use that TorchScript and its ONNX exporter have successors.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:.*torch.jit:FutureWarning")


def run_of(folder: Path, encoder: str = "resnet10t.c3_in1k") -> Path:
    return tiny_run(folder / "run", read_manifest(tiny_manifest(folder / "data", num_images=1)), encoder=encoder)


# convnext pads images to whole steps: by how much must not be fixed by the size it was traced with.
@pytest.mark.parametrize("encoder", ["resnet10t.c3_in1k", "mobilenetv3_small_050.lamb_in1k", "convnext_atto.d2_in1k"])
def test_torchscript_gives_the_logits_of_the_original_at_any_size(tmp_path: Path, encoder: str) -> None:
    run = run_of(tmp_path, encoder)
    report = export_run(run, "torchscript")
    assert report.path == run / "model.pt"
    assert report.any_size
    assert report.max_difference is not None
    assert report.max_difference < 1e-5
    exported, model = torch.jit.load(report.path), load_run(run).model
    with torch.no_grad():
        for size in ((2, 3, 97, 61), (1, 3, 32, 200)):
            images = torch.rand(*size)
            torch.testing.assert_close(exported(images), model(images).logits)


_FULL_DISK = """
import resource, sys
from cli.agmm_cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
main(["export", *sys.argv[1:]])
"""


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_a_full_disk_is_one_line(tmp_path: Path, kind: str) -> None:
    run = run_of(tmp_path)
    command = [sys.executable, "-c", _FULL_DISK, run, "--format", kind, "--out", tmp_path / "new/net"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr == f"Error: {tmp_path}/new/net: File too large.\n"
    assert not list((tmp_path / "new").iterdir())


def test_description_says_what_goes_in_and_what_comes_out(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    path = tmp_path / "elsewhere/net.pt"
    export_run(run, "torchscript", path=path)
    description = json.loads((tmp_path / "elsewhere/net.pt.json").read_text())
    assert description["label_space"] == load_run(run).label_space.to_dict()
    assert description["output"]["shape"] == ["N", 4, "H", "W"]
    assert description["size"] == "any"


def test_transformers_are_exported_for_one_size(tmp_path: Path) -> None:
    run = run_of(tmp_path, "vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    report = export_run(run, "torchscript", size=(50, 70))
    assert not report.any_size
    assert json.loads((run / "model.pt.json").read_text())["size"] == [50, 70]
    images = torch.rand(1, 3, 50, 70)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(report.path)(images), load_run(run).model(images).logits)


@pytest.mark.parametrize("encoder", ["resnet10t.c3_in1k", "convnext_atto.d2_in1k"])
def test_onnx_gives_the_logits_of_the_original(tmp_path: Path, encoder: str) -> None:
    pytest.importorskip("onnx", reason="writing ONNX needs the package onnx")
    onnxruntime = pytest.importorskip("onnxruntime", reason="running ONNX needs the package onnxruntime")
    run = run_of(tmp_path, encoder)
    report = export_run(run, "onnx")
    assert report.max_difference is not None
    assert report.max_difference < 1e-4
    images = torch.rand(2, 3, 97, 61)
    session = onnxruntime.InferenceSession(report.path, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        expected = load_run(run).model(images).logits.numpy()
    np.testing.assert_allclose(session.run(["logits"], {"images": images.numpy()})[0], expected, atol=1e-4)


def test_what_onnx_cannot_express_is_told_in_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx", reason="writing ONNX needs the package onnx")
    run = run_of(tmp_path, "vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    # Position embeddings are resized by an operation that ONNX lacks.
    result = CliRunner().invoke(main, ["export", str(run), "--format", "onnx", "--size", "47x33"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: This network cannot be exported as onnx (")
    assert result.stderr.endswith("). Try the other format.\n")
    assert len(result.stderr.splitlines()) == 1
    assert capfd.readouterr().out == ""
    assert sorted(p.name for p in run.iterdir()) == ["weights.safetensors"]


def test_without_onnx_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    run = run_of(tmp_path)
    with pytest.raises(TrainingError, match="pip install onnx onnxruntime"):
        export_run(run, "onnx")
    assert sorted(p.name for p in run.iterdir()) == ["weights.safetensors"]


def test_an_export_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path)
    load = torch.jit.load
    monkeypatch.setattr(torch.jit, "load", lambda path: lambda images: load(path)(images) + 1)
    with pytest.raises(TrainingError, match="differ from the original's by 1.*; nothing was written"):
        export_run(run, "torchscript")
    assert sorted(p.name for p in run.iterdir()) == ["weights.safetensors"]


def test_refuses(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    with pytest.raises(ValueError, match="Unknown format 'caffe'. Choose from: onnx, torchscript"):
        export_run(run, "caffe")
    with pytest.raises(ValueError, match="size must be"):
        export_run(run, "torchscript", size=(0, 5))
    with pytest.raises(TrainingError, match="the path is not UTF-8, but PyTorch requires it"):
        export_run(run, "torchscript", path=tmp_path / "\udcff.pt")  # a byte that is no UTF-8


def test_a_folder_that_cannot_be_written_to_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_of(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == run and mode == os.W_OK))
    with pytest.raises(TrainingError, match="run: is not writable. Choose another folder with --out"):
        export_run(run, "torchscript")
    export_run(run, "torchscript", path=tmp_path / "new/net.pt")
    assert (tmp_path / "new/net.pt").is_file()


def test_command(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    result = CliRunner().invoke(main, ["export", str(run), "--format", "torchscript", "--out", str(tmp_path / "n.pt")])
    assert result.exit_code == 0, result.output
    assert "takes images of any size" in result.stdout
    assert "Largest difference of a logit from the original" in result.stdout
    assert (tmp_path / "n.pt").is_file()
    assert CliRunner().invoke(main, ["export", str(run)]).exit_code == 2
