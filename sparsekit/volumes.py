"""Slices of volumes as a dataset of images and masks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import counted
from data_manifests.files.atomic import write_atomically
from data_manifests.files.axes import AXES, DEFAULT_AXIS, Axis
from data_manifests.files.images import encode_image
from data_manifests.files.masks import as_ids
from data_manifests.files.paths import as_path, inside
from data_manifests.files.slices import NOTE, read_note, slice_name
from data_manifests.files.volumes import Grid, Volume, read_volume, require_an_end
from data_manifests.label_space import LabelSpace
from data_manifests.layouts.class_tables import write_classes_csv
from data_manifests.layouts.volumes import VolumeItem
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.whole_folder import whole_folder

_LAST_PART = 1 << 16

#: Share of a voxel by which image and mask may lie apart; headers round.
_APART = 0.1


def write_slices(
    items: Sequence[VolumeItem],
    out: str | Path,
    *,
    axis: Axis = DEFAULT_AXIS,
    label_space: LabelSpace | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_volume: Callable[[], None] = lambda: None,
) -> str:
    """Write the slices of volumes as a dataset of the generic layout; replaces one that was written before.

    Every slice is kept. Its files are ``images/VOLUME/slice_NNN.tif`` (values as stored) and
    ``masks/VOLUME/slice_NNN.png``, below a folder for each split if there are several; NNN counts from 0, from foot to
    head, from front to back or from right to left, or pages.

    Args:
        items: The volumes, from ``data_manifests.find_volumes``.
        out: The folder to make; ``volumes.json`` in it says where slices lie in their volumes.
        axis: Plane of the slices of NIfTI volumes.
        label_space: Classes to write to ``classes.csv``.
        on_start: Called once with the number of volumes.
        on_volume: Called after each volume.

    Returns:
        What was written, in words.

    Raises:
        AnnotationError: If the folder holds something else, or an image and its mask differ in size or place.
        DataError: If a volume cannot be read, or a mask holds no ids.
        ValueError: If there is no such axis.
    """
    if axis not in AXES:
        raise ValueError(f"Unknown axis '{axis}'. Choose from: {', '.join(AXES)}.")
    in_splits = len({item.split for item in items}) > 1
    grids: dict[str, Any] = {}
    num_slices = num_bare = 0
    on_start(len(items))
    with whole_folder(as_path(out), _is_ours, overwrite=True) as folder:
        for item in items:
            prefix = f"{item.split}/" if in_splits else ""
            mask = read_volume(item.mask, axis)
            ids = as_ids(item.mask, mask.slices)
            if ids.ndim != 3:
                raise AnnotationError(f"{item.mask}: expected one class per voxel, got {ids.shape[3]} channels.")
            if item.images:
                _write_images(folder, f"{prefix}images/{item.name}", _read_channels(item, mask, axis))
            for number, values in enumerate(ids):
                name = f"{prefix}masks/{item.name}/{slice_name(number)}.png"
                write_atomically(inside(folder, name), encode_image(values))
                num_bare += int((values == values.flat[0]).all())
            num_slices += len(ids)
            grids[f"{prefix}{item.name}"] = mask.grid.to_dict()
            on_volume()
        if label_space:
            write_classes_csv(folder / "classes.csv", label_space)
        note = {"source": digest_of(items, axis), "volumes": grids}
        write_atomically(folder / NOTE, (json.dumps(note, indent=1, ensure_ascii=False) + "\n").encode())
    has = "has" if num_bare == 1 else "have"
    return f"{counted(num_slices, 'slice')}, of which {num_bare:,} {has} one value everywhere, often background"


def digest_of(items: Sequence[VolumeItem], axis: Axis) -> str:
    """A hash of the volumes and the axis; of a gzip file its size and its last part, which has the checksum of all."""
    digest = hashlib.sha256(axis.encode())
    for item in items:
        for path in (*item.images, item.mask):
            require_an_end(path)
            size = path.stat().st_size
            digest.update(f"{item.split} {item.name} {path.name} {size}\n".encode(errors="surrogateescape"))
            with path.open("rb") as file:
                file.seek(max(0, size - _LAST_PART) if path.suffix.lower() == ".gz" else 0)
                while part := file.read(1 << 20):
                    digest.update(part)
    return digest.hexdigest()


def are_up_to_date(folder: Path, items: Sequence[VolumeItem], axis: Axis) -> bool:
    """Whether slices were made of the volumes as they are now."""
    return _is_ours(folder) and read_note(folder / NOTE).get("source") == digest_of(items, axis)


def _is_ours(folder: Path) -> bool:
    return (folder / NOTE).is_file()


def _read_channels(item: VolumeItem, mask: Volume, axis: Axis) -> Volume:
    """The image of a volume, its channels in one array; checked against the mask."""
    channels = [read_volume(path, axis) for path in item.images]
    for path, channel in zip(item.images, channels, strict=True):
        _check_same_place(path, channel.grid, item.mask, mask.grid)
    if len(channels) == 1:
        return channels[0]
    if any(channel.slices.ndim != 3 for channel in channels):
        raise AnnotationError(
            f"{item.images[0]}: has several channels, and lies beside other channels, {item.name}_*. Keep them in one "
            "file, or in one file each."
        )
    return Volume(np.stack([channel.slices for channel in channels], axis=3), channels[0].grid)


def _check_same_place(path: Path, image: Grid, mask_path: Path, mask: Grid) -> None:
    if image.shape != mask.shape:
        raise AnnotationError(
            f"{mask_path}: the mask has {_sides(mask)} voxels, but its image {path} has {_sides(image)}. Give both the "
            "same grid."
        )
    if image.affine and mask.affine:
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * [*image.shape, 1]
        one, other = np.array(image.affine), np.array(mask.affine)
        apart = np.abs((one - other) @ corners.T).max()
        if apart > _APART * np.linalg.norm(one[:3, :3], axis=0).min():
            raise AnnotationError(
                f"{mask_path}: lies up to {apart:.3g} mm beside its image {path}, by the affines in their headers. "
                "Resample one onto the other, or write the right affine to the one that lacks it."
            )
    elif bool(image.affine) != bool(mask.affine):
        raise AnnotationError(f"{path} and {mask_path}: expected both as NIfTI or both as TIFF.")


def _sides(grid: Grid) -> str:
    return "x".join(map(str, grid.shape))


def _write_images(folder: Path, name: str, volume: Volume) -> None:
    import tifffile

    parent = inside(folder, f"{name}/_").parent
    parent.mkdir(parents=True, exist_ok=True)
    photometric = "miniswhite" if volume.white_is_zero else "minisblack"
    for number, values in enumerate(_storable(volume.slices)):
        path = parent / f"{slice_name(number)}.tif"
        bands: Any = {"planarconfig": "contig"} if values.ndim == 3 else {}
        tifffile.imwrite(path, values, photometric=photometric, compression="zlib", metadata=None, **bands)


def _storable(slices: NDArray[Any]) -> NDArray[Any]:
    """Values of a type that every reader of TIFF knows: at most 32 bits."""
    if slices.dtype.itemsize <= 4:
        return slices
    kind = np.int32 if slices.min() >= np.iinfo(np.int32).min and slices.max() <= np.iinfo(np.int32).max else np.float32
    return slices.astype(kind)
