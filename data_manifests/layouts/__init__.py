"""Dataset layouts: find the pairs of image and mask in a folder, whatever its structure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from data_manifests.encodings import Encoding
from data_manifests.errors import DataError, list_some
from data_manifests.files.paths import absolute, as_path, folders_with, in_utf8, is_remote, name_fault, reaching
from data_manifests.label_space import LabelClass, LabelSpace
from data_manifests.layout_names import LAYOUT_NAMES
from data_manifests.layouts import generic
from data_manifests.layouts.base import Dataset, DatasetItem, Layout, images_in, relative_stem
from data_manifests.layouts.class_tables import merge_classes, own_classes
from data_manifests.layouts.folders import IMAGE_FOLDERS, MASK_FOLDERS, what_is_there
from data_manifests.layouts.mask_values import settle_values


def _load_layout(home: str) -> Layout:
    module, _, name = home.partition(".")
    layout: Layout = getattr(import_module(f"data_manifests.layouts.{module}"), name)
    return layout


#: All layouts by name, in the order in which they are tried.
LAYOUTS: dict[str, Layout] = {name: _load_layout(home) for name, home in LAYOUT_NAMES.items()}


def open_dataset(
    root: str | Path,
    layout: str | None = None,
    label_space: LabelSpace | None = None,
    class_map: Mapping[str, Sequence[str]] | None = None,
    encoding: Encoding | None = None,
) -> Dataset:
    """Read a dataset folder.

    Args:
        root: The folder.
        layout: Name of the layout; detected if None.
        label_space: Classes to use instead of the folder's own (``classes.csv``, ``labelmap.txt`` of CVAT,
            ``class_names.txt`` of labelme) or the layout's.
        class_map: Classes to merge, rename or exclude; see ``merge_classes``.
        encoding: How the masks write the classes; detected if None.

    Raises:
        DataError: If the folder is missing or fits no layout, if images and masks do not pair up, if masks hold
            unexpected values, or if the class map does not fit the classes.
        ValueError: If the layout is unknown.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"Unknown layout '{layout}'. Choose from: {', '.join(LAYOUTS)}.")
    root = _existing(as_path(root))
    chosen = LAYOUTS[layout] if layout else next((c for c in _in_order() if c.matches(root)), None)
    if chosen is None:
        inside = [root, *(root / name for name in folders_with("manifest.csv", root))]
        _refuse_annotations(root, "the root folder of a dataset", [folder / "manifest.csv" for folder in inside])
        looked_for = "\n".join(f"  {c.name}: {c.looks_for}" for c in LAYOUTS.values())
        raise DataError(
            f"{root}: fits no known layout. {what_is_there(root)}\nLayouts tried (--layout selects one):\n{looked_for}"
        )
    own = None if label_space else own_classes(root)
    dataset = chosen.load(root, label_space or own)
    # A folder with its own class table is surely the intended one.
    if chosen is generic.LAYOUT and not (label_space or own) and (above := _layout_above(root)):
        note = f"the parent folder, {absolute(root).parent}, has the layout {above}; did you mean that one?"
        dataset = replace(dataset, notes=(note, *dataset.notes))
    return _complete(dataset, class_map, encoding)


def open_folders(
    masks_dir: str | Path,
    images_dir: str | Path | None = None,
    mask_suffix: str | None = None,
    label_space: LabelSpace | None = None,
    class_map: Mapping[str, Sequence[str]] | None = None,
    encoding: Encoding | None = None,
) -> Dataset:
    """Read a folder of images and a folder of masks, or masks alone.

    Args:
        masks_dir: The masks, at any depth.
        images_dir: The images; may be the same folder. If None, the dataset has masks only, which suffices for
            everything except figures and training.
        mask_suffix: Suffix of mask names after the image's, or in place of another, such as ``_mask``; detected if
            None.
        label_space: See ``open_dataset``; class tables are searched for in both folders and in their common parent.
        class_map: See ``open_dataset``.
        encoding: See ``open_dataset``.

    Raises:
        DataError: If a folder is missing or empty, or holds annotations, and as for ``open_dataset``.
    """
    masks = _existing(as_path(masks_dir))
    images = _existing(as_path(images_dir)) if images_dir is not None else None
    for folder, expected in ((masks, "full masks"), (images, "images")):
        if folder is not None:
            above = [folder.parent] if folder.name == "annotations" else []
            _refuse_annotations(folder, expected, [path / "manifest.csv" for path in (folder, *above)])
    root = common_folder(masks, images)
    tables = map(own_classes, dict.fromkeys(folder for folder in (root, masks, images) if folder))
    space = label_space or next((table for table in tables if table), None)
    if images is not None:
        dataset = generic.from_folders(root, [("train", images, masks)], space, mask_suffix=mask_suffix)
    else:
        dataset = generic.masks_alone(root, masks, space, mask_suffix or "")
    return _complete(dataset, class_map, encoding)


def open_images(
    images_dir: str | Path,
    label_space: LabelSpace | None = None,
    class_map: Mapping[str, Sequence[str]] | None = None,
) -> Dataset:
    """Read a folder of images that have no full masks yet, for annotations that people have made with another tool.

    Args:
        images_dir: The images, at any depth.
        label_space: The classes; by default those of a class table in the folder or, if it has a name such as
            ``images``, beside it.
        class_map: See ``open_dataset``.

    Raises:
        DataError: If the folder is missing or empty, or holds annotations, or there is no class table.
    """
    images = _existing(as_path(images_dir))
    _refuse_annotations(images, "images", [images / "manifest.csv"])
    root = images.parent if images.name.lower() in IMAGE_FOLDERS and absolute(images).parent.name else images
    space = label_space or own_classes(images) or own_classes(root)
    if space is None:
        raise DataError(
            f"{root}: has no class table, and without masks nothing else tells the classes. Add a classes.csv with the "
            "columns id,name, or give --classes FILE."
        )
    items = tuple(DatasetItem(relative_stem(path, images), "train", path, None) for path in images_in(images))
    dataset = Dataset(root, "generic", space, "colors" if space.ids_are_colors else "class_ids", items)
    dataset = _sorted(dataset)
    return map_classes(dataset, class_map) if class_map else dataset


def _complete(dataset: Dataset, class_map: Mapping[str, Sequence[str]] | None, encoding: Encoding | None) -> Dataset:
    """The dataset with settled values, sorted and checked."""
    dataset = settle_values(_sorted(dataset), encoding)
    return map_classes(dataset, class_map) if class_map else dataset


def _sorted(dataset: Dataset) -> Dataset:
    """The dataset with its items sorted.

    Raises:
        DataError: If two have the same image id, or one has an id that cannot be a file name.
    """
    seen: set[str] = set()
    for item in dataset.items:
        if item.image_id in seen:
            raise DataError(
                f"{dataset.root}: image id '{item.image_id}' occurs in two splits; rename one of the two files."
            )
        if fault := name_fault(item.image_id):
            raise DataError(f"{item.image_or_mask!a}: its image id {fault}; rename the file or folder.")
        seen.add(item.image_id)
    return replace(dataset, items=tuple(sorted(dataset.items, key=lambda item: item.image_id)))


def _refuse_annotations(folder: Path, expected: str, manifests: Sequence[Path]) -> None:
    """Say so if a folder holds annotations instead of a dataset: if one of these manifests exists."""
    if found := [path for path in manifests if path.is_file()]:
        raise DataError(
            f"{folder}: expected {expected}, but it holds annotations ({list_some([*map(str, found)])}). Give the "
            "folder that they were made from, or give the manifest to a command that takes one, such as `sparsekit "
            "render`."
        )


def _existing(folder: Path) -> Path:
    with reaching(folder):
        is_dir = folder.is_dir()
    if not is_dir:
        found = "is a file (unpack an archive first)" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {found}; expected the root folder of a dataset.")
    in_utf8(absolute(folder).name)  # manifests and their folders are named after it
    return folder


def common_folder(masks: Path, images: Path | None) -> Path:
    """The folder that gives the dataset its name."""
    if is_remote(masks) or (images is not None and is_remote(images)):
        return masks.parent
    if images is None:
        return masks if masks.name.lower() not in MASK_FOLDERS or not absolute(masks).parent.name else masks.parent
    above = Path(os.path.commonpath([absolute(images), absolute(masks)]))
    return above if above.name else masks


def _in_order() -> list[Layout]:
    """All layouts in the order to try them: the generic one is last, after any that a user added."""
    return sorted(LAYOUTS.values(), key=lambda layout: layout is generic.LAYOUT)


def _layout_above(root: Path) -> str:
    """Layout of the folder above, if it fits one; on this machine only."""
    if is_remote(root):
        return ""
    above = absolute(root).parent
    try:
        return next((layout.name for layout in LAYOUTS.values() if layout.matches(above)), "")
    except OSError:  # no permission to read it
        return ""


def map_classes(dataset: Dataset, class_map: Mapping[str, Sequence[str]]) -> Dataset:
    """Merge, rename or exclude classes of a dataset; the mask files stay as they are.

    Args:
        dataset: Any dataset.
        class_map: New name -> old names; see ``merge_classes``.

    Raises:
        DataError: If the class map does not fit the classes.
    """
    space = dataset.label_space
    if dataset.encoding == "train_ids":  # from here on, the values in the masks are the dataset's own ids
        classes = tuple(LabelClass(c.name, c.color, (i,)) for i, c in enumerate(space.classes))
        space = LabelSpace(space.name, classes)
    encoding: Encoding = "class_ids" if dataset.encoding == "train_ids" else dataset.encoding
    return replace(dataset, label_space=merge_classes(space, class_map), encoding=encoding)


__all__ = ["LAYOUTS", "Dataset", "DatasetItem", "Layout", "map_classes", "open_dataset", "open_folders", "open_images"]
