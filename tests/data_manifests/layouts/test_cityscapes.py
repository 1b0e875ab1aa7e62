"""Cityscapes: label and train ids, fine and coarse, and the real sample."""

from __future__ import annotations

import numpy as np
import pytest

from data_manifests import DataError, LabelClass, LabelSpace, open_dataset
from data_manifests.files.masks import read_mask
from tests.data_manifests.layouts.read_back import label_maps
from tests.helpers import miniature_datasets as mini
from tests.helpers.real_data import real_data


def test_instances_beside_the_masks(tmp_path):
    dataset = open_dataset(mini.make_cityscapes(tmp_path))
    assert all(item.instance_path.name.endswith("_gtFine_instanceIds.png") for item in dataset.items)
    assert dataset.encoding == "class_ids"
    mini.make_cityscapes(tmp_path / "bare", ("labelIds",))
    assert all(item.instance_path is None for item in open_dataset(tmp_path / "bare").items)


def test_train_ids_are_preferred_where_they_are_complete(tmp_path):
    mini.make_cityscapes(tmp_path, ("labelIds", "labelTrainIds"))
    dataset = open_dataset(tmp_path)
    assert dataset.encoding == "train_ids"
    assert label_maps(dataset)[0] == mini.CITYSCAPES_TRAIN_IDS.tolist()
    next(tmp_path.rglob("frankfurt*_labelTrainIds.png")).unlink()
    dataset = open_dataset(tmp_path)
    assert dataset.encoding == "class_ids"
    assert label_maps(dataset)[0] == mini.CITYSCAPES_TRAIN_IDS.tolist()


def test_a_users_table_speaks_of_label_ids(tmp_path):
    mini.make_cityscapes(tmp_path, ("labelIds", "labelTrainIds"))
    space = LabelSpace("mine", (LabelClass("road", (0, 0, 0), (7,)),), tuple(i for i in range(34) if i != 7))
    dataset = open_dataset(tmp_path, label_space=space)
    assert label_maps(dataset)[0] == np.where(mini.CITYSCAPES_IDS == 7, 0, 255).tolist()


def test_coarse_beside_fine(tmp_path):
    mini.make_cityscapes(tmp_path)
    mini.make_cityscapes(tmp_path, truth="gtCoarse", extra="train_extra")
    assert open_dataset(tmp_path).splits == ("train", "val")
    assert open_dataset(tmp_path, "cityscapes_coarse").splits == ("train", "train_extra")


def test_neither_kind_of_ids(tmp_path):
    mini.make_cityscapes(tmp_path, ("instanceIds",))
    with pytest.raises(
        DataError, match=r"gtFine: contains neither \*_gtFine_labelTrainIds.png nor \*_gtFine_labelIds.png"
    ):
        open_dataset(tmp_path)


def test_real_sample():
    dataset = open_dataset(real_data("cityscapes_sample"))
    assert dataset.layout == "cityscapes" and len(dataset.items) == 7 and dataset.encoding == "train_ids"
    assert [i.image_id for i in dataset.items if i.split == "val"] == ["frankfurt_000000_000576"]
    for item in dataset.items:
        instances, ids = read_mask(item.instance_path), read_mask(item.mask_path)
        cars = (instances >= 26000) & (instances < 27000)
        assert instances.dtype == np.uint16 and (ids[cars] == 13).all()
