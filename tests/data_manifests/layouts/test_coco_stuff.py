"""COCO-Stuff: both places of its masks, and converted ones."""

from __future__ import annotations

import pytest

from data_manifests import DataError, open_dataset
from tests.data_manifests.layouts.read_back import label_maps
from tests.helpers import miniature_datasets as mini


def test_masks_under_annotations(tmp_path):
    dataset = open_dataset(mini.make_coco_stuff(tmp_path, "annotations"))
    assert dataset.layout == "coco_stuff" and dataset.encoding == "class_ids"
    assert label_maps(dataset)[0] == [[0, 10, 255], [11, 170, 79]]


def test_converted_masks_lie_beside_the_originals(tmp_path):
    mini.make_coco_stuff(tmp_path, "annotations")
    mini.make_coco_stuff(tmp_path, "annotations", train_ids=True)
    dataset = open_dataset(tmp_path)
    assert dataset.encoding == "train_ids" and label_maps(dataset)[0] == [[0, 10, 255], [11, 170, 79]]


def test_an_id_that_coco_never_uses(tmp_path):
    mini.make_coco_stuff(tmp_path)
    mini.save_mask(next(tmp_path.rglob("stuffthingmaps/val2017/*.png")), [[11, 0, 0], [0, 0, 0]])
    with pytest.raises(DataError, match=r"ids 11 are outside the label space 'coco_stuff'"):
        label_maps(open_dataset(tmp_path))
