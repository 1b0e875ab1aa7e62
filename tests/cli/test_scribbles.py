import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import parallel, read_manifest, read_marks
from data_manifests.files.masks import read_mask
from sparsekit.geometry.rasterize import rasterize


def sparsekit(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def dataset_dir(tmp_path):
    """Two images of 60x90 with classes 0 and 1 and a void column."""
    root = tmp_path / "town"
    for name in "ab":
        mask = np.zeros((60, 90), np.uint8)
        mask[:, 50:] = 1
        mask[:, 49] = 255
        for folder, image in (("masks", mask), ("images", np.zeros((60, 90, 3), np.uint8))):
            (root / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(root / folder / f"{name}.png")
    return root


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_folder_for_each_length_whose_images_are_the_strokes_of_the_marks_file(dataset_dir, tmp_path):
    out = tmp_path / "out"
    result = sparsekit("scribbles", "--length", 1, "--length", 0.5, "--width", 3, "--out", out, dataset_dir)
    assert result.exit_code == 0, result.output
    assert "4 of 4 image-class pairs labelled correctly" in result.stdout
    whole, half = (read_manifest(out / f"town-scribbles{n}") for n in (100, 50))
    assert whole.info.command == "scribbles"
    assert (whole.info.settings["length"], half.info.settings["length"]) == (1.0, 0.5)
    assert whole.info.settings["width"] == 3 and whole.info.settings["min_area"] == 50
    drawn = {}
    for manifest in (whole, half):
        for row, (image_id, marks) in zip(manifest.rows, read_marks(manifest.marks_path), strict=True):
            sparse = read_mask(manifest.resolve(row.annotation))
            full = read_mask(manifest.resolve(row.full_mask))
            np.testing.assert_array_equal(sparse, rasterize(marks, full.shape, manifest.label_space))
            labelled = sparse != 255
            assert row.image_id == image_id and row.num_labelled == labelled.sum() > 0
            assert (sparse[labelled] == full[labelled]).all()
            drawn.setdefault(image_id, []).append(labelled)
    for of_whole, of_half in drawn.values():
        assert (of_half <= of_whole).all() and of_half.sum() < of_whole.sum()


def test_equal_bytes_for_any_number_of_workers(dataset_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_START_UP", 1e-9)  # a second process always pays
    monkeypatch.setattr(parallel, "available_cpus", lambda: 2)
    for workers in (1, 2, "auto"):
        result = sparsekit("scribbles", "--workers", workers, "--out", tmp_path / str(workers), dataset_dir)
        assert result.exit_code == 0, result.output
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "auto")


def test_preset(dataset_dir, tmp_path):
    result = sparsekit("scribbles", "--like", "scribblesup", "--width", 7, "--out", tmp_path, "--json", dataset_dir)
    (entry,) = json.loads(result.stdout)["results"]
    settings = read_manifest(tmp_path / "town-scribbles95").info.settings
    assert entry["num_marks"] == 4 and settings["width"] == 7 and settings["min_area"] == 200


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--length", "0"], "0.01<=x<=1"),
        (["--length", "0.5", "--length", "0.5"], "several different ones"),
        (["--length", "0.333"], "steps of 0.01"),
        (["--like", "nobody"], "'nobody' is not 'scribblesup'"),
        (["--per", "pixel"], "'region', 'instance', 'class'"),
    ],
)
def test_wrong_usage(dataset_dir, tmp_path, args, message):
    result = sparsekit("scribbles", *args, "--out", tmp_path / "out", dataset_dir)
    assert result.exit_code == 2 and message in result.stderr
    assert not (tmp_path / "out").exists()
