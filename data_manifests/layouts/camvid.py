"""CamVid with 11 classes: ``{train,val,test}/{images,masks}``, or SegNet's ``train/``, ``trainannot/``, ..."""

from __future__ import annotations

from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, Layout, SplitFolders, paired_items, those_there
from data_manifests.layouts.class_tables import known_label_space, read_classes_csv
from data_manifests.layouts.folders import split_folders


def _folders(root: Path) -> list[SplitFolders]:
    segnet = [(split, root / split, root / f"{split}annot") for split in ("train", "val", "test")]
    return those_there(segnet) or split_folders(root)


def _matches(root: Path) -> bool:
    if (root / "trainannot").is_dir():
        return True
    table = root / "classes.csv"  # the class table tells whether a tree of images/ and masks/ is CamVid
    if not table.is_file() or not split_folders(root):
        return False
    try:
        return read_classes_csv(table).class_names == known_label_space("camvid").class_names
    except DataError:
        return False  # the generic layout reads the table again and reports the error


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    if not (folders := _folders(root)):
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    items = [item for folder in folders for item in paired_items(*folder)]
    known = known_label_space("camvid")
    # Its own table lists the same classes, with or without void.
    is_known = label_space and _ids(label_space) == _ids(known) and {*label_space.void_ids} <= {*known.void_ids, 255}
    space = known if is_known or label_space is None else label_space
    return Dataset(root, "camvid", space, "class_ids", tuple(items))


def _ids(space: LabelSpace) -> list[tuple[str, tuple[int, ...]]]:
    return [(c.name, c.class_ids) for c in space.classes]


LAYOUT = Layout(
    "camvid",
    "folders {train,val,test}/{images,masks} with CamVid's classes.csv, or train/ and trainannot/ (SegNet's tree)",
    _matches,
    _load,
)
