"""Tell the masks of a dataset folder from its images."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.layouts import LAYOUTS
from data_manifests.layouts.folders import MASK_FOLDERS, named_folders, split_folders
from data_manifests.layouts.volumes import find_volumes


def masks_among(root: Path, files: Collection[Path]) -> set[Path]:
    """Masks among the files of a folder: those of the dataset that it is, and all others in folders of masks.

    Args:
        root: The folder.
        files: Files below it.

    Returns:
        Empty if the folder has no known layout.

    Raises:
        DataError: If it has one, but images and masks do not pair up.
    """
    if folders := split_folders(root) or named_folders(root):
        images = {folder for _, folder, _ in folders}
        others = [path for path in files if images.isdisjoint(path.parents)]
        return {path for path in others if not MASK_FOLDERS.isdisjoint(map(str.lower, path.relative_to(root).parts))}
    images, masks = _pairs(root)
    return _below({_own_folder(mask, images, root) for mask in masks}, files)


def _pairs(root: Path) -> tuple[set[Path], set[Path]]:
    """Images and masks of a dataset."""
    try:
        if volumes := find_volumes(root):
            return {path for item in volumes for path in item.images}, {item.mask for item in volumes}
        layout = next((layout for layout in LAYOUTS.values() if layout.matches(root)), None)
        items = layout.load(root, None).items if layout else ()
    except DataError as error:
        raise DataError(
            f"{root}: looks like a dataset, but not all of it fits. Name the images' folder. {error}"
        ) from error
    masks = {item.mask for item in items} | {item.instance_path for item in items if item.instance_path}
    return {item.image_path for item in items if item.image_path}, masks


def _own_folder(mask: Path, images: Collection[Path], root: Path) -> Path:
    """The highest folder around a mask that holds no image of the dataset; the mask itself where there is none."""
    with_images = {parent for image in images for parent in image.parents}
    around = [path for path in (mask, *mask.parents) if path != root and root in path.parents]
    return [path for path in around if path not in with_images][-1]


def _below(folders: Collection[Path], files: Collection[Path]) -> set[Path]:
    return {path for path in files if path in folders or not set(folders).isdisjoint(path.parents)}
