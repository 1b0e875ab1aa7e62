"""Cityscapes: ``leftImg8bit/<split>/<city>/*_leftImg8bit.png`` and ``gtFine/<split>/<city>/*_gtFine_*.png``."""

from __future__ import annotations

from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.image_io import list_pictures
from data_manifests.label_space import Encoding, LabelSpace, known_label_space
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, pair_by_key, pictures_in

_IMAGE_END = "_leftImg8bit"


def _matches(root: Path) -> bool:
    return (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    images = pictures_in(root / "leftImg8bit")
    masks = list_pictures(root / "gtFine")
    # labelTrainIds are not part of the download: users make them with a script, often for some splits only.
    by_kind = {kind: [m for m in masks if m.stem.endswith(f"_gtFine_{kind}")] for kind in ("labelTrainIds", "labelIds")}
    chosen: Encoding = "train_ids" if len(by_kind["labelTrainIds"]) >= len(by_kind["labelIds"]) else "class_ids"
    suffix = "_gtFine_labelTrainIds" if chosen == "train_ids" else "_gtFine_labelIds"
    if not (found := by_kind[suffix.removeprefix("_gtFine_")]):
        raise DataError(f"{root / 'gtFine'}: no *_gtFine_labelTrainIds.png and no *_gtFine_labelIds.png in it.")
    pairs = pair_by_key(images, found, lambda p: p.stem.removesuffix(_IMAGE_END), lambda p: p.stem.removesuffix(suffix))
    items = []
    for key, image, mask in pairs:
        instances = mask.with_name(f"{key}_gtFine_instanceIds.png")
        split = image.relative_to(root / "leftImg8bit").parts[0]
        items.append(DatasetItem(key, split, image, mask, instances if instances.is_file() else None))
    return Dataset(root, "cityscapes", label_space or known_label_space("cityscapes"), chosen, tuple(items))


LAYOUT = Layout("cityscapes", "folders leftImg8bit/ and gtFine/", _matches, _load)
