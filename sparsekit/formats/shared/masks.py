"""Convert between marks and masks, for formats that store pixels instead of shapes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from data_manifests import LabelMap, LabelSpace, Mark
from data_manifests.files.samples import turn
from sparsekit.formats.shared.source import Drawn
from sparsekit.geometry.mark_pixels import mark_pixels
from sparsekit.geometry.polylines import Ints


def shown_pixels(marks: Iterable[Mark], shape: tuple[int, int]) -> Iterator[Ints]:
    """Pixels of each mark not covered by earlier ones, as sorted row * width + column, clipped to the image."""
    height, width = shape
    taken = np.zeros(height * width, bool)
    for mark in marks:
        rows, cols = mark_pixels(mark).T
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        flat = np.unique(rows[inside] * width + cols[inside])
        flat = flat[~taken[flat]]
        taken[flat] = True
        yield flat


def marks_of(drawn: Sequence[Drawn], shape: tuple[int, int]) -> tuple[Mark, ...] | None:
    """The marks of an image; None if some of its drawings are known only by their pixels.

    If a file gives both, the pixels count, because somebody may have edited them.

    Args:
        drawn: The drawings, from top to bottom.
        shape: Height and width of the image.
    """
    if not all(one.marks for one in drawn):
        return None
    marks = tuple(mark for one in drawn for mark in one.marks)
    shown = shown_pixels(marks, shape)
    for one in drawn:
        pixels = np.concatenate([next(shown) for _ in one.marks])
        if one.pixels is not None and not np.array_equal(one.pixels, np.sort(pixels)):
            return None
    return marks


def turn_drawn(one: Drawn, shape: tuple[int, int], orientation: int) -> Drawn:
    """Rotate annotations of the stored pixels to the image as shown.

    Args:
        one: The annotation.
        shape: Height and width of the stored image.
        orientation: Its EXIF orientation, which exchanges height and width.
    """
    place_of = _places_as_shown(shape, orientation)
    marks = []
    for mark in one.marks:
        points = mark.points or ((mark.row, mark.col),)
        places = place_of[[row * shape[1] + col for row, col in points]]
        turned = [(int(row), int(col)) for row, col in zip(*np.divmod(places, shape[0]), strict=True)]
        if mark.kind == "box":
            turned = [(f(r for r, _ in turned), f(c for _, c in turned)) for f in (min, max)]
        row, col = turned[0]
        marks.append(replace(mark, row=row, col=col, points=tuple(turned) if mark.points else ()))
    return Drawn(one.class_id, tuple(marks), None if one.pixels is None else np.sort(place_of[one.pixels]))


@lru_cache(maxsize=1)
def _places_as_shown(shape: tuple[int, int], orientation: int) -> Ints:
    """Position of each stored pixel in the displayed image."""
    return np.argsort(turn(np.arange(shape[0] * shape[1]).reshape(shape), orientation), axis=None)


def paint(drawn: Sequence[Drawn], shape: tuple[int, int], space: LabelSpace) -> LabelMap:
    """Label map of drawings, given from top to bottom."""
    label_map: LabelMap = np.full(shape, space.unlabelled_value, space.dtype)
    for one in reversed(drawn):
        pixels = np.concatenate([*shown_pixels(one.marks, shape)]) if one.pixels is None else one.pixels
        label_map.flat[pixels] = one.class_id
    return label_map
