"""Datasets that must be made first: slices of volumes, full masks of shapes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from data_manifests import DataError, open_dataset, open_folders
from data_manifests.files.masks import read_mask
from data_manifests.layouts.views import Percentiles, with_view
from sparsekit import ClickAnnotator, open_any_dataset, synthesize
from tests.helpers import miniature_datasets as mini

MASKS = np.random.default_rng(0).integers(0, 3, (4, 20, 30), np.uint8)


def make_stacks(root: Path) -> Path:
    """A volume as TIFF with four pages, and its mask."""
    for kind, values in (("images", MASKS.astype(np.uint16) * 900), ("masks", MASKS)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(root / kind / "a.tif", values, photometric="minisblack")
    return root


def make_square(root: Path) -> Path:
    """A photo with one square, drawn with labelme."""
    root.mkdir()
    Image.new("RGB", (30, 20)).save(root / "a.png")
    shapes = [{"label": "car", "points": [[3, 2], [12, 2], [12, 9], [3, 9]]}]
    (root / "a.json").write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    return root


def test_full_masks_are_opened_as_they_are(tmp_path):
    root = mini.make_generic(tmp_path / "town")
    assert open_any_dataset(root, None) == open_dataset(root)
    masks, images = root / "masks", root / "images"
    assert open_any_dataset(None, None, masks_dir=masks, images_dir=images) == open_folders(masks, images)
    assert open_any_dataset(None, None, masks_dir=masks) == open_folders(masks)


@pytest.mark.parametrize("with_images", [True, False])
def test_volumes_are_sliced_once(tmp_path, with_images):
    stacks = make_stacks(tmp_path / "stacks")
    counted: list[int] = []
    root, folders = (stacks, {}) if with_images else (None, {"masks_dir": stacks / "masks"})
    how = {"on_start": counted.append, "on_volume": lambda: counted.append(-1)}
    dataset = open_any_dataset(root, tmp_path / "out", **folders, **how)
    assert counted == [1, -1] and "wrote slices of 1 volume: 4 slices" in dataset.notes[0]
    assert [item.image_id for item in dataset.items] == [f"a/slice_{n:03d}" for n in range(4)]
    assert [item.image_path is not None for item in dataset.items] == [with_images] * 4
    for item, mask in zip(dataset.items, MASKS, strict=True):
        np.testing.assert_array_equal(read_mask(item.mask), mask)
    again = open_any_dataset(root, tmp_path / "out", **folders, **how)
    assert counted == [1, -1] and again.items == dataset.items and again.notes == dataset.notes[1:]
    with pytest.raises(DataError, match="slices to OUT/stacks-slices"):
        open_any_dataset(root, None, **folders)


def test_shapes_are_filled_once(tmp_path):
    drawn, warnings = make_square(tmp_path / "drawn"), []
    dataset = open_any_dataset(drawn, tmp_path / "out", on_warning=warnings.append)
    (mask,) = (read_mask(item.mask) for item in dataset.items)
    assert dataset.root == drawn and (mask[2:9, 3:12] == 1).all() and mask.sum() == 63
    assert "labelme" in warnings[0] and "drawn-full-masks" in warnings[0]
    written = dataset.items[0].mask.stat().st_mtime_ns
    assert open_any_dataset(drawn, tmp_path / "out").items[0].mask.stat().st_mtime_ns == written
    (summary,) = synthesize(dataset, ClickAnnotator((5,)), tmp_path / "sparse")
    assert summary.num_marks == 5
    with pytest.raises(DataError, match="sparsekit full-masks"):
        open_any_dataset(drawn, None)
    with pytest.raises(DataError, match="no known layout"):
        open_any_dataset(drawn, tmp_path / "out", encoding="class_ids")


def test_files_that_are_not_used_are_counted(tmp_path):
    root, warnings = mini.make_generic(tmp_path / "town"), []
    (root / "images/extra.nii").write_bytes(b"")
    open_any_dataset(root, None, on_warning=warnings.append)
    assert len(warnings) == 1 and "1 file is not used" in warnings[0] and "extra.nii" in warnings[0]


@pytest.mark.parametrize(
    ("root", "options"),
    [
        (None, {}),
        ("a", {"masks_dir": "b"}),
        ("a", {"images_dir": "b"}),
        ("a", {"mask_suffix": "_m"}),
        (None, {"masks_dir": "b", "layout": "generic"}),
        ("a", {"layout": "none"}),
    ],
)
def test_arguments_that_contradict_each_other(root, options):
    with pytest.raises(ValueError):
        open_any_dataset(root, None, **options)


def test_percentiles_are_those_of_all_values(tmp_path):
    dataset = open_any_dataset(make_stacks(tmp_path / "stacks"), tmp_path / "out")
    low, high = np.percentile(MASKS.astype(float) * 900, [10, 60])
    viewed = with_view(dataset, value_range=Percentiles(10, 60))
    assert viewed.images.value_range == (low, high) and "10 % and 60 %" in viewed.notes[-1]
    assert with_view(dataset, (1,), (0, 900)).images.value_range == (0, 900)
    assert with_view(dataset) == dataset
    alone = open_folders(mini.make_generic(tmp_path / "town") / "masks")
    with pytest.raises(DataError, match="masks alone"):
        with_view(alone, value_range=Percentiles(10, 60))
