"""COCO-Stuff, 171 classes: ``images/{train2017,val2017}`` and masks in ``stuffthingmaps/`` or ``annotations/``."""

from __future__ import annotations

from pathlib import Path

from data_manifests.encodings import Encoding
from data_manifests.errors import DataError
from data_manifests.files.images import list_images
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, Layout, SplitFolders, paired_items, those_there
from data_manifests.layouts.class_tables import known_label_space

_TRAIN_ID_END = "_labelTrainIds"  # as mmsegmentation converts them


def _folders(root: Path) -> list[SplitFolders]:
    for masks in (root / "stuffthingmaps", root / "annotations"):
        found = [(split, root / "images" / f"{split}2017", masks / f"{split}2017") for split in ("train", "val")]
        if there := those_there(found):
            return there
    return []


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    if not (folders := _folders(root)):
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    masks = [mask for _, _, folder in folders for mask in list_images(folder)]
    converted = any(mask.stem.endswith(_TRAIN_ID_END) for mask in masks)
    encoding: Encoding = "train_ids" if converted else "class_ids"
    items = [item for folder in folders for item in paired_items(*folder, _TRAIN_ID_END if converted else "")]
    return Dataset(root, "coco_stuff", label_space or known_label_space("coco_stuff"), encoding, tuple(items))


LAYOUT = Layout(
    "coco_stuff",
    "folders images/ and stuffthingmaps/ (or annotations/) with train2017/ and val2017/ in both",
    lambda root: bool(_folders(root)),
    _load,
)
