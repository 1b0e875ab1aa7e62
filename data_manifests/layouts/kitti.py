"""KITTI semantics: ``training/image_2`` and ``training/semantic`` (200 pairs), in the ids of Cityscapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.files.images import list_images
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, images_in, pair_by_key
from data_manifests.layouts.class_tables import known_label_space


def _matches(root: Path) -> bool:
    return (root / "training" / "image_2").is_dir() and (root / "training" / "semantic").is_dir()


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    if not _matches(root):
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    folder = root / "training"
    # The stereo benchmark's folder also holds each frame's successor, _11, which has no mask.
    images = [image for image in images_in(folder / "image_2") if not image.stem.endswith("_11")]
    pairs = pair_by_key(images, images_in(folder / "semantic"), lambda path: path.stem, lambda path: path.stem)
    instances = {path.stem: path for path in list_images(folder / "instance")}
    items = [DatasetItem(key, "train", image, mask) for key, image, mask in pairs]
    items = [replace(item, instance_path=instances.get(item.image_id)) for item in items]
    return Dataset(root, "kitti", label_space or known_label_space("cityscapes"), "class_ids", tuple(items))


LAYOUT = Layout("kitti", "folders training/image_2/ and training/semantic/", _matches, _load)
