"""Marks as masks and masks as marks, for formats that hold pixels instead of drawings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from data_manifests import DatasetItem, LabelMap, Mark
from sparsekit.formats.shared.source import Imported, ImportSource
from sparsekit.geometry.mark_pixels import mark_pixels
from sparsekit.geometry.polylines import Ints


def shown_pixels(marks: Iterable[Mark], shape: tuple[int, int]) -> Iterator[Ints]:
    """The pixels of each mark that no earlier one covers, as row * width + column, sorted, cut off at the edge."""
    height, width = shape
    taken = np.zeros(height * width, bool)
    for mark in marks:
        rows, cols = mark_pixels(mark).T
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        flat = np.unique(rows[inside] * width + cols[inside])
        flat = flat[~taken[flat]]
        taken[flat] = True
        yield flat


def from_masks(
    source: ImportSource,
    item: DatasetItem,
    class_ids: Sequence[int],
    marks: Sequence[Mark | None],
    masks: Sequence[Ints | None],
    shape: tuple[int, int],
) -> Imported:
    """The annotation of an image whose shapes are given by marks, by pixels, or by both.

    Args:
        source: The import.
        item: The image.
        class_ids: Class of each shape; the first lies on top.
        marks: How each was drawn, where that is known.
        masks: Pixels of each, sorted, where the file gives them. Somebody may have painted in them since, and then
            they count.
        shape: Height and width of the image.
    """
    known = [mark for mark in marks if mark is not None]
    if len(known) == len(marks):
        pairs = zip(masks, shown_pixels(known, shape), strict=True)
        if all(mask is None or np.array_equal(mask, shown) for mask, shown in pairs):
            return Imported(item, tuple(known))
    label_map: LabelMap = np.full(shape, source.space.unlabelled_value, source.space.dtype)
    for class_id, mark, mask in reversed(list(zip(class_ids, marks, masks, strict=True))):
        pixels = mask if mask is not None else next(shown_pixels([mark] if mark else [], shape))
        label_map.flat[pixels] = class_id
    return Imported(item, label_map=label_map)
