"""Dataset layouts: find the pairs of image and mask in a folder, whichever way it is arranged."""

from __future__ import annotations

from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.label_space import LabelSpace
from data_manifests.layouts import camvid, cityscapes, generic, pascal_voc
from data_manifests.layouts.base import Dataset, DatasetItem, Layout

#: All layouts by name, the particular before the general: the first that matches is taken.
LAYOUTS: dict[str, Layout] = {module.LAYOUT.name: module.LAYOUT for module in (cityscapes, pascal_voc, camvid, generic)}


def open_dataset(root: Path, layout: str | None = None, label_space: LabelSpace | None = None) -> Dataset:
    """Read a dataset folder.

    Args:
        root: The folder.
        layout: Name of the layout; found by looking when not given.
        label_space: Classes to use instead of the layout's own.

    Raises:
        DataError: If the folder is missing or fits no layout, or if pictures and masks do not pair up.
        ValueError: If there is no layout of that name.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"Unknown layout '{layout}'. Choose from: {', '.join(LAYOUTS)}.")
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; expected the root folder of a dataset.")
    chosen = LAYOUTS[layout] if layout else next((c for c in LAYOUTS.values() if c.matches(root)), None)
    if chosen is None:
        looked_for = "\n".join(f"  {c.name}: {c.looks_for}" for c in LAYOUTS.values())
        raise DataError(f"{root}: fits no known layout. Looked for:\n{looked_for}\nSay which with --layout.")
    dataset = chosen.load(root, label_space)
    seen: set[str] = set()
    for item in dataset.items:
        if item.image_id in seen:
            raise DataError(f"{root}: image id '{item.image_id}' occurs in two splits; rename one of the two files.")
        seen.add(item.image_id)
    return dataset


__all__ = ["LAYOUTS", "Dataset", "DatasetItem", "Layout", "open_dataset"]
