"""Draw annotations over their image: clicks as dots, strokes as they are, other marks as outlines."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, LabelSpace, Mark
from data_manifests.colors import Color
from data_manifests.figures.drawing import Image, draw_dot, paint_pixels, rim_color, widen_lines
from sparsekit.errors import AnnotationError
from sparsekit.geometry.mark_pixels import AREA_KINDS

#: Diameter of a click over the longer side of the image: 40 pixels on 2048x1024, as in the figures of the AGMM paper.
DOT_SHARE = 40 / 2048

_VEIL_OPACITY = 0.5
_STROKE_ON_PAGE = 3  # least width of a stroke; the rim takes a third of it on each side


def draw_marks(
    image: Image,
    marks: Sequence[Mark],
    label_space: LabelSpace,
    *,
    annotation: LabelMap | None = None,
    dot_size: int | None = None,
    stroke_width: int = 1,
) -> Image:
    """Draw marks over their image.

    Clicks become dots in their class colour with a thin rim, black or white, whichever contrasts more with that colour.
    Strokes are the pixels of the annotation, with the same rim; boxes and polygons are outlines with a translucent
    fill, blocks are filled. Where clicks overlap, the earlier one lies on top, as it does in the annotation.

    Args:
        image: RGB, uint8, shape (H, W, 3); it is not modified.
        marks: The marks of the image.
        label_space: Defines the class colours.
        annotation: Sparse label map, shape (H, W); needed only for strokes.
        dot_size: Diameter of a click's dot in pixels, including the rim; by default ``default_dot_size``.
        stroke_width: Least width of a stroke in pixels, without its rim; thinner ones are widened.

    Returns:
        RGB, uint8, shape (H, W, 3).

    Raises:
        AnnotationError: If a mark's class is not of this label space.
        ValueError: If ``image`` has another type or shape, ``dot_size`` is below 1, or there are strokes but no
            annotation of the image's size.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be RGB, uint8, shape (H, W, 3), got {image.dtype} of shape {image.shape}.")
    dot_size = default_dot_size(*image.shape[:2]) if dot_size is None else dot_size
    canvas = np.array(image, copy=True)
    _check_classes(marks, label_space)
    colors = [label_class.color for label_class in label_space.classes]
    areas = [mark for mark in marks if mark.kind in AREA_KINDS]
    _draw_areas(canvas, areas, colors)
    if any(mark.kind == "stroke" for mark in marks):
        if annotation is None or annotation.shape != image.shape[:2]:
            size = "none" if annotation is None else annotation.shape
            raise ValueError(f"Strokes need an annotation of shape {image.shape[:2]}, got {size}.")
        lines = widen_lines(_outside(annotation, areas, label_space), stroke_width, label_space.unlabelled_value)
        paint_pixels(canvas, lines, label_space, max(_line_width(canvas), stroke_width // _STROKE_ON_PAGE))
    for mark in reversed(marks):
        if mark.kind == "click":
            draw_dot(canvas, mark.row + 0.5, mark.col + 0.5, dot_size, colors[mark.class_id])
    return canvas


def default_dot_size(height: int, width: int) -> int:
    """Return the diameter of a click's dot in pixels: ``DOT_SHARE`` of the longer side of the image, at least 3.

    Example:
        >>> default_dot_size(1024, 2048), default_dot_size(375, 500), default_dot_size(120, 100)
        (40, 10, 3)
    """
    return max(3, round(DOT_SHARE * max(height, width)))


def stroke_width_for(size: tuple[int, ...], page_size: tuple[int, ...]) -> int:
    """Return the least width of strokes, in pixels of an image that is scaled down to fit into ``page_size``.

    On the page, strokes are at least 3 pixels wide: at 300 dots per inch, 0.7 points.

    Example:
        >>> stroke_width_for((1024, 2048), (172, 344)), stroke_width_for((375, 500), (375, 500))
        (18, 3)
    """
    return math.ceil(_STROKE_ON_PAGE * max(1.0, size[0] / page_size[0], size[1] / page_size[1]))


def marks_from_annotation(annotation: LabelMap, label_space: LabelSpace) -> list[Mark]:
    """Derive marks from a sparse label map: isolated pixels become clicks, larger patches strokes.

    Args:
        annotation: Train ids, shape (H, W), with the unlabelled value where there is no label.
        label_space: Defines the unlabelled value.
    """
    labelled = (annotation != label_space.unlabelled_value).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(labelled, connectivity=8)
    return [
        Mark("click" if area == 1 else "stroke", int(annotation[top:top + height, left:left + width].min()), top, left)
        for left, top, width, height, area in stats[1:].tolist()
    ]  # fmt: skip


def _check_classes(marks: Sequence[Mark], label_space: LabelSpace) -> None:
    for mark in marks:
        if not 0 <= mark.class_id < label_space.num_classes:
            raise AnnotationError(
                f"A {mark.kind} at row {mark.row}, column {mark.col} has class {mark.class_id}; the classes of label "
                f"space '{label_space.name}' are 0..{label_space.num_classes - 1}."
            )


def _outside(annotation: LabelMap, areas: Sequence[Mark], label_space: LabelSpace) -> LabelMap:
    """Remove the pixels of blocks, boxes and polygons from the annotation."""
    if not areas:
        return annotation
    covered = np.zeros(annotation.shape, np.uint8)
    for mark in areas:
        cv2.fillPoly(covered, [_corners(mark)], 1)
    return np.where(covered > 0, np.array(label_space.unlabelled_value, annotation.dtype), annotation)


def _draw_areas(canvas: Image, areas: Sequence[Mark], colors: Sequence[Color]) -> None:
    width = _line_width(canvas)
    for mark in reversed(areas):
        corners, color = _corners(mark), colors[mark.class_id]
        cv2.polylines(canvas, [corners], True, rim_color(color), 2 * width + 2, cv2.LINE_AA)
        left, top, columns, rows = cv2.boundingRect(corners)
        inside = np.zeros((rows, columns), np.uint8)
        cv2.fillPoly(inside, [corners - [left, top]], 1)
        region = canvas[max(0, top) : top + rows, max(0, left) : left + columns]
        inside = inside[max(0, -top) :, max(0, -left) :][: region.shape[0], : region.shape[1]]
        opacity = 1.0 if mark.kind == "block" else _VEIL_OPACITY
        veiled = region + opacity * (np.array(color, np.float32) - region)
        region[:] = np.where(inside[..., None] > 0, np.rint(veiled), region)
        cv2.polylines(canvas, [corners], True, color, 2 * width, cv2.LINE_AA)


def _corners(mark: Mark) -> NDArray[np.int32]:
    """Corners as (x, y), shape (N, 1, 2); two points span an upright rectangle."""
    points = mark.points or ((mark.row, mark.col),)
    if len(points) == 2:
        (top, left), (bottom, right) = points
        points = ((top, left), (top, right), (bottom, right), (bottom, left))
    return np.array([[[col, row]] for row, col in points], np.int32)


def _line_width(canvas: Image) -> int:
    """Width of rims and outlines: 1 pixel per 700 pixels of the image's longer side."""
    return max(1, int(max(canvas.shape)) // 700)
