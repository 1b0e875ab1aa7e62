"""The pixels that each mark shows, for formats that hold masks instead of drawings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from data_manifests import Mark
from sparsekit.mark_pixels import mark_pixels
from sparsekit.polylines import Ints


def shown_pixels(marks: Sequence[Mark], shape: tuple[int, int]) -> Iterator[tuple[Ints, Ints]]:
    """Rows and columns of the pixels of each mark that lie in the image and that no earlier mark covers, each once."""
    height, width = shape
    taken = np.zeros(height * width, bool)
    for mark in marks:
        rows, cols = mark_pixels(mark).T
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        flat = np.unique(rows[inside] * width + cols[inside])
        flat = flat[~taken[flat]]
        taken[flat] = True
        yield flat // width, flat % width
