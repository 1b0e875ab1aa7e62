"""Annotations drawn over their picture: clicks as dots, strokes as they are, other marks as outlines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, LabelSpace, Mark
from data_manifests.label_space import Color
from sparsekit.errors import AnnotationError

Image = NDArray[np.uint8]

#: Diameter of a click in pixels of the full picture, as in the figures of the AGMM paper.
DOT_SIZE = 40

_AREA_KINDS = {"block", "box", "polygon"}
_VEIL_OPACITY = 0.5
#: Void in pictures of full masks: a grey lighter than any class of the known label spaces.
VOID_COLOR = (228, 228, 228)


def draw_marks(
    image: Image,
    marks: Sequence[Mark],
    label_space: LabelSpace,
    *,
    annotation: LabelMap | None = None,
    dot_size: int = DOT_SIZE,
) -> Image:
    """Draw the marks of one image over its picture.

    Clicks become dots in their class colour with a thin rim, black or white, whichever differs more from that colour.
    Strokes are drawn as the annotation has them, pixel by pixel, within such a rim; boxes and polygons as a veil
    with an outline, blocks filled. Where clicks overlap, the earlier one lies on top, as it does in the annotation.

    Args:
        image: RGB, uint8, shape (H, W, 3); it is not changed.
        marks: What the annotator drew.
        label_space: Gives the class colours.
        annotation: Sparse label map, shape (H, W); needed for strokes only.
        dot_size: Diameter of a click's dot in pixels, rim included.

    Returns:
        RGB, uint8, shape (H, W, 3).

    Raises:
        AnnotationError: If a mark's class is not of this label space.
        ValueError: If ``dot_size`` is below 1, or strokes come without an annotation of the image's size.
    """
    canvas = np.array(image, copy=True)
    _check_classes(marks, label_space)
    colors = [label_class.color for label_class in label_space.classes]
    areas = [mark for mark in marks if mark.kind in _AREA_KINDS]
    _draw_areas(canvas, areas, colors)
    if any(mark.kind == "stroke" for mark in marks):
        if annotation is None or annotation.shape != image.shape[:2]:
            size = "none" if annotation is None else "x".join(map(str, annotation.shape))
            raise ValueError(f"Strokes need an annotation of {image.shape[0]}x{image.shape[1]}, got {size}.")
        _paint_pixels(canvas, _outside(annotation, areas, label_space), label_space)
    for mark in reversed(marks):
        if mark.kind == "click":
            draw_dot(canvas, mark.row + 0.5, mark.col + 0.5, dot_size, colors[mark.class_id])
    return canvas


def marks_from_annotation(annotation: LabelMap, label_space: LabelSpace) -> list[Mark]:
    """Marks of a sparse label map that comes without any: lone pixels are clicks, larger patches strokes.

    Args:
        annotation: Train ids, shape (H, W), with the unlabelled value wherever nothing is given.
        label_space: Gives the unlabelled value.
    """
    labelled = (annotation != label_space.unlabelled_value).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(labelled, connectivity=8)
    return [
        Mark("click" if area == 1 else "stroke", int(annotation[top:top + height, left:left + width].min()), top, left)
        for left, top, width, height, area in stats[1:].tolist()
    ]  # fmt: skip


def draw_dot(canvas: Image, row: float, col: float, size: float, color: Color, rim: Color | None = None) -> None:
    """Draw an anti-aliased dot with a rim into a picture; what lies outside the picture is cut off.

    Args:
        canvas: RGB, uint8, shape (H, W, 3), changed in place.
        row: Centre from the picture's upper edge, in pixels: 0.5 is the middle of the first row.
        col: Centre from the picture's left edge, likewise.
        size: Diameter in pixels, rim included.
        color: Colour inside the rim.
        rim: Colour of the rim; ``rim_color(color)`` if not given.

    Raises:
        ValueError: If ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"dot_size must be at least 1, got {size}.")
    top, left = int(np.floor(row - size / 2)), int(np.floor(col - size / 2))
    disc, core = _dot_coverage(size, row - top, col - left)
    height, width = canvas.shape[:2]
    above, below = max(0, -top), min(len(disc), height - top)
    before, after = max(0, -left), min(len(disc), width - left)
    if above >= below or before >= after:
        return
    disc, core = disc[above:below, before:after, None], core[above:below, before:after, None]
    region = canvas[top + above : top + below, left + before : left + after]
    outer = np.array(rim if rim is not None else rim_color(color), np.float32)
    inside = outer + core * (np.array(color, np.float32) - outer)
    region[:] = np.rint(region + disc * (inside - region)).astype(np.uint8)


def rim_color(color: Color) -> Color:
    """Black or white, whichever contrasts more with a colour.

    A colour that is close to the picture around it is then told apart by its rim, and one that is not needs no rim.

    References:
        Contrast ratio and relative luminance as in the Web Content Accessibility Guidelines 2.2.

    Example:
        >>> rim_color((0, 0, 142)), rim_color((220, 220, 0))
        ((255, 255, 255), (0, 0, 0))
    """
    linear = [v / 3294.6 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Contrast with white is 1.05 / (L + 0.05), with black (L + 0.05) / 0.05.
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 1.05 * 0.05 else (255, 255, 255)


def colorize(label_map: LabelMap, label_space: LabelSpace, image: Image | None = None, opacity: float = 1.0) -> Image:
    """Show a label map in its class colours, on its own or blended over the picture.

    Args:
        label_map: Train ids, shape (H, W), with the unlabelled value at void or unlabelled pixels.
        label_space: Gives the colours.
        image: Picture to blend with, RGB, shape (H, W, 3).
        opacity: Share of the class colour, 0..1.

    Returns:
        RGB, uint8, shape (H, W, 3); void is light grey, or the bare picture where blended.
    """
    labelled = label_map != label_space.unlabelled_value
    palette = np.vstack([label_space.palette, np.array([VOID_COLOR], np.uint8)])
    colored = palette[np.where(labelled, label_map, label_space.num_classes)]
    if image is None or opacity >= 1:
        return colored
    blended = cv2.addWeighted(colored, opacity, image, 1 - opacity, 0)
    return np.where(labelled[..., None], blended, image).astype(np.uint8)


def rim_width(size: float) -> float:
    """Width of the rim of a dot, in pixels; dots too small for a rim and a pure pixel inside have none."""
    return max(1.0, size / 16) if size >= 5 else 0.0


@lru_cache(maxsize=16)
def _dot_coverage(size: float, row: float, col: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Share of each pixel that lies in the whole dot and in its core, for a centre at (row, col) of the stamp."""
    steps = np.arange(int(np.ceil(size)) + 1, dtype=np.float32) + 0.5
    distance = np.sqrt((steps[:, None] - row) ** 2 + (steps[None, :] - col) ** 2)
    radius = size / 2
    disc = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
    core = np.clip(radius - rim_width(size) + 0.5 - distance, 0, 1).astype(np.float32)
    return disc, core


def _check_classes(marks: Sequence[Mark], label_space: LabelSpace) -> None:
    for mark in marks:
        if not 0 <= mark.class_id < label_space.num_classes:
            raise AnnotationError(
                f"A {mark.kind} at row {mark.row}, column {mark.col} has class {mark.class_id}; the classes of label "
                f"space '{label_space.name}' are 0..{label_space.num_classes - 1}."
            )


def _paint_pixels(canvas: Image, annotation: LabelMap, label_space: LabelSpace) -> None:
    """Paint labelled pixels in their class colour, with a rim around them."""
    labelled = annotation != label_space.unlabelled_value
    width = _line_width(canvas)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    for rim in ((255, 255, 255), (0, 0, 0)):
        with_this_rim = np.zeros(label_space.unlabelled_value + 1, np.uint8)
        with_this_rim[[i for i, c in enumerate(label_space.classes) if rim_color(c.color) == rim]] = 1
        canvas[(cv2.dilate(with_this_rim[annotation], kernel) > 0) & ~labelled] = rim
    canvas[labelled] = label_space.palette[annotation[labelled]]


def _outside(annotation: LabelMap, areas: Sequence[Mark], label_space: LabelSpace) -> LabelMap:
    """The annotation without what blocks, boxes and polygons gave it."""
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
    """Width of rims and outlines, 1 pixel for each 700 of the picture's longer side."""
    return max(1, int(max(canvas.shape)) // 700)
