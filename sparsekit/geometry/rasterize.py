"""Marks to sparse label map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_manifests import LabelMap, LabelSpace, Mark
from sparsekit.geometry.mark_pixels import AREA_KINDS, area_of, mark_pixels


def rasterize(marks: Sequence[Mark], shape: tuple[int, int], label_space: LabelSpace) -> LabelMap:
    """Draw marks into an empty sparse label map; where marks overlap, the earlier one wins.

    Args:
        marks: Clicks, strokes and other marks, in pixels of the full image; parts outside the image are cut off.
        shape: Height and width of the image.
        label_space: Defines the type of the map and its unlabelled value.

    Returns:
        Train ids, shape (H, W), with the unlabelled value outside the marks.
    """
    sparse: LabelMap = np.full(shape, label_space.unlabelled_value, label_space.dtype)
    height, width = shape
    for mark in reversed(marks):
        if mark.kind == "click":
            if 0 <= mark.row < height and 0 <= mark.col < width:
                sparse[mark.row, mark.col] = mark.class_id
            continue
        if mark.kind in AREA_KINDS:
            _fill(sparse, mark)
            continue
        rows, cols = mark_pixels(mark).T
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        sparse[rows[inside], cols[inside]] = mark.class_id
    return sparse


def _fill(sparse: LabelMap, mark: Mark) -> None:
    (top, left), covered = area_of(mark)
    covered = covered[max(0, -top) :, max(0, -left) :]
    target = sparse[max(0, top) :, max(0, left) :]
    height, width = np.minimum(target.shape, covered.shape)
    target[:height, :width][covered[:height, :width]] = mark.class_id
