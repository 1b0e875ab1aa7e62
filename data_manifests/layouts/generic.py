"""Any dataset as ``images/`` and ``masks/``, with a folder for each split above or below them, or without splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from data_manifests.errors import DataError
from data_manifests.files.images import read_mask
from data_manifests.label_space import LabelSpace, numbered_label_space
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, SplitFolders, paired_items, those_there
from data_manifests.layouts.class_tables import read_classes_csv

#: Names people give the folder of a split.
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_folders(root: Path) -> list[SplitFolders]:
    """Splits of a folder, each with its folder of images and its folder of masks; empty if it is arranged otherwise."""
    images, masks = root / "images", root / "masks"
    if images.is_dir() and masks.is_dir():
        below = [(split, path, masks / path.name) for split, path in _split_dirs(images)]
        if len(below) < sum(not path.name.startswith(".") for path in images.iterdir()):
            below = []  # there are images, or other folders, beside those of the splits
        return those_there(below) or [("train", images, masks)]
    above = [(split, path / "images", path / "masks") for split, path in _split_dirs(root)]
    return those_there(above)


def _split_dirs(folder: Path) -> list[tuple[str, Path]]:
    folders = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    return [(_SPLIT_NAMES[p.name.lower()], p) for p in folders if p.name.lower() in _SPLIT_NAMES]


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    if not (folders := split_folders(root)):
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    items = [item for folder in folders for item in paired_items(*folder)]
    if folders[0][1] != root / "images":  # a stem may occur in each split
        items = [replace(item, image_id=f"{item.split}/{item.image_id}") for item in items]
    table = root / "classes.csv"
    notes: tuple[str, ...] = ()
    if label_space is None and table.is_file():
        label_space = read_classes_csv(table)
    if label_space is None:
        label_space = _label_space_from_masks(items)
        values = [class_.class_ids[0] for class_ in label_space.classes]
        notes = (
            f"no classes.csv in {root}, so each value in the masks counts as a class of its own: {_in_short(values)}. "
            "If one of them means void, or to give names, write classes.csv or give --classes.",
        )
    return Dataset(root, "generic", label_space, "class_ids", tuple(items), notes)


def _in_short(values: list[int]) -> str:
    """Ascending numbers as ranges.

    Example:
        >>> _in_short([0, 1, 2, 7])
        '0..2, 7'
    """
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]}..{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _label_space_from_masks(items: list[DatasetItem]) -> LabelSpace:
    found: set[int] = set()
    for item in items:
        found.update(np.flatnonzero(np.bincount(read_mask(item.mask_path).ravel())).tolist())
    if not found - {255, 65535}:
        raise DataError(f"{items[0].mask_path.parent}: all masks are void (255); there is no class to annotate.")
    return numbered_label_space(found)


LAYOUT = Layout(
    "generic",
    "folders images/ and masks/ with files of the same stem (at the top, or in train/, val/ and test/)",
    lambda root: bool(split_folders(root)),
    _load,
)
