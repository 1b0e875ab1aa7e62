"""Statistics of annotations: coverage of pixels, classes and regions, size of strokes, distance to borders."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import cv2
import numpy as np
from scipy import ndimage

from data_manifests import LabelMap, LabelSpace, Manifest, Mark
from data_manifests.parallel import map_in_order
from sparsekit.annotated_images import AnnotatedImage, annotated_images
from sparsekit.audit.tables import share

#: Percentiles of the distance to the border that tables show.
PERCENTILES = (5, 50, 95)


@dataclass
class ClassStats:
    """Counts of one class, or of all classes; sums over images are exact, so their order does not matter.

    Args:
        images: Images whose full mask holds the class.
        images_reached: Of these, images in which at least one pixel of the class is labelled correctly.
        pixels: Pixels of the class in the full masks.
        labelled: Pixels labelled as this class.
        off_class: Of these, pixels that the full mask assigns to another class or to void.
        regions: Connected regions of the class (8-connectivity) of at least the minimum area.
        regions_reached: Of these, regions in which at least one pixel is labelled as this class.
        marks: Marks of the class.
        border: Distance of each labelled pixel on the class to the nearest pixel of another class or void. The image
            edge does not count as a border: an image with a single class adds nothing here.
        stroke_length: Length of each stroke, along its points.
        stroke_width: Mean width of each stroke over its points.
        on_void: Of the pixels off their class, those that are void in the full mask.

    Border distances, lengths and widths are histograms in tenths of a pixel.
    """

    images: int = 0
    images_reached: int = 0
    pixels: int = 0
    labelled: int = 0
    off_class: int = 0
    regions: int = 0
    regions_reached: int = 0
    marks: int = 0
    border: Counter[int] = field(default_factory=Counter)
    stroke_length: Counter[int] = field(default_factory=Counter)
    stroke_width: Counter[int] = field(default_factory=Counter)
    on_void: int = 0

    def __iadd__(self, other: ClassStats) -> ClassStats:
        for f in fields(self):
            if isinstance(counter := getattr(self, f.name), Counter):
                counter.update(getattr(other, f.name))
            else:
                setattr(self, f.name, counter + getattr(other, f.name))
        return self


@dataclass(frozen=True)
class AnnotationStats:
    """Statistics of one manifest.

    Args:
        name: The manifest's folder.
        num_images: Annotated images.
        image_pixels: Pixels of these images, void included.
        classes: Counts of each class by name, in the order of the train ids.
        has_marks: Whether the manifest has marks; otherwise all counts of marks are unknown.
    """

    name: str
    num_images: int
    image_pixels: int
    classes: dict[str, ClassStats]
    has_marks: bool = True

    @property
    def total(self) -> ClassStats:
        """Sum over the classes; an image counts once for each of its classes."""
        total = ClassStats()
        for stats in self.classes.values():
            total += stats
        return total

    def rows(self) -> list[dict[str, Any]]:
        """Convert to plain numbers: one row per class and a row ``all`` for their sum; None for missing values."""
        named = [*self.classes.items(), ("all", self.total)]
        return [{"annotation": self.name, "class": name, **self._row(stats)} for name, stats in named]

    def _row(self, stats: ClassStats) -> dict[str, Any]:
        return {
            "images": stats.images,
            "images_reached": stats.images_reached,
            "images_reached_share": share(stats.images_reached, stats.images),
            "marks": stats.marks if self.has_marks else None,
            "labelled_pixels": stats.labelled,
            "share_of_annotated": share(stats.labelled - stats.off_class, stats.pixels),
            "share_of_image": share(stats.labelled, self.image_pixels),
            "off_class_pixels": stats.off_class,
            "share_right": share(stats.labelled - stats.off_class, stats.labelled - stats.on_void),
            "regions": stats.regions,
            "regions_reached": stats.regions_reached,
            "regions_reached_share": share(stats.regions_reached, stats.regions),
            **{f"border_distance_p{p}": percentile(stats.border, p) for p in PERCENTILES},
            "strokes": stats.stroke_length.total() if self.has_marks else None,
            "stroke_length_median": percentile(stats.stroke_length, 50),
            "stroke_width_median": percentile(stats.stroke_width, 50),
        }


def annotation_stats(
    manifest: Manifest,
    *,
    split: str | None = None,
    min_area: int = 1,
    workers: int | None = 1,
    on_image: Callable[[], None] = lambda: None,
) -> AnnotationStats:
    """Measure the annotations of a manifest, image by image.

    Args:
        manifest: A manifest; annotated rows are compared with their full masks. It may lack marks, as label maps of a
            network or of another tool do.
        split: Only this split.
        min_area: Smaller regions are ignored, in pixels.
        workers: Number of processes, None for as many as save time; it does not change the result.
        on_image: Called after each image.

    Raises:
        DataError: If a file is missing or damaged, or its size differs from the manifest.
        ValueError: If ``min_area`` is below 1.
    """
    if min_area < 1:
        raise ValueError(f"min_area must be at least 1 pixel, got {min_area}.")
    classes = {name: ClassStats() for name in manifest.label_space.class_names}
    by_train_id = list(classes.values())
    num_images = image_pixels = 0
    has_marks = manifest.marks_path.is_file()
    images = annotated_images(manifest, split, with_marks=has_marks)
    for num_pixels, found in map_in_order(
        partial(_measure_files, min_area=min_area), images, workers, total=len(manifest)
    ):
        for train_id, stats in found.items():
            by_train_id[train_id] += stats
        num_images += 1
        image_pixels += num_pixels
        on_image()
    return AnnotationStats(manifest.name, num_images, image_pixels, classes, has_marks)


def _measure_files(image: AnnotatedImage, min_area: int) -> tuple[int, dict[int, ClassStats]]:
    full_mask, sparse = image.read_full_mask(), image.read_annotation()
    return full_mask.size, measure_image(full_mask, sparse, image.marks, image.label_space, min_area=min_area)


def measure_image(
    full_mask: LabelMap, sparse: LabelMap, marks: Sequence[Mark], label_space: LabelSpace, *, min_area: int = 1
) -> dict[int, ClassStats]:
    """Measure the annotation of one image.

    Args:
        full_mask: Train ids, shape (H, W), with the unlabelled value at void pixels.
        sparse: Sparse label map, shape (H, W).
        marks: The marks it was drawn from.
        label_space: Classes of both.
        min_area: Smaller regions are ignored, in pixels.

    Returns:
        Counts of the classes that occur in the mask, the sparse label map or the marks, by train id.
    """
    num_classes = label_space.num_classes
    is_labelled = sparse != label_space.unlabelled_value
    off_class = is_labelled & (sparse != full_mask)
    pixels = np.bincount(full_mask.ravel(), minlength=num_classes)
    labelled = np.bincount(sparse[is_labelled], minlength=num_classes)
    strayed = np.bincount(sparse[off_class], minlength=num_classes)
    on_void = np.bincount(sparse[is_labelled & (full_mask == label_space.unlabelled_value)], minlength=num_classes)
    found: dict[int, ClassStats] = {}
    for k in range(num_classes):
        if pixels[k] or labelled[k]:
            found[k] = ClassStats(
                images=int(pixels[k] > 0),
                images_reached=int(labelled[k] > strayed[k]),
                pixels=int(pixels[k]),
                labelled=int(labelled[k]),
                off_class=int(strayed[k]),
                on_void=int(on_void[k]),
            )
    # Train id + 1, so that 0 means nothing; the unlabelled value lies beyond the last class and is skipped.
    boxes = ndimage.find_objects(full_mask.astype(np.int32) + 1, max_label=num_classes)
    for k, box in enumerate(boxes):
        if box is not None:
            _measure_class(found[k], full_mask, sparse, k, box, min_area)
    for mark in marks:
        _count_mark(found.setdefault(mark.class_id, ClassStats()), mark)
    return found


def _measure_class(
    stats: ClassStats, full_mask: LabelMap, sparse: LabelMap, k: int, box: tuple[slice, ...], min_area: int
) -> None:
    """Count regions and distances of one class inside its bounding box."""
    # One extra pixel on each side includes the nearest border, unless the box ends at the image's edge.
    box = tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
    mask = (full_mask[box] == k).view(np.uint8)
    hit = (sparse[box] == k) & mask.view(np.bool_)
    # Areas by bincount: connectedComponentsWithStats takes six times as long as connectedComponents.
    _, regions = cv2.connectedComponents(mask, connectivity=8)
    large = np.bincount(regions.ravel()) >= min_area
    large[0] = False  # the background
    stats.regions += int(large.sum())
    reached = np.unique(regions[hit])
    stats.regions_reached += int(large[reached].sum())
    if reached.size and not mask.all():
        distances = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[hit]
        values, counts = np.unique(np.rint(10 * distances).astype(np.int64), return_counts=True)
        stats.border.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def _count_mark(stats: ClassStats, mark: Mark) -> None:
    stats.marks += 1
    if mark.kind == "stroke" and mark.widths:
        length = math.fsum(math.dist(a, b) for a, b in zip(mark.points, mark.points[1:], strict=False))
        stats.stroke_length[round(10 * length)] += 1
        stats.stroke_width[round(10 * sum(mark.widths) / len(mark.widths))] += 1


def percentile(tenths: Counter[int], percent: float) -> float | None:
    """Return the smallest value that at least ``percent`` percent of the values do not exceed.

    Args:
        tenths: Count of each value, in tenths.
        percent: 0..100.

    Returns:
        One of the values; None if there are none.

    Example:
        >>> percentile(Counter({10: 3, 20: 1}), 50)
        1.0
    """
    needed = tenths.total() * percent / 100
    seen = 0
    for value in sorted(tenths):
        seen += tenths[value]
        if seen >= needed:
            return value / 10
    return None
