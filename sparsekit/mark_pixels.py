"""Which pixels a mark covers, in whole numbers only, so that anyone can draw the marks of a manifest again exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from data_manifests import Mark
from sparsekit.errors import AnnotationError
from sparsekit.polylines import Ints


def mark_pixels(mark: Mark) -> Ints:
    """Pixels of a mark.

    Args:
        mark: A click covers its pixel, a stroke what ``stroke_pixels`` says.

    Returns:
        Rows and columns, shape (M, 2), some more than once; pixels outside of the image may be among them.

    Raises:
        AnnotationError: If the kind of mark is unknown.
    """
    if mark.kind not in _PIXELS:
        raise AnnotationError(f"Unknown kind of mark '{mark.kind}'; expected one of: {', '.join(_PIXELS)}.")
    return _PIXELS[mark.kind](mark)


def stroke_pixels(points: Ints, widths: Ints) -> Ints:
    """Pixels of a stroke: discs at its points, and lines between them as wide as the narrower end.

    A pixel is covered if its distance to a point is less than half of the width there, or if it lies beside a segment,
    nearer to it than half of the segment's width. A stroke of width 1 is a line without gaps.

    Args:
        points: Rows and columns, shape (N, 2).
        widths: Full widths in pixels, at least 1, shape (N,).

    Returns:
        Rows and columns, shape (M, 2), some more than once; pixels outside of the image may be among them.
    """
    covered = [_discs(points[widths == width], width) for width in np.unique(widths).tolist()]
    narrow = np.minimum(widths[1:], widths[:-1])
    for width in np.unique(narrow).tolist():
        which = narrow == width
        covered.append(_bands(points[:-1][which], points[1:][which], width))
    return np.concatenate(covered)


def _discs(centres: Ints, width: int) -> Ints:
    offsets = np.arange(-(width // 2), width // 2 + 1)
    rows, cols = np.meshgrid(offsets, offsets, indexing="ij")
    inside = 4 * (rows**2 + cols**2) < width * width
    return (centres[:, None] + np.stack([rows[inside], cols[inside]], 1)).reshape(-1, 2)


def _bands(starts: Ints, ends: Ints, width: int) -> Ints:
    """Pixels beside segments, nearer than half the width, their nearest point between the ends."""
    along = ends - starts
    squares = (along**2).sum(1)
    steep = np.abs(along[:, 0]) >= np.abs(along[:, 1])
    main = np.where(steep, along[:, 0], along[:, 1])
    side = np.where(steep, along[:, 1], along[:, 0])
    # Walk along the longer axis, half a width beyond both ends, and look a few pixels to both sides.
    beyond = (width + 1) // 2
    counts = np.abs(main) + 1 + 2 * beyond
    segment = np.repeat(np.arange(len(starts)), counts)
    step = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts) - beyond
    length = np.maximum(np.abs(main), 1)[segment]
    main_offset = step * np.sign(main)[segment]
    middle = (2 * step * side[segment] + length) // (2 * length)
    reach = (3 * width + 3) // 4 + 1  # half the width times the square root of two, rounded up
    side_offset = middle[:, None] + np.arange(-reach, reach + 1)
    along_main, along_side = main[segment][:, None], side[segment][:, None]
    cross = along_main * side_offset - along_side * main_offset[:, None]
    dot = along_main * main_offset[:, None] + along_side * side_offset
    square = squares[segment][:, None]
    inside = (4 * cross**2 < width * width * square) & (dot >= 0) & (dot <= square)
    which, _ = np.nonzero(inside)
    of = segment[which]
    to_main, to_side = main_offset[which], side_offset[inside]
    offset = np.where(steep[of][:, None], np.stack([to_main, to_side], 1), np.stack([to_side, to_main], 1))
    return starts[of] + offset


_PIXELS: dict[str, Callable[[Mark], Ints]] = {
    "click": lambda mark: np.array([[mark.row, mark.col]]),
    "stroke": lambda mark: stroke_pixels(np.array(mark.points), np.array(mark.widths)),
}
