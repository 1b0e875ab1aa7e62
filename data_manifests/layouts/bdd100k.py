"""BDD100K: ``images/10k/{train,val}`` and ``labels/sem_seg/masks/{train,val}``, in the train ids of Cityscapes."""

from __future__ import annotations

from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, Layout, SplitFolders, paired_items, those_there
from data_manifests.layouts.class_tables import known_label_space


def _folders(root: Path) -> list[SplitFolders]:
    images, masks = root / "images" / "10k", root / "labels" / "sem_seg" / "masks"
    found = [(split, images / split, masks / split) for split in ("train", "val")]
    return those_there(found)


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    if not (folders := _folders(root)):
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    items = [item for folder in folders for item in paired_items(*folder)]
    if label_space:  # a user's table refers to the values in the masks
        return Dataset(root, "bdd100k", label_space, "class_ids", tuple(items))
    return Dataset(root, "bdd100k", known_label_space("cityscapes"), "train_ids", tuple(items))


LAYOUT = Layout(
    "bdd100k",
    "folders images/10k/ and labels/sem_seg/masks/ with train/ and val/ in both",
    lambda root: bool(_folders(root)),
    _load,
)
