"""ADE20K, 150 classes: ``images/`` and ``annotations/`` with ``training/`` and ``validation/``; 0 in masks is void."""

from __future__ import annotations

from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.base import Dataset, Layout, SplitFolders, paired_items, those_there
from data_manifests.layouts.class_tables import known_label_space

_SPLITS = {"training": "train", "validation": "val"}


def _folders(root: Path) -> list[SplitFolders]:
    found = [(split, root / "images" / name, root / "annotations" / name) for name, split in _SPLITS.items()]
    return those_there(found)


def _load(root: Path, label_space: LabelSpace | None) -> Dataset:
    if not (folders := _folders(root)):
        raise DataError(f"{root}: expected {LAYOUT.looks_for}.")
    items = [item for folder in folders for item in paired_items(*folder)]
    return Dataset(root, "ade20k", label_space or known_label_space("ade20k"), "class_ids", tuple(items))


LAYOUT = Layout(
    "ade20k",
    "folders images/ and annotations/ with training/ and validation/ in both (ADEChallengeData2016)",
    lambda root: bool(_folders(root)),
    _load,
)
