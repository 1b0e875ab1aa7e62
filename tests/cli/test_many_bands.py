"""The whole way on a GeoTIFF of eight bands with 16 bits: points, render, train, evaluate, predict."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from click.testing import CliRunner
from PIL import Image

from agmm.config.model import ModelConfig
from agmm.models.encoders import build_encoder
from agmm.runs.checkpoint import load_run
from cli.agmm_cli import main as agmm_main
from cli.sparsekit_cli import main as sparsekit_main
from data_manifests import read_manifest, read_row_image
from data_manifests.files.masks import read_mask
from data_manifests.files.view import ImageView

rasterio = pytest.importorskip("rasterio", reason="needs rasterio, extra geo")

HEIGHT, WIDTH = 48, 64
TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_400_000.0)


def run(main, *arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def scene(path: Path, seed: int) -> np.ndarray:
    """Values up to 3000 in eight bands, LZW and tiles, as satellites' products come; shape (8, H, W)."""
    values = np.random.default_rng(seed).integers(0, 3001, (8, HEIGHT, WIDTH)).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 8, "dtype": "uint16", "compress": "lzw"}
    where = {"crs": "EPSG:32633", "transform": rasterio.Affine(*TRANSFORM)}
    with rasterio.open(path, "w", tiled=True, blockxsize=16, blockysize=16, **profile, **where) as file:
        file.write(values)
    return values


@pytest.fixture
def scenes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = {}
    for seed, name in enumerate(("train/images/a", "train/images/b", "val/images/c")):
        values[name[-1]] = scene(Path("scenes") / f"{name}.tif", seed)
        mask = Path("scenes") / name.replace("images", "masks")
        mask.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((values[name[-1]][7] > 1500).astype(np.uint8)).save(f"{mask}.png")
    Path("scenes/classes.csv").write_text("id,name\n0,low\n1,high\n")
    return values


def test_the_whole_way(scenes):
    view = ("--bands", "4,3,2", "--value-range", "0,3000")
    run(sparsekit_main, "points", "--clicks", 10, *view, "scenes")
    manifest = read_manifest("sparse/scenes-10clicks")
    assert json.loads(manifest.path.with_suffix(".json").read_text())["images"] == {
        "bands": [4, 3, 2],
        "value_range": [0.0, 3000.0],
    }
    for row in manifest.rows:
        expected = np.rint(np.moveaxis(scenes[row.image_id[-1]][[3, 2, 1]], 0, 2).astype(float) * 255 / 3000)
        assert np.abs(read_row_image(manifest, row) - expected).max() <= 1  # at halves it may go either way
    run(sparsekit_main, "validate", manifest.path)
    run(sparsekit_main, "render", manifest.path, "--out", "figures")
    assert list(Path("figures").rglob("*.png"))
    small = ("--encoder", "mobilenetv3_small_050.lamb_in1k", "--encoder-weights", "none", "--crop-size", "32x32")
    run(agmm_main, "train", manifest.path, "--out", "run", "--epochs", 1, "--workers", 0, "--device", "cpu", *small)
    run(agmm_main, "evaluate", "run", manifest.path, "--device", "cpu")
    run(agmm_main, "predict", "run", "scenes/val/images", "--out", "predictions", "--device", "cpu")
    label_map = read_mask("predictions/label_maps/c.png")
    with rasterio.open("predictions/label_maps/c.tif") as file:
        assert file.crs.to_epsg() == 32633 and tuple(file.transform)[:6] == TRANSFORM and file.nodata == 255
        np.testing.assert_array_equal(file.read(1), label_map)


def test_percentiles_as_the_range_of_values(scenes):
    run(sparsekit_main, "points", "--clicks", 10, "--bands", "4,3,2", "--value-range", "2%,98%", "scenes")
    view = read_manifest("sparse/scenes-10clicks").info.images
    seen = np.stack([values[[3, 2, 1]] for values in scenes.values()])
    np.testing.assert_allclose(view.value_range, np.percentile(seen, [2, 98]), atol=0.01)
    assert view.bands == (4, 3, 2)


SMALL = (
    "--encoder", "mobilenetv3_small_050.lamb_in1k", "--encoder-weights", "none", "--crop-size", "80x32",
    "--workers", 0, "--device", "cpu",
)  # fmt: skip


def test_the_whole_way_on_all_bands(scenes):
    run(sparsekit_main, "points", "--clicks", 10, "--value-range", "0,3000", "scenes")
    manifest = "sparse/scenes-10clicks"
    run(agmm_main, "train", manifest, "--bands", "all", "--out", "run", "--epochs", 1, *SMALL)
    loaded = load_run("run")
    assert loaded.model.encoder.backbone.conv_stem.weight.shape[1] == 8
    assert loaded.info.images == ImageView(tuple(range(1, 9)), (0.0, 3000.0))
    seen = np.stack([scenes["a"], scenes["b"]]).astype(float).clip(0, 3000) / 3000
    np.testing.assert_allclose(loaded.model.image_mean.flatten(), seen.mean((0, 2, 3)), atol=1 / 255)
    np.testing.assert_allclose(loaded.model.image_std.flatten(), seen.std((0, 2, 3)), atol=1 / 255)
    written = tomllib.loads(Path("run/config.toml").read_text())
    assert written["bands"] == list(range(1, 9)) and len(written["image_mean"]) == len(written["image_std"]) == 8
    run(agmm_main, "evaluate", "run", manifest, "--device", "cpu", "--gmm", "--split", "train")
    run(agmm_main, "predict", "run", "scenes/val/images", "--out", "out", "--device", "cpu", "--overlays")
    image = np.rint(np.moveaxis(scenes["c"], 0, 2).astype(np.float32) * np.float32(255 / 3000)).clip(0, 255)
    with torch.inference_mode():
        logits = loaded.model(torch.from_numpy(image / 255).permute(2, 0, 1)[None]).logits
    agree = read_mask("out/label_maps/c.png") == logits[0].argmax(0).numpy()
    assert agree.mean() > 0.99  # values at halves may be rounded either way
    assert Path("out/overlays/c.jpg").is_file()
    again = ("--config", "run/config.toml", "--out", "again")
    run(agmm_main, "train", manifest, *again)
    assert Path("again/weights.safetensors").read_bytes() == Path("run/weights.safetensors").read_bytes()
    run(agmm_main, "train", manifest, "--resume", "run", "--bands", "all", "--epochs", 2)


def test_stages_and_a_report_on_some_bands(scenes, monkeypatch):
    monkeypatch.setattr("agmm.requirements.require_crf", lambda: None)  # as if its package were installed
    view = ("--bands", "4,3,2", "--value-range", "0,3000")
    run(sparsekit_main, "points", "--clicks", 10, *view, "scenes")
    manifest = "sparse/scenes-10clicks"
    bands = ("--bands", "8,1,2,3,5", "--epochs", 1)
    for _ in range(2):  # the second call finds all stages finished
        run(agmm_main, "stages", manifest, "--stages", 2, "--out", "stages", *bands, *SMALL)
    assert load_run("stages/stage-2").info.images.bands == (8, 1, 2, 3, 5)
    assert read_manifest("stages/pseudo-labels-1").info.images.bands == (4, 3, 2)
    run(agmm_main, "report", "stages/stage-1", "--manifest", manifest, "--out", "report", "--device", "cpu")
    page = Path("report/index.html").read_text()
    assert "Shown: bands 4, 3, 2; values 0 to 3000." in page
    assert "Images as the network reads them: bands 8, 1, 2, 3, 5; values 0 to 3000." in page
    for command in (
        ("predict", "stages/stage-1", "scenes/val/images", "--out", "crf", "--crf"),
        ("evaluate", "stages/stage-1", manifest, "--crf"),
        ("stages", manifest, "--out", "refined", "--refine", "crf", *bands, *SMALL),
    ):
        result = CliRunner().invoke(agmm_main, [*map(str, command)])
        assert result.exit_code == 1 and "the network reads 5 bands" in result.output, result.output
    assert not Path("crf").exists() and not Path("refined").exists()
    run(agmm_main, "export", "stages/stage-1", "--format", "torchscript", "--out", "model.pt")
    described = json.loads(Path("model.pt.json").read_text())
    assert described["input"]["shape"] == ["N", 5, "H", "W"]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--bands", "1,0"), 2, "--bands"),
        (("--bands", "two"), 2, "--bands"),
        (("--bands", "all", "--photometric"), 2, "--no-photometric"),
        (("--bands", "1,9"), 1, "there is no band 9"),
        (("--set", "image_mean=[0.5,0.5]", "--set", "image_std=[0.5,0.5]"), 1, "--bands"),
        (("--bands", "1,2", "--set", "image_mean=[0.5]", "--set", "image_std=[0.5]"), 2, "image_mean"),
    ],
)
def test_bands_that_cannot_be_trained_on(scenes, options, code, said):
    run(sparsekit_main, "points", "--clicks", 10, "--value-range", "0,3000", "scenes")
    command = ["train", "sparse/scenes-10clicks", "--out", "run", "--epochs", "1", *map(str, SMALL), *options]
    result = CliRunner().invoke(agmm_main, command)
    assert result.exit_code == code and said in result.output
    assert not list(Path("run").glob("*.safetensors"))


def test_weights_of_three_channels_are_adapted_as_timm_does(tmp_path):
    name, path = "mobilenetv3_small_050", str(tmp_path / "weights.pth")
    torch.save(timm.create_model(name).state_dict(), path)
    config = ModelConfig(2, name, path, image_mean=(0.5,) * 8, image_std=(0.5,) * 8)
    own = build_encoder(config).backbone.state_dict()
    overlay = {"file": path, "url": ""}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, in_chans=8).state_dict()
    assert all(torch.equal(value, theirs[key]) for key, value in own.items()) and own["conv_stem.weight"].shape[1] == 8


def test_without_bands_it_is_said_what_to_give(scenes):
    run(sparsekit_main, "points", "--clicks", 10, "scenes")
    result = CliRunner().invoke(sparsekit_main, ["render", "sparse/scenes-10clicks"])
    assert result.exit_code == 1 and "has 8 bands" in result.output and "--bands 3,2,1" in result.output


@pytest.mark.parametrize(
    "option", ["--bands=4,3", "--bands=0,1,2", "--bands=a", "--value-range=5,1", "--value-range=2%,98"]
)
def test_wrong_numbers_are_wrong_usage(scenes, option):
    assert CliRunner().invoke(sparsekit_main, ["points", option, "scenes"]).exit_code == 2
