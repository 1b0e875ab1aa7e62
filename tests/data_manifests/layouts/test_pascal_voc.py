"""PASCAL VOC: lists, years, instances, and the real sample."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, open_dataset
from data_manifests.files.masks import read_mask
from tests.data_manifests.layouts.read_back import ids_of, label_maps
from tests.helpers import miniature_datasets as mini
from tests.helpers.real_data import real_data


def test_masks_in_no_list_are_named_not_used(tmp_path):
    dataset = open_dataset(mini.make_voc(tmp_path, augmented=True))
    assert ids_of(dataset) == [("2007_000001", "train"), ("2007_000002", "val")]
    assert len(dataset.notes) == 1 and "1 mask skipped" in dataset.notes[0]
    assert "2008_000003" in dataset.notes[0] and "train_aug.txt" in dataset.notes[0]
    assert dataset.items[0].mask_path.parent.name == "SegmentationClassAug"
    assert dataset.items[1].mask_path.parent.name == "SegmentationClass"


@pytest.mark.parametrize(
    "lines",
    [
        "2007_000001\n2008_000003\n",
        "/JPEGImages/2007_000001.jpg /SegmentationClassAug/2007_000001.png\r\n"
        "/JPEGImages/2008_000003.jpg /SegmentationClassAug/2008_000003.png\r\n\r\n",
    ],
    ids=["names", "pairs of paths"],
)
def test_the_long_list_goes_before_the_short_one(tmp_path, lines):
    mini.make_voc(tmp_path, augmented=True)
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt").write_bytes(lines.encode())
    dataset = open_dataset(tmp_path)
    assert ids_of(dataset) == [("2007_000001", "train"), ("2007_000002", "val"), ("2008_000003", "train")]
    assert dataset.notes == ()
    assert label_maps(dataset) == [mini.VOC_MASK.tolist()] * 3


def test_an_image_in_both_lists_is_kept_out_of_training(tmp_path):
    mini.make_voc(tmp_path)
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text("2007_000001\n2007_000002\n")
    assert ids_of(open_dataset(tmp_path)) == [("2007_000001", "train"), ("2007_000002", "val")]


def test_test_images_with_masks_are_a_split(tmp_path):
    """Those of PASCAL VOC itself have none."""
    mini.make_voc(tmp_path, augmented=True)
    devkit = tmp_path / "VOCdevkit/VOC2012"
    (devkit / "ImageSets/Segmentation/test.txt").write_text("2008_000003\n2008_000009\n")
    dataset = open_dataset(tmp_path)
    assert ids_of(dataset) == [("2007_000001", "train"), ("2007_000002", "val"), ("2008_000003", "test")]
    assert dataset.notes == ()


def test_lists_for_another_task_are_said_to_be_not_read(tmp_path):
    mini.make_voc(tmp_path)
    devkit = tmp_path / "VOCdevkit/VOC2012"
    (devkit / "ImageSets/Segmentation").rename(devkit / "ImageSets/Main")
    (note,) = open_dataset(tmp_path).notes
    assert note.startswith("ImageSets/Main/val.txt: not read, so all images belong to train.")


def test_without_lists_every_mask_is_for_training(tmp_path):
    mini.make_voc(tmp_path)
    for path in tmp_path.rglob("*.txt"):
        path.unlink()
    assert ids_of(open_dataset(tmp_path)) == [("2007_000001", "train"), ("2007_000002", "train")]


def test_names_with_dots(tmp_path):
    mini.make_voc(tmp_path)
    devkit = tmp_path / "VOCdevkit/VOC2012"
    mini.save_image(devkit / "JPEGImages/scene.v1.jpg", (2, 4))
    mini.save_mask(devkit / "SegmentationClass/scene.v1.png", mini.VOC_MASK)
    (devkit / "ImageSets/Segmentation/train.txt").write_text("scene.v1\n2007_000001\n")
    assert ("scene.v1", "train") in ids_of(open_dataset(tmp_path))


def test_a_list_that_is_no_text(tmp_path):
    mini.make_voc(tmp_path)
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="1 image without an image"):
        open_dataset(tmp_path)


def test_a_listed_image_without_files(tmp_path):
    mini.make_voc(tmp_path)
    (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text("2007_000001\n2007_000009\n")
    with pytest.raises(DataError, match=r"1 image without an image in JPEGImages or a mask.*2007_000009"):
        open_dataset(tmp_path)


def test_of_several_years_the_newest_is_read(tmp_path):
    mini.make_voc(tmp_path)
    old = tmp_path / "VOCdevkit/VOC2007"
    mini.save_image(old / "JPEGImages/000001.jpg", (2, 4))
    mini.save_mask(old / "SegmentationClass/000001.png", mini.VOC_MASK)
    assert ids_of(open_dataset(tmp_path)) == [("2007_000001", "train"), ("2007_000002", "val")]


@pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_any_folder_on_the_way_will_do(tmp_path, below):
    mini.make_voc(tmp_path)
    assert len(open_dataset(tmp_path / below).items) == 2


def test_instances(tmp_path):
    item = open_dataset(mini.make_voc(tmp_path)).items[0]
    assert read_mask(item.instance_path).tolist() == [[0, 0, 255, 1], [0, 255, 1, 1]]


def test_real_sample():
    dataset = open_dataset(real_data("voc_sample"))
    assert dataset.layout == "pascal_voc" and len(dataset.items) == 5
    # Two images stand in trainval.txt only.
    assert [i.split for i in dataset.items] == ["train", "val", "val", "train", "train"]
    for item in dataset.items:
        devkit = item.image_path.parents[1]
        palette = read_mask(devkit / "SegmentationClass" / f"{item.image_id}.png")
        np.testing.assert_array_equal(read_mask(item.mask_path), palette)
        with Image.open(devkit / "SegmentationClass" / f"{item.image_id}.png") as image:
            colors = np.asarray(image.convert("RGB"))
        for index, color in enumerate(dataset.label_space.palette):
            assert (colors[palette == index] == color).all()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("line", "name"),
    [
        (line, name)
        for line in ("{}", "{}.jpg", "JPEGImages\\{}.jpg", "/JPEGImages/{}.jpg /SegmentationClass/{}.png")
        for name in ("a", "scene 1", "v1.0", "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n")
        if " " not in line or " " not in name  # nothing would tell where the first path ends
    ],
)
def test_lists_as_tools_write_them(tmp_path, encoding, line, name):
    for one in (name, "other"):
        mini.save_image(tmp_path / "JPEGImages" / f"{one}.jpg", (2, 4))
        mini.save_mask(tmp_path / "SegmentationClass" / f"{one}.png", mini.VOC_MASK)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_bytes((line.format(name, name) + "\r\n").encode(encoding))
    (lists / "val.txt").write_text("other \n")
    assert sorted(ids_of(open_dataset(tmp_path))) == sorted([(name, "train"), ("other", "val")])


def test_lists_and_files_that_write_accents_in_two_ways(tmp_path):
    composed, parted = "gr\N{LATIN SMALL LETTER U WITH DIAERESIS}n", "gru\N{COMBINING DIAERESIS}n"
    mini.save_image(tmp_path / "JPEGImages" / f"{composed}.jpg", (2, 4))
    mini.save_mask(tmp_path / "SegmentationClass" / f"{parted}.png", mini.VOC_MASK)
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text(f"{parted}\n", encoding="utf-8")
    assert ids_of(open_dataset(tmp_path)) == [(composed, "train")]
