"""What scripts and notebooks hand over, beyond what the commands do."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from agmm import Protocol, load_config, load_run, run_stages, train_network
from agmm.evaluation.evaluate_run import evaluate_run
from agmm.inference.export import export_run
from agmm.inference.predict import predict_images
from agmm.inference.sources import find_images
from agmm.report.runs import read_runs
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.helpers.tiny_run import tiny_run
from tests.helpers.trainings import CONFIG


def test_paths_of_trainings_may_be_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest(tiny_manifest(Path("data")))
    config = replace(CONFIG, epochs=1)
    assert train_network(manifest, config, "runs/first", quiet=True).run_dir == Path("runs/first")
    assert load_run("runs/first").path == load_run("runs/first/weights.safetensors").path
    assert load_config(config_path="runs/first/config.toml") == config
    (run,) = read_runs(["runs/first"])
    assert run.folder == Path("runs/first")
    evaluate_run("runs/first", manifest, split="val", device="cpu", out_dir="scores")
    assert Path("scores/evaluation.json").is_file()
    (stage,) = run_stages(manifest, config, "runs/staged", stages=1, quiet=True)
    assert stage.run_dir == Path("runs/staged/stage-1")


def test_paths_of_predictions_and_exports_may_be_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifest = read_manifest(tiny_manifest(Path("data")))
    tiny_run(Path("runs/first"), manifest)
    images = find_images([str(manifest.resolve(manifest.rows[0].image))], "predictions")
    assert predict_images("runs/first", images, "predictions", device="cpu").num_images == 1
    assert len(list(Path("predictions/label_maps").iterdir())) == 1
    assert export_run("runs/first", "torchscript", path="export/model.pt").path == Path("export/model.pt")


@pytest.mark.parametrize("function", [load_run, lambda path: find_images([path], "out")])
def test_what_is_no_path_is_told(function):
    with pytest.raises(ValueError, match=r"^Expected a path as text or as pathlib.Path, got 3\."):
        function(3)


def test_a_network_refuses_pixels_of_0_to_255(tmp_path):
    run = load_run(tiny_run(tmp_path / "run", read_manifest(tiny_manifest(tmp_path / "data"))))
    assert "<b>Run " in run._repr_html_() and len(run._repr_html_()) < 2000 + len(str(run.path))
    assert repr(run).startswith("<LoadedRun ") and len(repr(run)) < 200 + len(str(run.path))
    pixels = torch.full((1, 3, 40, 56), 255, dtype=torch.uint8)
    with pytest.raises(ValueError, match="float32 in 0..1, got torch.uint8; give images.float"):
        Protocol().predict(run.model, pixels)
    assert Protocol().predict(run.model, pixels.float() / 255).shape[2:] == (40, 56)
