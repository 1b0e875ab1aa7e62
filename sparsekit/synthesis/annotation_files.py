"""Read the full mask of an image, and write its sparse label map."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from data_manifests import DatasetItem, LabelMap, LabelSpace, ManifestRow
from data_manifests.encodings import Encoding
from data_manifests.files.atomic import write_atomically
from data_manifests.files.decode import check_is_whole
from data_manifests.files.images import exif_orientation, read_image_size
from data_manifests.files.masks import encode_label_map, pixel_sha256, read_mask
from data_manifests.files.paths import inside
from data_manifests.label_maps import MaskValues
from sparsekit.errors import AnnotationError


def read_full_mask(item: DatasetItem, encoding: Encoding) -> MaskValues:
    """Read the values of an image's full mask as stored, shape (H, W).

    Raises:
        AnnotationError: If image and mask differ in size.
        DataError: If the mask or the image cannot be read, or the image's file ends early.
    """
    mask = read_mask(item.mask, encoding)
    height, width = mask.shape
    if item.image_path and (size := read_image_size(item.image_path)) != (height, width):
        advice = "Give both the same size."
        if (orientation := exif_orientation(item.image_path)) >= 5 and size == (width, height):
            advice = (
                f"Images are read as viewers display them, here rotated (EXIF orientation {orientation}): rotate the "
                "mask too, or remove the orientation from the image."
            )
        raise AnnotationError(
            f"{item.mask}: mask is {width}x{height} (width x height) but its image {item.image_path} is "
            f"{size[1]}x{size[0]}. {advice}"
        )
    if item.image_path:  # no label for an image that nobody can read
        check_is_whole(item.image_path)
    return mask


def write_annotation(row: ManifestRow, sparse: LabelMap, folder: Path, space: LabelSpace) -> ManifestRow:
    """Write the sparse label map of an image.

    Args:
        row: The image's row.
        sparse: Train ids, shape (H, W), with the unlabelled value where there is no label.
        folder: Folder of the manifest; the file is ``annotations/<image id>.png`` in it.
        space: Classes of the labels.

    Returns:
        The row with the columns of the annotation filled in.
    """
    name = f"annotations/{row.image_id}.png"
    write_atomically(inside(folder, name), encode_label_map(sparse, space))
    labelled_rows = sparse[
        sparse.min(1, initial=space.unlabelled_value) < space.unlabelled_value
    ]  # few rows, for clicks
    _, counts = space.to_train_ids_and_counts(labelled_rows, "train_ids", name)
    return replace(
        row,
        annotation=name,
        num_labelled=int(counts.sum()),
        classes_labelled=tuple(np.flatnonzero(counts).tolist()),
        annotation_sha256=pixel_sha256(sparse),
    )


def num_reached(sparse: LabelMap, label_map: LabelMap, space: LabelSpace) -> int:
    """Number of classes with a label on one of their own pixels; displaced and wrong labels do not count."""
    some = sparse.min(1, initial=space.unlabelled_value) < space.unlabelled_value  # few rows, for clicks
    labels = sparse[some]
    right = labels[(labels == label_map[some]) & (labels != space.unlabelled_value)]
    return int(np.count_nonzero(np.bincount(right)))
