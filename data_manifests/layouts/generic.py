"""Any dataset with a folder of images and one of masks, optionally with split folders above or below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, SplitFolders, images_in, relative_stem
from data_manifests.layouts.folders import lists_of_splits, named_folders, paired_by_rules, side_by_side, split_folders
from data_manifests.layouts.mask_values import UNKNOWN_CLASSES


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    if folders := split_folders(root) or named_folders(root):
        in_splits = len(folders) > 1 or folders[0][1].parent != root
        return from_folders(root, folders, label_space, in_splits=in_splits)
    if beside := side_by_side(root):
        items = [
            DatasetItem(key if path == root else f"{split}/{key}", split, image, mask)
            for split, path, rule in beside
            for key, image, mask in rule.pairs
        ]
        return _dataset(root, items, [rule.name for _, _, rule in beside], label_space)
    raise DataError(f"{root}: expected {LAYOUT.looks_for}.")


def from_folders(
    root: Path,
    folders: Sequence[SplitFolders],
    label_space: LabelSpace | None,
    *,
    in_splits: bool = False,
    mask_suffix: str | None = None,
) -> Dataset:
    """Build a dataset from given folders.

    Args:
        root: Folder that the dataset is named after.
        folders: Split, folder of images and folder of masks.
        label_space: Its classes; found in the masks later if None.
        in_splits: Whether to prefix image ids with the split, because a stem may occur in several splits.
        mask_suffix: See ``paired_by_rules``.

    Raises:
        DataError: See ``paired_by_rules``.
    """
    items, rules = [], []
    for split, images_dir, masks_dir in folders:
        found, rule = paired_by_rules(split, images_dir, masks_dir, mask_suffix)
        items += [replace(item, image_id=f"{split}/{item.image_id}") for item in found] if in_splits else found
        rules.append("" if mask_suffix else rule)
    return _dataset(root, items, rules, label_space)


def masks_alone(root: Path, masks_dir: Path, label_space: LabelSpace | None, mask_suffix: str = "") -> Dataset:
    """Build a dataset from a folder of masks without images.

    Args:
        root: Folder that the dataset is named after.
        masks_dir: The masks; their paths below it, without extension and suffix, are the image ids.
        label_space: Its classes; found in the masks later if None.
        mask_suffix: Suffix to remove from the names; masks without it are skipped.

    Raises:
        DataError: If no mask has the suffix.
    """
    masks = [path for path in images_in(masks_dir) if path.stem.endswith(mask_suffix)]
    items = [
        DatasetItem(relative_stem(path, masks_dir).removesuffix(mask_suffix), "train", None, path) for path in masks
    ]
    if not items:
        raise DataError(f"{masks_dir}: contains no mask whose name ends with {mask_suffix!r}.")
    return _dataset(root, items, [], label_space)


def _dataset(root: Path, items: list[DatasetItem], rules: list[str], label_space: LabelSpace | None) -> Dataset:
    names = ", ".join(sorted({rule for rule in rules if rule}))
    notes = [f"images and masks are paired by: {names}."] if names else []
    if {item.split for item in items} == {"train"} and (note := lists_of_splits(root)):
        notes.append(note)
    return Dataset(root, "generic", label_space or UNKNOWN_CLASSES, "class_ids", tuple(items), tuple(notes))


LAYOUT = Layout(
    "generic",
    "folders images/ and masks/ (or labels/, annotations/, gt/, ...; at the top, or in train/, val/ and test/), "
    "train/ and train_labels/, train_images/ and train_masks/, or images and masks side by side, 0.jpg and 0_mask.png",
    lambda root: bool(split_folders(root) or named_folders(root) or side_by_side(root)),
    _load,
)
