"""Slices of an export put together to the volumes they are of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests import ManifestRow
from data_manifests.files.decode import read_samples
from data_manifests.files.slices import SliceOf, require_one_volume, slice_name, slice_of, stack
from data_manifests.files.volumes import Grid
from data_manifests.manifest.rows import row_file
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.job import ExportJob, file_name


@dataclass(frozen=True)
class VolumeLabels:
    """The labels of one volume.

    Args:
        name: Name of its files, without ending.
        split: Of its slices.
        annotated: Whether they are annotations; else full masks that serve evaluation.
        grid: Of the volume.
        labels: Values to write, shape (slices, H, W); the value for no label in slices that are missing.
        images: The image's values as stored, shape (slices, H, W, channels); None for masks alone.
    """

    name: str
    split: str
    annotated: bool
    grid: Grid
    labels: NDArray[Any] = field(repr=False)
    images: NDArray[Any] | None = field(repr=False)


def of_volumes(job: ExportJob) -> bool:
    """Whether the images of an export are slices of volumes.

    Raises:
        AnnotationError: If some are, and others not.
    """
    rows = [row for row in job.manifest.rows if row.image or row.full_mask]
    found = [_slice(job, row) is not None for row in rows]
    if any(found) and not all(found):
        one = rows[found.index(False)].image_id
        raise AnnotationError(f"{job.manifest.path}: holds slices of volumes and other images, such as '{one}'.")
    return any(found)


def volumes_of(job: ExportJob) -> Iterator[VolumeLabels]:
    """The volumes of an export: those with annotations, then those that serve evaluation, sorted by name.

    Raises:
        AnnotationError: If slices of one volume are in several splits.
        DataError: If two datasets have a volume of one name.
    """
    seen: dict[str, SliceOf] = {}
    for annotated, images in ((True, job.annotated()), (False, job.evaluated())):
        parts: list[tuple[SliceOf, AnnotatedImage]] = []
        for image in images:
            place = _slice(job, image.row)
            if place is None:
                continue
            if parts and parts[0][0].volume == place.volume:
                require_one_volume(parts[0][0], place)
            elif parts:
                yield _volume(job, parts, annotated, seen)
                parts = []
            parts.append((place, image))
        if parts:
            yield _volume(job, parts, annotated, seen)


def _slice(job: ExportJob, row: ManifestRow) -> SliceOf | None:
    return slice_of(job.manifest.resolve(row.image or row.full_mask))


def _volume(
    job: ExportJob, parts: list[tuple[SliceOf, AnnotatedImage]], annotated: bool, seen: dict[str, SliceOf]
) -> VolumeLabels:
    place = parts[0][0]
    volume, grid = place.volume, place.grid
    require_one_volume(place, seen.get(volume, place))
    splits = {image.row.split for _, image in parts}
    if len(splits) > 1 or volume in seen:
        raise AnnotationError(
            f"{job.manifest.path}: slices of volume '{volume}' are in several splits. Split by volume: `sparsekit "
            "split MANIFEST --by group --group-pattern '[^/]+'`."
        )
    seen[volume] = place
    name = file_name(volume).replace("/", "_")
    labels = {
        place.number: job.values.encode(
            image.read_annotation() if annotated else image.read_full_mask(), job.space, full=not annotated
        )
        for place, image in parts
    }
    images = None
    if all(image.row.image for _, image in parts):
        images = _images(job, grid, {place.number: image for place, image in parts})
    return VolumeLabels(name, splits.pop(), annotated, grid, stack(labels, grid, job.values.unlabelled), images)


def _images(job: ExportJob, grid: Grid, parts: dict[int, AnnotatedImage]) -> NDArray[Any]:
    """All slices of the image, also those that the manifest lacks, from the folder of slices."""
    first = row_file(job.manifest, next(iter(parts.values())).row.image)
    depth = grid.slices(np.empty(grid.shape, np.bool_)).shape[0]
    folder, suffix = first.parent, first.suffix
    slices = {number: read_samples(folder / f"{slice_name(number)}{suffix}").values for number in range(depth)}
    values = stack(slices, grid, 0)
    return values if values.ndim == 4 else values[..., np.newaxis]
