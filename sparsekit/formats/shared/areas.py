"""Pixels of polygons and ellipses with fractional coordinates: those whose centres lie inside.

Coordinates are continuous (x, y); pixel (row, col) covers [col, col + 1) x [row, row + 1). Pixels are sorted numbers
row * width + column, clipped to the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import Mark
from sparsekit.formats.shared.shapes import XY
from sparsekit.geometry.mark_pixels import area_of
from sparsekit.geometry.polylines import Bools, Ints


def polygon_pixels(points: Sequence[XY], shape: tuple[int, int]) -> Ints:
    """Pixels whose centres lie inside a polygon, by the even-odd rule where its sides cross.

    Args:
        points: Its corners.
        shape: Height and width of the image.

    Example:
        >>> polygon_pixels([(0, 0), (2, 0), (2, 1), (0, 1)], (2, 3))
        array([0, 1])
    """
    height, width = shape
    # Each crossing of a row's centre line with a side toggles between inside and outside.
    toggles = np.zeros((height, width + 1), bool)
    corners = np.asarray(points, float).reshape(-1, 2)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        rows = np.arange(max(math.ceil(y0 - 0.5), 0), min(math.ceil(y1 - 0.5), height))
        if len(rows):
            crossings = x0 + (rows + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
            cols = np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)
            toggles[rows, cols] ^= True
    return np.flatnonzero(np.logical_xor.accumulate(toggles, axis=1)[:, :width])


def ellipse_pixels(centre: XY, radii: XY, degrees: float, shape: tuple[int, int]) -> Ints:
    """Pixels whose centres lie inside an ellipse.

    Args:
        centre: Its centre.
        radii: Its half axes.
        degrees: Its rotation, clockwise in the image.
        shape: Height and width of the image.
    """
    height, width = shape
    reach = max(radii)
    top, bottom = (min(max(math.floor(centre[1] + sign * reach), 0), height) for sign in (-1, 1))
    left, right = (min(max(math.floor(centre[0] + sign * reach), 0), width) for sign in (-1, 1))
    rows, cols = np.mgrid[top : min(bottom + 1, height), left : min(right + 1, width)]
    x, y = cols + 0.5 - centre[0], rows + 0.5 - centre[1]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along, across = x * cos + y * sin, y * cos - x * sin
    inside = (along * radii[1]) ** 2 + (across * radii[0]) ** 2 <= (radii[0] * radii[1]) ** 2
    return np.asarray(rows[inside] * width + cols[inside])


def rotated_box(corner: XY, size: XY, degrees: float, about: XY) -> list[XY]:
    """Corners of a box rotated clockwise about a point.

    Args:
        corner: Its upper left corner before the rotation.
        size: Its width and height.
        degrees: The rotation.
        about: The centre of the rotation.
    """
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    (left, top), (width, height) = corner, size
    turned = []
    for x, y in ((left, top), (left + width, top), (left + width, top + height), (left, top + height)):
        dx, dy = x - about[0], y - about[1]
        turned.append((about[0] + dx * cos - dy * sin, about[1] + dx * sin + dy * cos))
    return turned


def outline_marks(pixels: Ints, class_id: int, shape: tuple[int, int]) -> tuple[Mark, ...]:
    """Polygon marks that cover exactly these pixels; empty if there are none, for example around holes.

    Args:
        pixels: The pixels.
        class_id: Train id of the marks.
        shape: Height and width of the image.
    """
    mask: NDArray[np.uint8] = np.zeros(shape, np.uint8)
    mask.flat[pixels] = 1
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    marks = []
    for contour in contours:
        points = tuple((int(row), int(col)) for col, row in contour[:, 0].tolist())
        marks.append(Mark("polygon", class_id, *points[0], points))
    covered: Bools = np.zeros(shape, bool)
    for mark in marks:
        (top, left), inside = area_of(mark)
        covered[top : top + inside.shape[0], left : left + inside.shape[1]] |= inside
    return tuple(marks) if np.array_equal(covered, mask > 0) else ()
