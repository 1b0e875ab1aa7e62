"""Which files of a dataset folder are masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manifests import DataError
from data_manifests.files.images import list_images
from data_manifests.layouts.mask_files import masks_among
from tests.helpers.miniature_datasets import make_cityscapes, save_image, save_mask

VOC = "VOCdevkit/VOC2012"
#: By dataset: files that are images, and files that are masks.
DATASETS = {
    "generic": (("images/a.png", "images/gt/b.png"), ("masks/a.png", "masks/deep/c.png", "annotations/a.png")),
    "splits": (("train/images/a.jpg", "val/images/b.jpg"), ("train/masks/a.png", "val/masks/b.png")),
    "names": (("imgs/a.jpg", "notes/x.png"), ("ground_truth/a.png",)),
    "side by side": (("a.jpg", "b.jpg"), ("a_mask.png", "b_mask.png")),
    "camvid": (("train/a.png", "val/b.png"), ("trainannot/a.png", "valannot/b.png")),
    "voc": (
        (f"{VOC}/JPEGImages/a.jpg", f"{VOC}/JPEGImages/unlabelled.jpg"),
        (f"{VOC}/SegmentationClass/a.png", f"{VOC}/SegmentationObject/a.png", f"{VOC}/SegmentationObject/b.png"),
    ),
    "images alone": (("a.png", "deep/b.png", "masks of Venice/c.png"), ()),
}


@pytest.mark.parametrize("name", DATASETS)
def test_masks_are_told_from_images(tmp_path: Path, name: str) -> None:
    images, masks = DATASETS[name]
    for image in images:
        save_image(tmp_path / image)
    for mask in masks:
        save_mask(tmp_path / mask, [[0, 1], [1, 1]])
    found = masks_among(tmp_path, list_images(tmp_path))
    assert {path.relative_to(tmp_path).as_posix() for path in found} == set(masks)


def test_colours_and_instances_of_cityscapes_are_masks(tmp_path: Path) -> None:
    files = list_images(make_cityscapes(tmp_path))
    assert masks_among(tmp_path, files) == {path for path in files if "gtFine" in path.parts}


def test_volumes_of_nnunet(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTs/b_0000.nii.gz")]
    for path in files:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert masks_among(tmp_path, files) == {files[1]}


def test_a_dataset_that_does_not_pair_up_is_refused(tmp_path: Path) -> None:
    for name in ("train/a.png", "train/b.png", "trainannot/a.png"):
        save_image(tmp_path / name)
    with pytest.raises(DataError, match=r"Name the images' folder.*without a mask"):
        masks_among(tmp_path, list_images(tmp_path))
