"""Cityscapes: ``leftImg8bit/<split>/<city>/*_leftImg8bit.png`` and ``gtFine/<split>/<city>/*_gtFine_*.png``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from data_manifests.encodings import Encoding
from data_manifests.errors import DataError
from data_manifests.files.images import list_images
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, images_in, pair_by_key
from data_manifests.layouts.class_tables import known_label_space

_IMAGE_END = "_leftImg8bit"


def _matches(kind: str, root: Path) -> bool:
    return (root / "leftImg8bit").is_dir() and (root / kind).is_dir()


def _load(name: str, kind: str, root: Path, label_space: LabelSpace | None) -> Dataset:
    """Read the masks of one kind, ``gtFine`` or ``gtCoarse``."""
    masks = list_images(root / kind)
    splits = {mask.relative_to(root / kind).parts[0] for mask in masks}
    image_folder = images_in(root / "leftImg8bit")
    images = [im for im in image_folder if im.relative_to(root / "leftImg8bit").parts[0] in splits]
    # labelTrainIds are not part of the download: users make them with a script, often for some splits only.
    of_train_ids = [m for m in masks if m.stem.endswith(f"_{kind}_labelTrainIds")]
    of_class_ids = [m for m in masks if m.stem.endswith(f"_{kind}_labelIds")]
    if not of_train_ids and not of_class_ids:
        raise DataError(f"{root / kind}: contains neither *_{kind}_labelTrainIds.png nor *_{kind}_labelIds.png.")
    # A user's table refers to the dataset's own ids.
    prefer_class_ids = len(of_class_ids) > (0 if label_space else len(of_train_ids))
    encoding: Encoding = "class_ids" if prefer_class_ids else "train_ids"
    chosen, end = (of_class_ids, "labelIds") if prefer_class_ids else (of_train_ids, "labelTrainIds")
    pairs = pair_by_key(
        images, chosen, lambda p: p.stem.removesuffix(_IMAGE_END), lambda p: p.stem.removesuffix(f"_{kind}_{end}")
    )
    there = set(masks)
    items = []
    for key, image, mask in pairs:
        instances = mask.with_name(f"{key}_{kind}_instanceIds.png")
        split = image.relative_to(root / "leftImg8bit").parts[0]
        items.append(DatasetItem(key, split, image, mask, instances if instances in there else None))
    return Dataset(root, name, label_space or known_label_space("cityscapes"), encoding, tuple(items))


def _layout(name: str, kind: str) -> Layout:
    looks_for = f"folders leftImg8bit/ and {kind}/"
    return Layout(name, looks_for, partial(_matches, kind), partial(_load, name, kind))


LAYOUT = _layout("cityscapes", "gtFine")
COARSE_LAYOUT = _layout("cityscapes_coarse", "gtCoarse")
