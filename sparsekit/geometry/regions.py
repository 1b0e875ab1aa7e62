"""Regions of a label map (connected pixels of one class, or true instances) and distances to their edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap
from data_manifests.label_maps import as_label_map

#: Greater than any class id: instance number times this, plus class id, identifies a true instance.
_INSTANCE = 65536

#: Rows per block: few enough to reuse freed memory and stay in the processor's cache.
_STRIP = 128


@dataclass(frozen=True)
class Regions:
    """The regions of one label map, numbered in reading order of their first pixels.

    Args:
        numbers: Region number of each pixel, int32, shape (H, W); -1 where the label map is void.
        class_ids: Train id of each region, shape (R,).
        areas: Pixels of each region, shape (R,).
        boxes: Bounding boxes as top, left, bottom, right, the last two exclusive, shape (R, 4).
    """

    numbers: NDArray[np.int32]
    class_ids: NDArray[np.int64]
    areas: NDArray[np.int64]
    boxes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.areas)

    def largest_of_each_class(self) -> NDArray[np.bool_]:
        """Whether each region is the largest of its class (the first, if several are), shape (R,)."""
        order = np.lexsort((-self.areas, self.class_ids))
        largest = np.zeros(len(order), bool)
        largest[order[np.diff(self.class_ids[order], prepend=-1) != 0]] = True
        return largest


def find_regions(label_map: LabelMap, unlabelled_value: int, instances: LabelMap | None = None) -> Regions:
    """Split a label map into regions.

    Args:
        label_map: Train ids of any integer type, shape (H, W).
        unlabelled_value: Value of void pixels, which belong to no region.
        instances: Instance numbers, same shape, 0 outside instances. All pixels with the same class and the same
            number above 0 form one region, connected or not; elsewhere, regions are the 8-connected components of
            each class.

    Raises:
        ValueError: If the label map is not an array of ids of shape (H, W), or the instances have another shape.
    """
    label_map = as_label_map(label_map)
    if instances is not None and instances.shape != label_map.shape:
        raise ValueError(f"Expected instances of shape {label_map.shape}, got {instances.shape}.")
    runs = find_runs(label_map, instances)
    region = _connect(runs)
    if instances is not None:
        region = _join_instances(region, runs)
    class_ids = runs.values % _INSTANCE
    is_void = class_ids == unlabelled_value
    # Number the regions in reading order of their first pixels; runs are in that order.
    order = np.arange(len(region))
    first = np.empty_like(order)
    first[region[::-1]] = order[::-1]  # of several values for a place, the last one stays
    is_first = (first[region] == order) & ~is_void
    new_numbers = np.cumsum(is_first) - 1
    number = np.where(is_void, -1, new_numbers[first[region]]).astype(np.int32)
    return _describe(np.repeat(number, runs.lengths).reshape(label_map.shape), number, class_ids, runs)


@dataclass(frozen=True)
class Runs:
    """Runs of equal pixels in the rows of an image, in reading order, without gaps.

    Args:
        rows: Row of each run.
        starts: Its first column.
        stops: The column after its last.
        values: Value of its pixels.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    values: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Pixels of each run."""
        return self.stops - self.starts


def find_runs(values: NDArray[Any], instances: LabelMap | None = None) -> Runs:
    """Split the rows of an integer array, shape (H, W), into runs, which also end at the borders of instances."""
    width = max(values.shape[1], 1)
    pixels = values.ravel()  # several times as fast to compare as the rows of an image
    begins = np.empty(pixels.shape, bool)
    np.not_equal(pixels[1:], pixels[:-1], out=begins[1:])
    if instances is not None:
        begins[1:] |= instances.ravel()[1:] != instances.ravel()[:-1]
    begins[::width] = True
    places = np.flatnonzero(begins)
    rows, starts = np.divmod(places, width)
    stops = np.append(places[1:], values.size) - rows * width
    of_runs = pixels[places].astype(np.int64)
    if instances is not None:
        of_runs += instances.ravel()[places].astype(np.int64) * _INSTANCE
    return Runs(rows, starts, stops, of_runs)


def _connect(runs: Runs) -> NDArray[np.int64]:
    """Component of each run: runs of equal value that touch in neighbouring rows (8-connectivity)."""
    # Imported here: the import takes as long as clicks on a dozen images, and uniform clicks do not need it.
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    # The runs of the next row that touch a run are contiguous; binary search finds the first and last.
    scale = int(runs.stops.max(initial=0)) + 2
    next_row = (runs.rows + 1) * scale
    low = np.searchsorted(runs.rows * scale + runs.stops, next_row + runs.starts, side="left")
    high = np.searchsorted(runs.rows * scale + runs.starts, next_row + runs.stops, side="right")
    counts = high - low
    upper = np.repeat(np.arange(len(counts)), counts)
    lower = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts - low, counts)
    equal = runs.values[upper] == runs.values[lower]
    upper, lower = upper[equal], lower[equal]
    until = np.append(0, np.cumsum(np.bincount(upper, minlength=len(counts))))
    links = csr_matrix((np.ones(len(upper)), lower, until), shape=(len(counts), len(counts)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _join_instances(region: NDArray[np.int64], runs: Runs) -> NDArray[np.int64]:
    """Give all runs of the same instance and class the number of the first run."""
    _, first, position = np.unique(runs.values, return_index=True, return_inverse=True)
    return np.where(runs.values >= _INSTANCE, region[first][position], region)


def _describe(
    numbers: NDArray[np.int32], number: NDArray[np.int32], class_ids: NDArray[np.int64], runs: Runs
) -> Regions:
    """Summarise the runs of each region; ``number`` and ``class_ids`` belong to the runs."""
    inside = number >= 0
    of = number[inside]
    count = int(number.max(initial=-1)) + 1
    areas = np.zeros(count, np.int64)
    np.add.at(areas, of, runs.lengths[inside])
    class_of = np.zeros(count, np.int64)
    class_of[of] = class_ids[inside]
    boxes = np.zeros((count, 4), np.int64)
    boxes[:, :2] = max(numbers.shape)
    for column, (edge, extreme) in enumerate(
        [(runs.rows, np.minimum), (runs.starts, np.minimum), (runs.rows + 1, np.maximum), (runs.stops, np.maximum)]
    ):
        extreme.at(boxes[:, column], of, edge[inside])
    return Regions(numbers, class_of, areas, boxes)


def true_instances(instance_map: LabelMap) -> LabelMap:
    """Convert a dataset's instance map: pixels outside instances become 0.

    Args:
        instance_map: Values as in the file. 16-bit maps follow Cityscapes: class id * 1000 + number for instances,
            and the class id alone elsewhere. 8-bit maps follow PASCAL VOC: 0 and 255 are not instances.
    """
    nothing = instance_map < 1000 if instance_map.dtype == np.uint16 else (instance_map == 0) | (instance_map == 255)
    instances = instance_map.copy()
    instances[nothing] = 0
    return instances


def edge_distances(
    regions: Regions, numbers: NDArray[np.int64] | None = None, *, image_edge: bool = True
) -> NDArray[np.float32]:
    """Distance of each pixel to the nearest pixel outside its region, in pixels.

    Args:
        regions: As ``find_regions`` gives them.
        numbers: Regions to process; by default all.
        image_edge: Whether pixels beyond the image count as outside the region.

    Returns:
        Distances between pixel centres, at least 1, and 0 outside the chosen regions, shape (H, W). If ``image_edge``
        is off, a region that fills the image gets the image's height plus width.
    """
    distances = np.zeros(regions.numbers.shape, np.float32)
    for number, found in distances_by_region(regions, numbers, image_edge=image_edge):
        top, left, bottom, right = regions.boxes[number].tolist()
        target = distances[top:bottom, left:right]
        cv2.max(target, found, dst=target)  # 0 outside the region, and regions do not overlap
    return distances


def distances_by_region(
    regions: Regions, numbers: NDArray[np.int64] | None = None, *, image_edge: bool = True
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield each region's number with the ``edge_distances`` in its bounding box, 0 outside the region."""
    height, width = regions.numbers.shape
    border = cv2.BORDER_CONSTANT if image_edge else cv2.BORDER_REPLICATE
    for number in range(len(regions)) if numbers is None else numbers.tolist():
        top, left, bottom, right = regions.boxes[number].tolist()
        # A frame one pixel wide around the box contains, or lies closer than, any nearest pixel beyond it.
        around = regions.numbers[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1]
        beyond = (int(top == 0), int(bottom == height), int(left == 0), int(right == width))
        inside = cv2.copyMakeBorder((around == number).view(np.uint8), *beyond, border, value=0)
        if inside.all():
            yield number, np.full((bottom - top, right - left), height + width, np.float32)
        else:
            found = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            yield number, np.asarray(found[1:-1, 1:-1], np.float32)


def far_from_other_values(label_map: LabelMap, square: int) -> NDArray[np.bool_]:
    """Find pixels that are far from every pixel of another value.

    Time grows with ``square``; for large values, computing distances is faster.

    Args:
        label_map: uint8 or uint16, shape (H, W).
        square: Smallest squared distance between pixel centres that counts as far, at least 2.

    Returns:
        Whether each pixel is far, shape (H, W).
    """
    # A disc has one value if no two neighbours differ in its middle column or in any of its rows. Rows of the same
    # half width, with all wider rows between them, form a rectangle.
    reach = isqrt(square - 1)
    half_heights = {isqrt(square - 1 - row**2): row for row in range(reach + 1)}
    far = np.empty(label_map.shape, bool)
    for top in range(0, len(label_map), _STRIP):
        start = max(0, top - reach)
        strip = label_map[start : top + _STRIP + reach]
        down, right = np.zeros((2, *strip.shape), np.uint8)
        np.not_equal(strip[1:], strip[:-1], out=down[1:].view(bool))
        pixels = strip.ravel()
        np.not_equal(pixels[1:], pixels[:-1], out=right.ravel()[1:].view(bool))
        right[:, :1] = 0
        near = cv2.dilate(down, np.ones((2 * reach, 1), np.uint8), anchor=(0, reach - 1))
        for aside, above in half_heights.items():
            if aside:
                rectangle = np.ones((2 * above + 1, 2 * aside), np.uint8)
                cv2.bitwise_or(near, cv2.dilate(right, rectangle, anchor=(aside - 1, above)), dst=near)
        np.equal(near[top - start :][:_STRIP], 0, out=far[top : top + _STRIP])
    return far


def squared(distances: NDArray[np.float32] | np.float32) -> NDArray[np.int64]:
    """Squared distances as integers, exact up to 1,365 pixels, because libraries may differ in the root's last bit."""
    return np.rint(np.multiply(distances, distances, dtype=np.float64)).astype(np.int64)
