"""Masks of marks: what was drawn where the pixels still agree with it, else a label map of the pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_manifests import DatasetItem, LabelMap, Mark
from sparsekit.formats.shared.masks import shown_pixels
from sparsekit.geometry.polylines import Ints
from sparsekit.imports.source import Imported, ImportSource


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
