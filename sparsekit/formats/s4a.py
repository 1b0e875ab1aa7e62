"""Scribbles4All: for each image, a PNG with three equal channels and an HDF5 file with its strokes."""

from __future__ import annotations

import json
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelSpace, Mark
from data_manifests.errors import counted
from data_manifests.files.images import encode_image
from data_manifests.files.paths import inside
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_values import LabelValues, class_id_values

#: Number of points of each stroke; equal for all, because the reader shortens strokes by their number of points.
_NUM_POINTS = 100


def _losses(job: ExportJob) -> list[str]:
    """The HDF5 file stores only strokes."""
    kinds = job.census.kinds if job.census else {}
    return [
        f"{counted(n, 'mark')} of kind {kind} would be in the PNG only, not in the HDF5 file"
        for kind, n in sorted(kinds.items())
        if kind != "stroke"
    ]


def write(job: ExportJob) -> None:
    """Write ``scribbles/<name>.png`` and ``.h5``; for Cityscapes, with the folders and names of its ground truth.

    Raises:
        AnnotationError: If h5py is not installed, or a class has an id above 255.
    """
    h5py = _h5py()
    if max(job.values.of_class) > 255:
        raise AnnotationError(
            f"{job.manifest.path}: the format s4a has 8 bits, but a class has the id {max(job.values.of_class)}. Merge "
            "classes, or choose a 16-bit format such as nnunet."
        )
    for image in job.annotated(with_marks=True):
        name = job.name(image.row)
        stem = f"scribbles/{name}"
        if job.is_cityscapes:
            stem = f"scribbles/gtFine/{image.row.split}/{name.partition('_')[0]}/{name}_gtFine_labelIds"
        values = job.values.encode(image.read_annotation(), job.space).astype(np.uint8)
        job.write(f"{stem}.png", encode_image(np.repeat(values[:, :, None], 3, axis=2)))
        _write_hdf5(h5py, job, image, f"{stem}.h5")


def _write_hdf5(h5py: ModuleType, job: ExportJob, image: AnnotatedImage, name: str) -> None:
    strokes = [mark for mark in reversed(image.marks) if mark.kind == "stroke"]
    num_points = max([_NUM_POINTS, *(len(stroke.points) for stroke in strokes)])
    lines = np.array([_spread(stroke, num_points) for stroke in strokes], np.float64)
    widths = [max(stroke.widths) for stroke in strokes] or [1]
    config = {
        "background_px_value": [0, 0, 0],
        "line_thickness": max(set(widths), key=lambda width: (widths.count(width), width)),
        "scribble_scale": 1,
    }
    values = [[job.values.of_class[stroke.class_id]] * 3 for stroke in strokes]
    with h5py.File(inside(job.folder, name), "w") as file:
        # Without times, so that equal marks give equal bytes.
        file.create_dataset("scribble", data=lines.reshape(-1, num_points, 2), track_times=False)
        file.create_dataset("scribble_values", data=np.array(values, np.int32).reshape(-1, 3), track_times=False)
        dims = (image.row.height, image.row.width, 3)
        file.create_dataset("image_dims", data=np.array(dims, np.int64), track_times=False)
        file.create_dataset("config", data=json.dumps(config).encode(), track_times=False)


def _spread(stroke: Mark, num_points: int) -> NDArray[Any]:
    """Resample a stroke: all corners as (x, y), and pixels between them in proportion to the segments' lengths."""
    corners = np.array(stroke.points)[:, ::-1]
    missing = num_points - len(corners)
    steps = np.abs(np.diff(corners, axis=0)).max(1, initial=0)
    if not steps.sum():
        return np.concatenate([corners, np.repeat(corners[-1:], missing, axis=0)])
    until = np.cumsum(steps) * missing // steps.sum()
    parts = [corners[:1]]
    for start, end, extra in zip(corners, corners[1:], np.diff(until, prepend=0), strict=False):
        along = np.arange(1, extra + 2)[:, None]
        parts.append(start + (2 * (end - start) * along + extra + 1) // (2 * (extra + 1)))
    return np.concatenate(parts)


def _h5py() -> ModuleType:
    try:
        return import_module("h5py")
    except ImportError as error:
        raise AnnotationError("The format s4a needs h5py: pip install 'sparsekit-agmm[hdf5]'.") from error


def _values(space: LabelSpace) -> LabelValues:
    if not space.ids_are_colors and all(c.class_ids and c.class_ids[0] > 0 for c in space.classes):
        return class_id_values(space, 0)
    return LabelValues(tuple(range(1, space.num_classes + 1)), 0)


FORMAT = Format(write, values=_values, needs_marks=True, losses=_losses)
