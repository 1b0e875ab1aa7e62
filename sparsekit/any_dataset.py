"""Open a dataset as people have it: full masks, volumes that are sliced first, or shapes that are filled first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data_manifests import Dataset, LabelSpace, open_dataset, open_folders
from data_manifests.encodings import Encoding
from data_manifests.errors import DataError, counted
from data_manifests.files.axes import DEFAULT_AXIS, Axis
from data_manifests.files.images import IMAGE_SUFFIXES
from data_manifests.files.paths import absolute, as_path, is_remote
from data_manifests.files.view import ImageView
from data_manifests.files.volumes import NIFTI_SUFFIXES, is_nifti
from data_manifests.layouts import common_folder
from data_manifests.layouts.image_notes import unused_note
from data_manifests.layouts.volumes import VolumeItem, classes_of, find_volumes, pair_volumes
from sparsekit import volumes
from sparsekit.formats import full_masks
from sparsekit.formats.detect import find_drawn_format


def open_any_dataset(
    root: str | Path | None,
    out_dir: str | Path | None,
    *,
    masks_dir: str | Path | None = None,
    images_dir: str | Path | None = None,
    mask_suffix: str | None = None,
    layout: str | None = None,
    label_space: LabelSpace | None = None,
    class_map: Mapping[str, Sequence[str]] | None = None,
    encoding: Encoding | None = None,
    axis: Axis | None = None,
    on_warning: Callable[[str], None] = lambda text: None,
    on_start: Callable[[int], None] = lambda total: None,
    on_volume: Callable[[], None] = lambda: None,
) -> Dataset:
    """Read the dataset of a folder, or of a folder of masks with or without one of images.

    If the folder holds volumes (NIfTI, or TIFF with several pages), their slices are written below ``out_dir`` and
    become the dataset. If it holds shapes of labelme, CVAT, Label Studio or COCO instead of masks, the full masks of
    these do. Both are written again only if their source has changed.

    Args:
        root: Root folder of the dataset; None if ``masks_dir`` is given.
        out_dir: Where slices and full masks go; None refuses datasets that need them.
        masks_dir: Folder of masks; see ``data_manifests.open_folders``, as for the next two.
        images_dir: Folder of images; None for masks alone.
        mask_suffix: Ending that masks add to the names of their images.
        layout: See ``data_manifests.open_dataset``, as for the next three. With a layout, nothing is sliced or filled.
        label_space: The classes.
        class_map: Classes to merge, rename or exclude.
        encoding: How the masks write the classes.
        axis: Plane of the slices of NIfTI volumes; axial if None.
        on_warning: Called with a sentence on what is left out: files beside those of the dataset, shapes.
        on_start: Called with the number of volumes before they are sliced.
        on_volume: Called after each volume.

    Raises:
        DataError: If it cannot be read, or needs an ``out_dir`` on this machine.
        ValueError: If arguments contradict each other, or the layout is unknown.
    """
    if (root is None) == (masks_dir is None):
        raise ValueError("Give either root or masks_dir.")
    if masks_dir is None and (images_dir is not None or mask_suffix):
        raise ValueError("images_dir and mask_suffix need masks_dir; they do not apply to root.")
    if masks_dir is not None and layout:
        raise ValueError("layout applies to root, not to masks_dir.")
    folder, masks = as_path(root or ""), as_path(masks_dir or "")
    images = None if images_dir is None else as_path(images_dir)
    out = None if out_dir is None or is_remote(as_path(out_dir)) else as_path(out_dir)
    how = (label_space, class_map, encoding)
    try:
        if masks_dir is None:
            found = open_dataset(folder, layout, *how)
        else:
            found = open_folders(masks, images, mask_suffix, *how)
    except DataError:
        if layout:
            raise
        if masks_dir is None:
            items = find_volumes(folder)
        else:
            folder, items = common_folder(masks, images), pair_volumes("train", images, masks, mask_suffix)
        has_no_shapes = masks_dir is not None or encoding or is_remote(folder)
        format_ = None if items or has_no_shapes else find_drawn_format(folder)
        if not (items or format_):
            raise
    else:
        _warn_of_unused(found, on_warning)
        return found
    if format_:
        found = open_dataset(_fill(folder, format_, out, on_warning), "generic", *how)
        return replace(found, root=folder)
    files = (path for item in items for path in (*item.images, item.mask))
    if text := unused_note(files, (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES)):
        on_warning(f"{folder}: {text}")
    plane: Axis = axis or DEFAULT_AXIS
    how = (label_space or classes_of(folder), class_map, encoding)
    slices, notes = _slice(folder, items, out, plane, how[0], on_start, on_volume)
    found = (
        open_dataset(slices, "generic", *how) if items[0].images else open_folders(slices / "masks", None, None, *how)
    )
    view = ImageView(axis=plane if is_nifti(items[0].mask) else None)
    return replace(found, root=folder, images=view, notes=(*notes, *found.notes))


def _warn_of_unused(dataset: Dataset, on_warning: Callable[[str], None]) -> None:
    """Warn of volumes beside the images of a dataset, and in folders of no known layout also of images."""
    pairs = [(item.image_path, item.mask) for item in dataset.items if item.image_path]
    # Known layouts have further files by design, such as instance ids, and masks alone lie beside their images.
    suffixes = (*IMAGE_SUFFIXES, *NIFTI_SUFFIXES) if dataset.layout == "generic" and pairs else NIFTI_SUFFIXES
    used = [path for pair in pairs for path in pair] or [item.mask for item in dataset.items]
    if text := unused_note(used, suffixes):
        on_warning(f"{dataset.root}: {text}")


def _slice(
    root: Path,
    items: Sequence[VolumeItem],
    out: Path | None,
    axis: Axis,
    label_space: LabelSpace | None,
    on_start: Callable[[int], None],
    on_volume: Callable[[], None],
) -> tuple[Path, tuple[str, ...]]:
    """The folder of the slices of volumes, and a note if they were written now."""
    if out is None:
        raise DataError(
            f"{root}: holds volumes. `sparsekit points` writes their slices to OUT/{absolute(root).name}-slices, a "
            "dataset to name here."
        )
    folder = out / f"{absolute(root).name}-slices"
    if volumes.are_up_to_date(folder, items, axis):
        return folder, ()
    wrote = volumes.write_slices(
        items, folder, axis=axis, label_space=label_space, on_start=on_start, on_volume=on_volume
    )
    kind = f"{axis} slices" if is_nifti(items[0].mask) else "slices"
    return folder, (f"{root}: wrote {kind} of {counted(len(items), 'volume')}: {wrote}.",)


def _fill(root: Path, format_: str, out: Path | None, on_warning: Callable[[str], None]) -> Path:
    """The dataset of the full masks of shapes."""
    if out is None:
        raise DataError(
            f"{root}: holds annotations of {format_} instead of masks. Make a dataset of them with `sparsekit "
            f"full-masks {root} --out NEW`."
        )
    folder = out / f"{absolute(root).name}-full-masks"
    if not full_masks.are_up_to_date(folder, root):
        for text in full_masks.write_full_masks(root, format_, folder, overwrite=True).notes:
            on_warning(text)
    on_warning(
        f"{root}: holds annotations of {format_}, filled to full masks in {folder.name}: pixels of no shape are "
        "background, and of two shapes the one drawn last lies on top; see `sparsekit full-masks`."
    )
    return folder
