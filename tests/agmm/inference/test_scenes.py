"""Scenes larger than an image may be, segmented window by window: the same pixels as of the whole scene."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner

from agmm.runs.checkpoint import load_run, save_checkpoint
from cli.agmm_cli import main
from data_manifests import read_manifest
from data_manifests.files.masks import read_mask
from tests.agmm.conftest import tiny_manifest
from tests.helpers.tiny_run import tiny_run

HEIGHT, WIDTH = 171, 140
TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_400_000.0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A network that finds more than one class: the classes are about as likely on the whole."""
    folder = tiny_run(tmp_path / "run", read_manifest(tiny_manifest(tmp_path / "data")))
    loaded = load_run(folder)
    image = torch.from_numpy(scene(np.uint8, 255)).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        logits = loaded.model.eval()(image).logits
    state = loaded.model.state_dict()
    state["classifier.bias"] = state["classifier.bias"] - logits.mean((0, 2, 3))
    save_checkpoint(folder / "weights.safetensors", state, loaded.info)
    return folder


def predict(*arguments: object, code: int = 0) -> str:
    words = ["predict", *map(str, arguments), "--device", "cpu"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == code, result.output
    return result.output


def scene(dtype: type[np.generic], largest: int) -> np.ndarray:
    """Smooth colours, and one value of the whole range in a corner, which decides how 16 bits are shown."""
    values = np.random.default_rng(0).integers(0, 4000 if largest > 255 else 256, (9, 8, 3))
    values = np.kron(values, np.ones((19, 18, 1)))[:HEIGHT, :WIDTH]
    values[-1, -1] = largest
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "largest", "with_rasterio", "ids"),
    [
        (np.uint8, 255, True, "class"),
        (np.uint8, 255, False, "train"),
        (np.uint16, 4000, True, "train"),
        (np.uint16, 65535, False, "class"),
    ],
)
def test_windows_give_the_pixels_of_the_whole(tmp_path, monkeypatch, run, dtype, largest, with_rasterio, ids):
    path, how = tmp_path / "big.tif", ("--protocol", "sliding", "--tile", 48, "--ids", ids)
    if with_rasterio:
        rasterio = pytest.importorskip("rasterio", reason="needs rasterio, extra geo")
        profile = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 3, "dtype": np.dtype(dtype).name}
        where = {"crs": "EPSG:32633", "transform": rasterio.Affine(*TRANSFORM), "compress": "lzw", "photometric": "RGB"}
        with rasterio.open(path, "w", tiled=True, blockxsize=32, blockysize=32, **profile, **where) as file:
            file.write(np.moveaxis(scene(dtype, largest), 2, 0))
    else:
        tifffile.imwrite(path, scene(dtype, largest), photometric="rgb")
        monkeypatch.setitem(sys.modules, "rasterio", None)
    predict(run, path, "--out", tmp_path / "whole", *how)
    monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", "20000")  # the scene has more
    predict(run, path, "--out", tmp_path / "windows", *how)
    monkeypatch.delenv("SPARSEKIT_MAX_PIXELS")
    expected = read_mask(tmp_path / "whole/label_maps/big.png")
    found = read_mask(tmp_path / "windows/label_maps/big.tif")
    assert found.dtype == expected.dtype and len(np.unique(expected)) > 1
    np.testing.assert_array_equal(found, expected)
    assert [p.name for p in (tmp_path / "windows/label_maps").iterdir()] == ["big.tif"]
    if with_rasterio:
        with rasterio.open(tmp_path / "windows/label_maps/big.tif") as file:
            assert file.crs.to_epsg() == 32633 and tuple(file.transform)[:6] == TRANSFORM and file.nodata == 255


@pytest.mark.parametrize(
    ("options", "limit", "said"),
    [
        ((), 20000, "--protocol sliding"),
        (("--protocol", "sliding", "--tile", 48, "--overlays"), 20000, "without --crf, --overlays"),
        (("--protocol", "sliding", "--tile", 48), 300, "64 times"),
    ],
)
def test_scenes_that_are_too_large(tmp_path, monkeypatch, run, options, limit, said):
    tifffile.imwrite(tmp_path / "big.tif", scene(np.uint8, 255), photometric="rgb")
    monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", str(limit))
    output = predict(run, tmp_path / "big.tif", "--out", tmp_path / "out", *options, code=1)
    assert said in output and not list(tmp_path.glob("out/**/*.*"))


def test_a_compressed_scene_without_rasterio(tmp_path, monkeypatch, run):
    tifffile.imwrite(tmp_path / "big.tif", scene(np.uint8, 255), photometric="rgb", compression="zlib")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    monkeypatch.setenv("SPARSEKIT_MAX_PIXELS", "20000")
    options = ("--protocol", "sliding", "--tile", 48)
    assert "sparsekit-agmm[geo]" in predict(run, tmp_path / "big.tif", "--out", tmp_path / "out", *options, code=1)
