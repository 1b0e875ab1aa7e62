"""Miniature dataset folders in the true encodings of the real ones, for the tests of all that reads a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from data_manifests.colors import voc_color

#: 4x6 ids of Cityscapes: road 7, car 26, sky 23, void 3 (out of roi) and 0 (unlabeled).
CITYSCAPES_IDS = np.array([[23, 23, 23, 23, 0, 3], [23, 23, 26, 26, 0, 3], [7, 7, 26, 26, 7, 3], [7, 7, 7, 7, 7, 3]])
#: The same in train ids.
CITYSCAPES_TRAIN_IDS = np.array(
    [[10, 10, 10, 10, 255, 255], [10, 10, 13, 13, 255, 255], [0, 0, 13, 13, 0, 255], [0, 0, 0, 0, 0, 255]]
)


def save_image(path: Path, size: tuple[int, int] = (4, 6)) -> Path:
    """An RGB image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = size
    pixels = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    Image.fromarray(pixels).save(path)
    return path


def save_mask(path: Path, values: ArrayLike, *, palette: bool = False) -> Path:
    """A mask: grey, 16-bit grey where the values need it, or with the VOC palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.asarray(values)
    image = Image.fromarray(array.astype(np.uint8 if array.max() <= 255 else np.uint16))
    if palette:
        image.putpalette([channel for i in range(256) for channel in voc_color(i)])
    image.save(path)
    return path


def make_cityscapes(
    root: Path, kinds: tuple[str, ...] = ("labelIds", "instanceIds"), truth: str = "gtFine", extra: str = "val"
) -> Path:
    """Two frames of train, one of ``extra``, one test frame without ground truth."""
    arrays = {
        "labelIds": CITYSCAPES_IDS,
        "labelTrainIds": CITYSCAPES_TRAIN_IDS,
        "instanceIds": np.where(CITYSCAPES_IDS == 26, 26001, CITYSCAPES_IDS),
    }
    frames = [("train", "aachen", 0), ("train", "bochum", 1), (extra, "frankfurt", 2)]
    for split, city, number in frames:
        key = f"{city}_00000{number}_000019"
        save_image(root / "leftImg8bit" / split / city / f"{key}_leftImg8bit.png")
        for kind in kinds:
            save_mask(root / truth / split / city / f"{key}_{truth}_{kind}.png", arrays[kind])
        Image.new("RGB", (6, 4)).save(root / truth / split / city / f"{key}_{truth}_color.png")
    save_image(root / "leftImg8bit" / "test" / "berlin" / "berlin_000000_000019_leftImg8bit.png")
    return root


VOC_MASK = np.array([[0, 0, 255, 15], [0, 255, 15, 15]])


def make_voc(root: Path, *, augmented: bool = False) -> Path:
    """2007_000001 in train, 2007_000002 in val, an image without mask; with ``augmented`` also 2008_000003 of SBD."""
    devkit = root / "VOCdevkit" / "VOC2012"
    for name in ("2007_000001", "2007_000002", "2007_000009", "2008_000003"):
        save_image(devkit / "JPEGImages" / f"{name}.jpg", (2, 4))
    for name in ("2007_000001", "2007_000002"):
        save_mask(devkit / "SegmentationClass" / f"{name}.png", VOC_MASK, palette=True)
        save_mask(devkit / "SegmentationObject" / f"{name}.png", np.where(VOC_MASK == 15, 1, VOC_MASK), palette=True)
    lists = devkit / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_000001\n")
    (lists / "val.txt").write_text("2007_000002\n")
    if augmented:
        for name in ("2007_000001", "2008_000003"):
            save_mask(devkit / "SegmentationClassAug" / f"{name}.png", VOC_MASK)
    return root


def make_camvid(root: Path) -> Path:
    """The tree of SegNet: 11 classes, 11 is void."""
    for split in ("train", "val", "test"):
        save_image(root / split / f"{split}_1.png", (2, 3))
        save_mask(root / f"{split}annot" / f"{split}_1.png", [[0, 1, 11], [3, 8, 10]])
    return root


def make_ade20k(root: Path) -> Path:
    """0 is void, 1..150 are the classes."""
    for folder, name in (("training", "ADE_train_00000001"), ("validation", "ADE_val_00000001")):
        save_image(root / "images" / folder / f"{name}.jpg", (2, 3))
        save_mask(root / "annotations" / folder / f"{name}.png", [[0, 1, 2], [150, 21, 0]])
    return root


def make_coco_stuff(root: Path, masks: str = "stuffthingmaps", *, train_ids: bool = False) -> Path:
    """Ids 0..181 with gaps, 255 is void; or the train ids into which mmsegmentation converts them."""
    values = [[0, 10, 255], [11, 170, 79]] if train_ids else [[0, 10, 255], [12, 181, 89]]
    for split, name in (("train", "000000000009"), ("val", "000000000139")):
        save_image(root / "images" / f"{split}2017" / f"{name}.jpg", (2, 3))
        end = "_labelTrainIds" if train_ids else ""
        save_mask(root / masks / f"{split}2017" / f"{name}{end}.png", values)
    return root


def make_kitti(root: Path) -> Path:
    """Ids of Cityscapes; instance maps hold id * 256 + number; frames _11 have no mask."""
    for name in ("000000_10", "000001_10"):
        save_image(root / "training" / "image_2" / f"{name}.png")
        save_image(root / "training" / "image_2" / f"{name[:-2]}11.png")
        save_mask(root / "training" / "semantic" / f"{name}.png", CITYSCAPES_IDS)
        save_mask(root / "training" / "instance" / f"{name}.png", CITYSCAPES_IDS * 256 + 1)
    save_image(root / "testing" / "image_2" / "000000_10.png")
    return root


def make_bdd100k(root: Path) -> Path:
    """Train ids of Cityscapes; the test split has no masks."""
    for split, name in (("train", "0004a4c0-d4dff0ad"), ("val", "7d06fefd-f7be05a6"), ("test", "ac6d4f42-00000000")):
        save_image(root / "images" / "10k" / split / f"{name}.jpg")
        if split != "test":
            save_mask(root / "labels" / "sem_seg" / "masks" / split / f"{name}.png", CITYSCAPES_TRAIN_IDS)
    return root


def make_generic(root: Path, *splits: str, below: bool = False) -> Path:
    """``images/`` and ``masks/`` at the top, in folders of splits, or (``below``) with such folders in them."""
    for split in splits or ("",):
        images, masks = (Path("images") / split, Path("masks") / split)
        if not below:
            images, masks = (Path(split) / "images", Path(split) / "masks")
        for name in ("a", "b"):
            save_image(root / images / f"{name}.jpg", (2, 3))
            save_mask(root / masks / f"{name}.png", [[0, 1, 255], [4, 4, 0]])
    return root
