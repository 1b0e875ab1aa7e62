"""Every layout on a miniature of its true encoding, and forced on what it is not."""

from __future__ import annotations

import pytest

from data_manifests import LAYOUTS, DataError, open_dataset
from tests.data_manifests.layouts.read_back import ids_of, label_maps
from tests.helpers import miniature_datasets as mini

#: name -> builder, image ids with splits, the train ids of every mask.
EXPECTED = {
    "cityscapes": (
        mini.make_cityscapes,
        [
            ("aachen_000000_000019", "train"),
            ("bochum_000001_000019", "train"),
            ("frankfurt_000002_000019", "val"),
        ],
        mini.CITYSCAPES_TRAIN_IDS.tolist(),
    ),
    "cityscapes_coarse": (
        lambda root: mini.make_cityscapes(root, truth="gtCoarse", extra="train_extra"),
        [
            ("aachen_000000_000019", "train"),
            ("bochum_000001_000019", "train"),
            ("frankfurt_000002_000019", "train_extra"),
        ],
        mini.CITYSCAPES_TRAIN_IDS.tolist(),
    ),
    "pascal_voc": (mini.make_voc, [("2007_000001", "train"), ("2007_000002", "val")], mini.VOC_MASK.tolist()),
    "camvid": (
        mini.make_camvid,
        [("test_1", "test"), ("train_1", "train"), ("val_1", "val")],
        [[0, 1, 255], [3, 8, 10]],
    ),
    "ade20k": (
        mini.make_ade20k,
        [("ADE_train_00000001", "train"), ("ADE_val_00000001", "val")],
        [[255, 0, 1], [149, 20, 255]],
    ),
    "coco_stuff": (
        mini.make_coco_stuff,
        [("000000000009", "train"), ("000000000139", "val")],
        [[0, 10, 255], [11, 170, 79]],
    ),
    "kitti": (mini.make_kitti, [("000000_10", "train"), ("000001_10", "train")], mini.CITYSCAPES_TRAIN_IDS.tolist()),
    "bdd100k": (
        mini.make_bdd100k,
        [("0004a4c0-d4dff0ad", "train"), ("7d06fefd-f7be05a6", "val")],
        mini.CITYSCAPES_TRAIN_IDS.tolist(),
    ),
    "generic": (mini.make_generic, [("a", "train"), ("b", "train")], [[0, 1, 255], [2, 2, 0]]),
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("forced", [False, True], ids=["found", "forced"])
def test_layout_on_its_miniature(tmp_path, name, forced):
    builder, ids, label_map = EXPECTED[name]
    builder(tmp_path)
    dataset = open_dataset(tmp_path, layout=name if forced else None)
    assert dataset.layout == name and dataset.root == tmp_path
    assert [note.split(" in ")[0] for note in dataset.notes] == ["no classes.csv"] * (name == "generic")
    assert ids_of(dataset) == ids
    assert label_maps(dataset) == [label_map] * len(ids)
    assert dataset.splits == tuple(sorted({split for _, split in ids}))


def test_every_layout_has_a_miniature():
    assert set(LAYOUTS) == set(EXPECTED)


@pytest.mark.parametrize("name", LAYOUTS)
def test_forcing_a_layout_on_something_else_says_what_it_needs(tmp_path, name):
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path, layout=name)
    message = str(caught.value)
    assert str(tmp_path) in message and ("expected folders" in message or "no such folder" in message)
