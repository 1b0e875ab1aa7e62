"""The pixels that each mark shows, for formats that hold masks instead of drawings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from data_manifests import Mark
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
