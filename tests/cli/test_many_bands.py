"""The whole way on a GeoTIFF of eight bands with 16 bits: points, render, train, evaluate, predict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.agmm_cli import main as agmm_main
from cli.sparsekit_cli import main as sparsekit_main
from data_manifests import read_manifest, read_row_image
from data_manifests.files.images import read_mask

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


def test_without_bands_it_is_said_what_to_give(scenes):
    run(sparsekit_main, "points", "--clicks", 10, "scenes")
    result = CliRunner().invoke(sparsekit_main, ["render", "sparse/scenes-10clicks"])
    assert result.exit_code == 1 and "has 8 bands" in result.output and "--bands 3,2,1" in result.output


@pytest.mark.parametrize("option", ["--bands=4,3", "--bands=0,1,2", "--bands=a", "--value-range=5,1"])
def test_wrong_numbers_are_wrong_usage(scenes, option):
    assert CliRunner().invoke(sparsekit_main, ["points", option, "scenes"]).exit_code == 2
