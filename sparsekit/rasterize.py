"""Marks drawn into a sparse label map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_manifests import LabelMap, LabelSpace, Mark


def rasterize(marks: Sequence[Mark], shape: tuple[int, int], label_space: LabelSpace) -> LabelMap:
    """Draw marks into an empty sparse label map; where marks overlap, the earlier one stays.

    Args:
        marks: Clicks, in pixels of the full image.
        shape: Height and width of the image.
        label_space: Gives the type of the map and its unlabelled value.

    Returns:
        Train ids, shape (H, W), with the unlabelled value wherever no mark lies.
    """
    sparse: LabelMap = np.full(shape, label_space.unlabelled_value, label_space.dtype)
    for mark in reversed(marks):
        sparse[mark.row, mark.col] = mark.class_id
    return sparse
