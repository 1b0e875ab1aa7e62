"""Find the volumes of a dataset, images with their masks: nnU-Net's folders, or one of images and one of masks."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_manifests.colors import voc_color
from data_manifests.errors import DataError
from data_manifests.files.images import list_images
from data_manifests.files.paths import is_remote
from data_manifests.files.text import read_json
from data_manifests.files.volumes import VOLUME_SUFFIXES, is_nifti, is_volume, volume_stem
from data_manifests.label_space import LabelClass, LabelSpace
from data_manifests.layouts.base import SplitFolders, those_there
from data_manifests.layouts.class_tables import own_classes
from data_manifests.layouts.folders import named_folders, pair_files, require_suffix, split_folders

#: nnU-Net's ending of a case's channels, each in a file of its own.
_CHANNEL = re.compile(r"_\d{4}$")


@dataclass(frozen=True)
class VolumeItem:
    """One volume of images with its mask.

    Args:
        name: Unique in its split.
        split: ``train``, ``val`` or ``test``.
        images: The image; one file for each channel where nnU-Net's names say so. Empty for masks alone.
        mask: The full mask.
    """

    name: str
    split: str
    images: tuple[Path, ...]
    mask: Path


def find_volumes(root: Path) -> list[VolumeItem]:
    """Volumes of a dataset folder; empty where it holds none.

    Raises:
        DataError: If it holds some, but images and masks do not pair up.
    """
    if is_remote(root) or not root.is_dir():
        return []
    for find in (_nnunet_folders, split_folders, _named_folders):
        folders = [(split, images, masks) for split, images, masks in find(root) if volumes_in(masks)]
        if folders:
            return [item for split, images, masks in folders for item in pair_volumes(split, images, masks)]
    return []


def pair_volumes(
    split: str, images_dir: Path | None, masks_dir: Path, mask_suffix: str | None = None
) -> list[VolumeItem]:
    """Volumes of two folders, or of masks alone; empty where the folder of masks holds none.

    Raises:
        DataError: If they do not pair up.
    """
    masks = volumes_in(masks_dir)
    if not masks or images_dir is None:
        return [VolumeItem(_name(mask, masks_dir), split, (), mask) for mask in masks]
    images = volumes_in(images_dir)
    if images_dir == masks_dir:
        end = require_suffix(mask_suffix, images_dir)
        masks = [path for path in images if volume_stem(path).name.endswith(end)]
        images = [path for path in images if path not in masks]
    if not images:
        raise DataError(f"{images_dir}: holds no volumes, but {masks_dir} does (such as {masks[0].name}).")
    cases: dict[str, list[Path]] = {}
    for path in images:
        cases.setdefault(_CHANNEL.sub("", _name(path, images_dir)), []).append(path)
    of_masks = {_name(mask, masks_dir): mask for mask in masks}
    if cases.keys() == of_masks.keys():
        return [VolumeItem(case, split, tuple(sorted(cases[case])), of_masks[case]) for case in sorted(cases)]
    files = {_with_one_ending(path): path for path in (*images, *masks)}  # as the rules expect
    rule = pair_files(
        [*map(_with_one_ending, images)], images_dir, [*map(_with_one_ending, masks)], masks_dir, mask_suffix
    )
    return [VolumeItem(name, split, (files[image],), files[mask]) for name, image, mask in rule.pairs]


def _with_one_ending(path: Path) -> Path:
    return path.with_suffix("") if path.name.lower().endswith(".nii.gz") else path


def _name(path: Path, folder: Path) -> str:
    return volume_stem(path).relative_to(folder).as_posix()


def volumes_in(folder: Path) -> list[Path]:
    """Volumes below a folder: NIfTI if there is some, else TIFF with several pages."""
    if is_remote(folder) or not folder.is_dir():
        return []
    files = list_images(folder, VOLUME_SUFFIXES)
    return [path for path in files if is_nifti(path)] or [path for path in files if is_volume(path)]


def classes_of(root: Path) -> LabelSpace | None:
    """The classes from a class table in the folder, or from the ``dataset.json`` of nnU-Net; None without one.

    Raises:
        DataError: If the table cannot be read.
    """
    path = root / "dataset.json"
    return own_classes(root) or (_nnunet_classes(path) if path.is_file() else None)


def _nnunet_folders(root: Path) -> list[SplitFolders]:
    return those_there(
        (split, root / f"images{part}", root / f"labels{part}") for split, part in (("train", "Tr"), ("test", "Ts"))
    )


def _named_folders(root: Path) -> list[SplitFolders]:
    return named_folders(root, lambda folder: bool(volumes_in(folder)))


def _nnunet_classes(path: Path) -> LabelSpace | None:
    """Labels by name, as nnU-Net writes them, or names by label, as the Medical Segmentation Decathlon does."""
    try:
        data: Any = read_json(path)
        labels = data.get("labels") if isinstance(data, dict) else None
        if not isinstance(labels, dict):
            return None
        if all(isinstance(value, str) for value in labels.values()):
            labels = {name: int(value) for value, name in labels.items()}
        if any(isinstance(value, list) for value in labels.values()):
            raise ValueError("labels that are regions, lists of values; give --classes")
        named = sorted((int(value), name) for name, value in labels.items() if name != "ignore")
        void = (int(labels["ignore"]),) if "ignore" in labels else ()
        classes = tuple(LabelClass(name, voc_color(i), (value,)) for i, (value, name) in enumerate(named))
        return LabelSpace("custom", classes, void)
    except (DataError, ValueError, TypeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected labels as nnU-Net writes them ({error}).") from error
