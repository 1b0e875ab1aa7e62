"""What holds for datasets of any layout: folders, ids, classes and class maps."""

from __future__ import annotations

import os

import numpy as np
import pytest

from data_manifests import LAYOUTS, DataError, LabelClass, LabelSpace, open_dataset
from tests.data_manifests.layouts.read_back import label_maps
from tests.helpers import miniature_datasets as mini


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match=r"none: no such folder; expected the root folder of a dataset"):
        open_dataset(tmp_path / "none")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(DataError, match="f: is a file"):
        open_dataset(tmp_path / "f")


def test_unknown_layout(tmp_path):
    with pytest.raises(ValueError, match=r"Unknown layout 'voc'. Choose from: cityscapes, cityscapes_coarse, pascal_"):
        open_dataset(tmp_path, layout="voc")


def test_an_unclear_folder_lists_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match="fits no known layout") as caught:
        open_dataset(tmp_path)
    assert all(f"  {name}: folders" in str(caught.value) for name in LAYOUTS)
    assert "--layout" in str(caught.value)


@pytest.mark.parametrize("above", ["", ".."])
def test_annotations_are_no_dataset(tmp_path, above):
    (tmp_path / "sparse").mkdir()
    (tmp_path / "sparse/manifest.csv").touch()
    with pytest.raises(DataError, match=r"expected the root folder of a dataset.*sparse/manifest.csv\)"):
        open_dataset(tmp_path / "sparse" / above)


def test_the_same_id_in_two_splits(tmp_path):
    mini.make_camvid(tmp_path)
    (tmp_path / "val" / "val_1.png").rename(tmp_path / "val" / "train_1.png")
    (tmp_path / "valannot" / "val_1.png").rename(tmp_path / "valannot" / "train_1.png")
    with pytest.raises(DataError, match="image id 'train_1' occurs in two splits"):
        open_dataset(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
@pytest.mark.parametrize("name", ["line\nbreak", os.fsdecode(b"not-utf8-\xff")])
def test_names_that_no_manifest_can_hold(tmp_path, name):
    mini.make_generic(tmp_path)
    try:
        (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / f"{name}.jpg")
        (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / f"{name}.png")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(DataError, match="holds control characters or is not UTF-8; rename the file"):
        open_dataset(tmp_path)


def test_a_users_classes_replace_the_layouts(tmp_path):
    space = LabelSpace("mine", (LabelClass("ground", (0, 0, 0), (0, 1, 4)),))
    dataset = open_dataset(mini.make_generic(tmp_path), label_space=space)
    assert label_maps(dataset)[0] == [[0, 0, 255], [0, 0, 0]]


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_class_map(tmp_path, kind):
    mini.make_cityscapes(tmp_path, (kind,))
    groups = {"vehicle": ["car", "truck", "bus"], "void": ["sky"]}
    dataset = open_dataset(tmp_path, class_map=groups)
    assert dataset.label_space.num_classes == 19 - 3 and dataset.label_space.class_names[:2] == ("vehicle", "road")
    old = mini.CITYSCAPES_TRAIN_IDS
    expected = np.select([old == 13, old == 0], [0, 1], 255)
    assert label_maps(dataset)[0] == expected.tolist()
