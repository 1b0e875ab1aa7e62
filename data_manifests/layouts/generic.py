"""Any dataset as ``images/`` and ``masks/``, at the top or in a folder for each split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_manifests.errors import DataError
from data_manifests.image_io import read_mask
from data_manifests.label_space import LabelSpace, numbered_label_space, read_classes_csv
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, pair_by_key, pictures_in, relative_stem

#: Names people give the folder of a split.
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def split_folders(root: Path) -> list[tuple[str, Path]]:
    """Splits of a folder with the folders that hold their ``images/`` and ``masks/``."""
    if _has_pair(root):
        return [("train", root)]
    folders = sorted(p for p in root.iterdir() if p.is_dir()) if root.is_dir() else []
    return [(_SPLIT_NAMES[p.name.lower()], p) for p in folders if p.name.lower() in _SPLIT_NAMES and _has_pair(p)]


def items_of(folders: list[tuple[str, Path]], *, prefix_split: bool) -> tuple[DatasetItem, ...]:
    """Pair the pictures of each split with their masks by stem.

    Args:
        folders: Split and folder, from ``split_folders``.
        prefix_split: Put the split before the image id, for datasets that use a stem once in each split.
    """
    items = []
    for split, folder in folders:
        images, masks = folder / "images", folder / "masks"
        pairs = pair_by_key(
            pictures_in(images),
            pictures_in(masks),
            lambda path, images=images: relative_stem(path, images),  # type: ignore[misc]
            lambda path, masks=masks: relative_stem(path, masks),  # type: ignore[misc]
        )
        items += [DatasetItem(f"{split}/{key}" if prefix_split else key, split, im, mask) for key, im, mask in pairs]
    return tuple(sorted(items, key=lambda item: item.image_id))


def _has_pair(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    folders = split_folders(root)
    if not folders:
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    items = items_of(folders, prefix_split=not _has_pair(root))
    if label_space is None:
        table = root / "classes.csv"
        label_space = read_classes_csv(table) if table.is_file() else _label_space_from_masks(items)
    return Dataset(root, "generic", label_space, "class_ids", items)


def _label_space_from_masks(items: tuple[DatasetItem, ...]) -> LabelSpace:
    found: set[int] = set()
    for item in items:
        found.update(np.unique(read_mask(item.mask_path)).tolist())
    if not found - {255, 65535}:
        raise DataError(f"{items[0].mask_path.parent}: all masks are void (255); there is no class to annotate.")
    return numbered_label_space(found)


LAYOUT = Layout(
    "generic",
    "folders images/ and masks/ with files of the same stem (at the top, or in train/, val/ and test/)",
    lambda root: bool(split_folders(root)),
    _load,
)
