"""Regions of a label map: connected pixels of one class or true instances, and how far each pixel is from the edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from data_manifests import LabelMap


@dataclass(frozen=True)
class Regions:
    """The regions of one label map, numbered in the order in which reading row by row meets them.

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
        """Which regions are the largest of their class, the first of equals; shape (R,)."""
        order = np.lexsort((-self.areas, self.class_ids))
        largest = np.zeros(len(order), bool)
        largest[order[np.diff(self.class_ids[order], prepend=-1) != 0]] = True
        return largest


def find_regions(label_map: LabelMap, unlabelled_value: int, instances: LabelMap | None = None) -> Regions:
    """Split a label map into regions.

    Args:
        label_map: Train ids, uint8 or uint16, shape (H, W).
        unlabelled_value: Value of void pixels, which belong to no region.
        instances: True instances of the same shape, 0 where there are none. All pixels of one class with one instance
            number above 0 are one region, connected or not; elsewhere a region is a set of pixels of one class
            that touch by a side or a corner.

    Raises:
        ValueError: If the label map is not two-dimensional or the instances have another shape.
    """
    if label_map.ndim != 2:
        raise ValueError(f"Expected label_map of shape (H, W), got {label_map.shape}; is this a colour-coded map?")
    if instances is None:
        numbers = _connected(label_map, unlabelled_value)
    else:
        if instances.shape != label_map.shape:
            raise ValueError(f"Expected instances of shape {label_map.shape}, got {instances.shape}.")
        both = np.where(label_map == unlabelled_value, -1, label_map + instances.astype(np.int64) * 65536)
        numbers = _join_instances(_connected(both, -1), both)
    boxes = [(r.start, c.start, r.stop, c.stop) for r, c in ndimage.find_objects(numbers)]
    areas = np.bincount(numbers.ravel(), minlength=1)[1:]
    class_ids = np.zeros(len(areas) + 1, np.int64)
    class_ids[numbers.ravel()] = label_map.ravel()  # every pixel of a region writes the same class
    numbers -= 1
    return Regions(numbers, class_ids[1:], areas, np.array(boxes, np.int64).reshape(-1, 4))


def _connected(values: NDArray[Any], background: int) -> NDArray[np.int32]:
    """Number the sets of equal values that touch by a side or a corner from 1; 0 for the background."""
    numbers = label(values, background=background, connectivity=2)  # type: ignore[no-untyped-call]
    return np.asarray(numbers, np.int32)


def _join_instances(numbers: NDArray[np.int32], both: NDArray[np.int64]) -> NDArray[np.int32]:
    """Give the parts of each instance the number of its first part, then close the gaps in the numbering."""
    keys = np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    keys[numbers.ravel()] = both.ravel()
    parts = np.arange(len(keys))
    is_instance = (keys >= 65536) & (parts > 0)
    _, first, inverse = np.unique(keys[is_instance], return_index=True, return_inverse=True)
    parts[is_instance] = parts[is_instance][first][inverse]
    _, closed = np.unique(parts, return_inverse=True)
    # Number 0 is void, whether the image has void pixels or not, so it stays 0.
    return closed.astype(np.int32)[numbers]


def true_instances(instance_map: LabelMap) -> LabelMap:
    """Read a dataset's instance map: 0 for pixels of no instance.

    Args:
        instance_map: Values as in the file. 16-bit maps are written as in Cityscapes, class id * 1000 + number for
            instances and the class id alone for the rest; in 8-bit ones, as in PASCAL VOC, 0 and 255 are no instance.
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
        numbers: Regions to work on; all when not given.
        image_edge: Whether the outside of the image counts as outside of the region.

    Returns:
        Distances between pixel centres, so at least 1; 0 outside the chosen regions. Shape (H, W). A region that fills
        the image, with ``image_edge`` off, has the image's height plus width.
    """
    height, width = regions.numbers.shape
    padded = cv2.copyMakeBorder(
        regions.numbers, 1, 1, 1, 1, cv2.BORDER_CONSTANT if image_edge else cv2.BORDER_REPLICATE, value=-1
    )
    distances = np.zeros((height, width), np.float32)
    chosen = range(len(regions)) if numbers is None else numbers.tolist()
    for number in chosen:
        top, left, bottom, right = regions.boxes[number].tolist()
        # One pixel more on each side: the nearest pixel outside the region is inside this frame or beyond a nearer one.
        inside = (padded[top : bottom + 2, left : right + 2] == number).view(np.uint8)
        if inside.all():
            distances[:] = height + width
            break
        found = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
        target = distances[top:bottom, left:right]
        np.maximum(target, found, out=target)  # zero outside the region, and regions do not overlap
    return distances


def squared(distances: NDArray[np.float32] | np.float32) -> NDArray[np.int64]:
    """Exact squared distances as integers; libraries agree on these, and not on the last bit of the root."""
    wide = np.asarray(distances, np.float64)
    return np.rint(wide * wide).astype(np.int64)
