"""Write the sparse label map of an image, and count what it reaches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from data_manifests import LabelMap, LabelSpace, ManifestRow
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map, pixel_sha256
from data_manifests.files.paths import inside


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
