"""CamVid with 11 classes: ``{train,val,test}/{images,masks}``, or ``train/``, ``trainannot/``, ... as SegNet has it."""

from __future__ import annotations

from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.label_space import LabelSpace, known_label_space, read_classes_csv
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, pair_by_key, pictures_in, relative_stem
from data_manifests.layouts.generic import items_of, split_folders


def _segnet_splits(root: Path) -> list[str]:
    return [s for s in ("train", "val", "test") if (root / s).is_dir() and (root / f"{s}annot").is_dir()]


def _matches(root: Path) -> bool:
    if _segnet_splits(root):
        return True
    table = root / "classes.csv"  # a tree of images/ and masks/ says by its classes that it is CamVid
    if not table.is_file() or not split_folders(root):
        return False
    try:
        return read_classes_csv(table).class_names == known_label_space("camvid").class_names
    except DataError:
        return False  # the generic layout reads the table again and says what is wrong with it


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    items: list[DatasetItem] = []
    for split in _segnet_splits(root):
        images, masks = root / split, root / f"{split}annot"
        pairs = pair_by_key(pictures_in(images), pictures_in(masks), lambda p: p.stem, lambda p: p.stem)
        items += [DatasetItem(relative_stem(im, images), split, im, mask) for _, im, mask in pairs]
    if not items:
        items = list(items_of(split_folders(root), prefix_split=False))
    if not items:
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    items.sort(key=lambda item: item.image_id)
    return Dataset(root, "camvid", label_space or known_label_space("camvid"), "class_ids", tuple(items))


LAYOUT = Layout(
    "camvid",
    "folders {train,val,test}/{images,masks} with CamVid's classes.csv, or train/ and trainannot/ (SegNet's tree)",
    _matches,
    _load,
)
