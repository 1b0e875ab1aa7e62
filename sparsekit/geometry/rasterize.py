"""Marks to sparse label map."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from data_manifests import LabelMap, LabelSpace, Mark
from sparsekit.geometry.mark_pixels import AREA_KINDS, area_of, mark_pixels, pixels_of_strokes
from sparsekit.geometry.polylines import Polylines

#: Strokes drawn at once, which limits the memory for their pixels.
_TOGETHER = 256


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
    for is_stroke, group in groupby(reversed(marks), key=lambda mark: mark.kind == "stroke"):
        if is_stroke:
            strokes = list(group)
            for begin in range(0, len(strokes), _TOGETHER):
                _draw_strokes(sparse, strokes[begin : begin + _TOGETHER])
            continue
        for mark in group:
            if mark.kind == "click":
                if 0 <= mark.row < height and 0 <= mark.col < width:
                    sparse[mark.row, mark.col] = mark.class_id
            elif mark.kind in AREA_KINDS:
                _fill(sparse, mark)
            else:
                mark_pixels(mark)  # refuses it
    return sparse


def _draw_strokes(sparse: LabelMap, strokes: Sequence[Mark]) -> None:
    """Draw strokes, each over those before."""
    points = np.array([point for stroke in strokes for point in stroke.points])
    line = np.repeat(np.arange(len(strokes)), [len(stroke.points) for stroke in strokes])
    widths = np.array([width for stroke in strokes for width in stroke.widths])
    pixels, owner = pixels_of_strokes(Polylines(points, line), widths)
    # Of several values for a pixel, the last one stays.
    order = np.argsort(owner.astype(np.uint16), kind="stable")
    rows, cols = pixels[order].T
    inside = (rows >= 0) & (rows < sparse.shape[0]) & (cols >= 0) & (cols < sparse.shape[1])
    class_ids = np.array([stroke.class_id for stroke in strokes], sparse.dtype)[owner[order]]
    sparse[rows[inside], cols[inside]] = class_ids[inside]


def _fill(sparse: LabelMap, mark: Mark) -> None:
    (top, left), covered = area_of(mark)
    covered = covered[max(0, -top) :, max(0, -left) :]
    target = sparse[max(0, top) :, max(0, left) :]
    height, width = np.minimum(target.shape, covered.shape)
    target[:height, :width][covered[:height, :width]] = mark.class_id
