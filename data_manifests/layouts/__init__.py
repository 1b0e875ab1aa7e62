"""Dataset layouts: find the pairs of image and mask in a folder, whichever way it is arranged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.files.paths import absolute, as_path, in_utf8, is_remote, name_fault, reaching
from data_manifests.label_space import LabelClass, LabelSpace
from data_manifests.layouts import ade20k, bdd100k, camvid, cityscapes, coco_stuff, generic, kitti, pascal_voc
from data_manifests.layouts.base import Dataset, DatasetItem, Layout
from data_manifests.layouts.class_tables import merge_classes

#: All layouts by name, the particular before the general: the first that matches is taken.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        cityscapes.LAYOUT,
        cityscapes.COARSE_LAYOUT,
        pascal_voc.LAYOUT,
        camvid.LAYOUT,
        ade20k.LAYOUT,
        coco_stuff.LAYOUT,
        kitti.LAYOUT,
        bdd100k.LAYOUT,
        generic.LAYOUT,
    )
}


def open_dataset(
    root: str | Path,
    layout: str | None = None,
    label_space: LabelSpace | None = None,
    class_map: Mapping[str, Sequence[str]] | None = None,
) -> Dataset:
    """Read a dataset folder.

    Args:
        root: The folder.
        layout: Name of the layout; found by looking when not given.
        label_space: Classes to use instead of the layout's own.
        class_map: Classes to put together, rename or leave out; see ``merge_classes``.

    Raises:
        DataError: If the folder is missing or fits no layout, if images and masks do not pair up, or if the class map
            does not fit the classes.
        ValueError: If there is no layout of that name.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"Unknown layout '{layout}'. Choose from: {', '.join(LAYOUTS)}.")
    root = as_path(root)
    with reaching(root):
        is_dir = root.is_dir()
    if not is_dir:
        raise DataError(f"{root}: no such folder; expected the root folder of a dataset.")
    in_utf8(absolute(root).name)  # of which manifests and their folders make their names
    chosen = LAYOUTS[layout] if layout else next((c for c in LAYOUTS.values() if c.matches(root)), None)
    if chosen is None:
        looked_for = "\n".join(f"  {c.name}: {c.looks_for}" for c in LAYOUTS.values())
        raise DataError(f"{root}: fits no known layout. Looked for:\n{looked_for}\nSay which with --layout.")
    dataset = chosen.load(root, label_space)
    # A folder with classes of its own is meant as it is.
    own_classes = label_space is not None or (root / "classes.csv").is_file()
    if chosen is generic.LAYOUT and not own_classes and (above := _layout_above(root)):
        note = f"the folder above, {absolute(root).parent}, is a dataset of layout {above}; perhaps that one was meant."
        dataset = replace(dataset, notes=(note, *dataset.notes))
    seen: set[str] = set()
    for item in dataset.items:
        if item.image_id in seen:
            raise DataError(f"{root}: image id '{item.image_id}' occurs in two splits; rename one of the two files.")
        if fault := name_fault(item.image_id):
            raise DataError(f"{item.image_path!a}: its image id {fault}; rename the file or folder.")
        seen.add(item.image_id)
    dataset = replace(dataset, items=tuple(sorted(dataset.items, key=lambda item: item.image_id)))
    return map_classes(dataset, class_map) if class_map else dataset


def _layout_above(root: Path) -> str:
    """Layout of the folder above, if it fits one; on this machine only."""
    if is_remote(root):
        return ""
    above = absolute(root).parent
    try:
        return next((layout.name for layout in LAYOUTS.values() if layout.matches(above)), "")
    except OSError:  # it may not be ours to read
        return ""


def map_classes(dataset: Dataset, class_map: Mapping[str, Sequence[str]]) -> Dataset:
    """The dataset with other classes, made of its own; its masks are read as they are.

    Args:
        dataset: Any dataset.
        class_map: New name -> old names; see ``merge_classes``.

    Raises:
        DataError: If the class map does not fit the classes.
    """
    space = dataset.label_space
    if dataset.encoding == "train_ids":  # what the masks hold now counts as the dataset's own ids
        classes = tuple(LabelClass(c.name, c.color, (i,)) for i, c in enumerate(space.classes))
        space = LabelSpace(space.name, classes)
    return replace(dataset, label_space=merge_classes(space, class_map), encoding="class_ids")


__all__ = ["LAYOUTS", "Dataset", "DatasetItem", "Layout", "map_classes", "open_dataset"]
