"""Marks that cover area: boxes, blocks inside regions, and coarse polygons."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, Mark
from sparsekit.areas.settings import RegionMarkSettings
from sparsekit.geometry.polylines import Bools, Ints
from sparsekit.geometry.regions import Regions, distances_by_region, find_regions, squared

#: Largest distance by which corners of a block are cut, in pixels; for coarse polygons, the margin minus two.
_BLOCK_TOLERANCE = 2


def mark_regions(
    label_map: LabelMap,
    settings: RegionMarkSettings,
    share: float = 0.2,
    *,
    unlabelled_value: int = 255,
    instances: LabelMap | None = None,
) -> list[Mark]:
    """Draw an area mark in each region of a label map.

    Blocks and coarse polygons stay on their class by construction: their outlines keep a distance from the region's
    edge and are simplified by less than that. Boxes also contain pixels of other classes.

    Args:
        label_map: Train ids of any integer type, shape (H, W).
        settings: Kind and shape of the marks.
        share: Approximate share of each region's pixels that its block covers, in (0, 1].
        unlabelled_value: Value of void pixels.
        instances: For ``per="instance"``, instance numbers, shape (H, W), 0 outside instances.

    Returns:
        Marks by region; a region with several wide parts may get several. Boxes are sorted by size, so that smaller
        ones lie on top.

    Raises:
        ValueError: If the share is out of range, or ``label_map`` is not an array of ids of shape (H, W).

    References:
        Liang et al., "Tree Energy Loss", CVPR 2022 (blocks of 10, 20 and 50 %); Dai et al., "BoxSup", ICCV 2015; Cordts
        et al., "The Cityscapes Dataset", CVPR 2016 (coarse annotations).
    """
    if not 0 < share <= 1:
        raise ValueError(f"A share must be above 0 and at most 1, got {share}.")
    regions = find_regions(label_map, unlabelled_value, instances if settings.per == "instance" else None)
    numbers = np.flatnonzero(regions.largest_of_each_class() | (regions.areas >= settings.min_area))
    if settings.kind == "box":
        return _boxes(regions, numbers)
    # People draw coarse polygons up to the image edge, and blocks in the middle of the visible region.
    marks = []
    for number, distances in distances_by_region(regions, numbers, image_edge=settings.kind == "block"):
        top, left = regions.boxes[number, :2].tolist()
        reach = squared(distances)
        if settings.kind == "block":
            least = _reach_of_share(reach, share)
            tolerance = min(_BLOCK_TOLERANCE, int(np.sqrt(least)) - 2)
        else:
            margin = min(settings.margin, max(1, int(np.sqrt(reach.max())) // 2))
            least, tolerance = margin**2, margin - 2
        kind = "block" if settings.kind == "block" else "polygon"
        for ring in _outlines(reach >= least, max(0, tolerance)):
            corners = tuple((row + top, col + left) for row, col in ring.tolist())
            marks.append(Mark(kind, int(regions.class_ids[number]), *corners[0], corners, region=number))
    return marks


def _boxes(regions: Regions, numbers: Ints) -> list[Mark]:
    boxes = regions.boxes[numbers]
    sizes = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    marks = []
    for number in numbers[np.argsort(sizes, kind="stable")].tolist():
        top, left, bottom, right = regions.boxes[number].tolist()
        corners = ((top, left), (bottom - 1, right - 1))
        marks.append(Mark("box", int(regions.class_ids[number]), top, left, corners, region=number))
    return marks


def _reach_of_share(reach: Ints, share: float) -> int:
    """Squared distance to the edge that is exceeded by about this share of a region's pixels."""
    # Counting beats sorting: the image's edge bounds these values by a quarter of the pixels.
    counts = np.bincount(reach.ravel())
    values = np.flatnonzero(counts[1:]) + 1
    covered = np.cumsum(counts[values][::-1])[::-1]  # pixels with at least each value
    return int(values[np.abs(covered - share * covered[0]).argmin()])


def _outlines(mask: Bools, tolerance: int) -> list[Ints]:
    """Closed polygons around the parts of a mask, without holes, shape (N, 2) each."""
    filled = _slit(mask)
    contours, _ = cv2.findContours(filled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rings = [np.asarray(contour[:, 0, ::-1], np.int64) for contour in contours]
    rings.sort(key=lambda ring: ring.min(0).tolist())
    areas = [_area(ring) for ring in rings]
    largest = max(areas)
    # People would not draw specks beside a large part.
    return [_simplify(ring, tolerance) for ring, area in zip(rings, areas, strict=True) if 10 * area >= largest]


def _area(ring: Ints) -> int:
    """Twice the area of a polygon."""
    rows, cols = ring.T
    return abs(int((rows[:-1] * cols[1:] - cols[:-1] * rows[1:]).sum() + rows[-1] * cols[0] - cols[-1] * rows[0]))


def _slit(mask: Bools) -> NDArray[np.uint8]:
    """Cut from each hole of a mask upwards to the outside, so that no hole remains."""
    slit = mask.astype(np.uint8)
    contours, hierarchy = cv2.findContours(slit, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for contour, parent in zip(contours, hierarchy[0, :, 3].tolist(), strict=True):
        if parent < 0:  # the outer border of a part
            continue
        # The contour of a hole runs over pixels of the mask; its first row lies above the first row of the hole.
        cols, rows = contour[:, 0].T
        top = rows.min()
        col = cols[rows == top].min()
        above = np.flatnonzero(~mask[:top, col]).max(initial=-1)
        slit[above + 1 : top + 1, col] = 0
    return slit


def _simplify(ring: Ints, tolerance: int) -> Ints:
    """Drop corners that lie within the tolerance of the line between those kept (Douglas and Peucker 1973)."""
    if len(ring) < 4:
        return ring
    opposite = int(((ring - ring[0]) ** 2).sum(1).argmax())
    closed = np.concatenate([ring, ring[:1]])
    kept = np.zeros(len(closed), bool)
    kept[[0, opposite, -1]] = True
    todo = [(0, opposite), (opposite, len(ring))]
    while todo:
        begin, end = todo.pop()
        if end - begin < 2:
            continue
        farthest = _farthest(closed[begin : end + 1], tolerance)
        if farthest:
            kept[begin + farthest] = True
            todo += [(begin, begin + farthest), (begin + farthest, end)]
    return closed[:-1][kept[:-1]]


def _farthest(points: Ints, tolerance: int) -> int:
    """Index of the point farthest from the segment between the first and last; 0 if none is beyond the tolerance."""
    offsets = points - points[0]
    rows, cols = offsets.T
    chord = offsets[-1].tolist()
    square = chord[0] ** 2 + chord[1] ** 2
    along = rows * chord[0] + cols * chord[1]
    # Squared distances times the chord's square, in integers.
    away = (rows * chord[1] - cols * chord[0]) ** 2
    outside = np.flatnonzero((along < 0) | (along > square)) if square else slice(None)
    to_ends = np.minimum((offsets[outside] ** 2).sum(1), ((offsets[outside] - chord) ** 2).sum(1))
    away[outside] = to_ends * max(square, 1)
    farthest = int(away.argmax())
    return farthest if away[farthest] > tolerance**2 * max(square, 1) else 0
