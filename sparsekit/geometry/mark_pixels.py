"""Which pixels a mark covers. Integer arithmetic only, so that any tool can redraw the marks of a manifest exactly."""

from __future__ import annotations

import numpy as np

from data_manifests import Mark
from data_manifests.errors import counted
from sparsekit.errors import AnnotationError
from sparsekit.geometry.polylines import Bools, Ints, Polylines

#: Marks that cover an area given by their corners.
AREA_KINDS = ("block", "box", "polygon")


def mark_pixels(mark: Mark) -> Ints:
    """Pixels of a mark.

    Args:
        mark: A click covers its pixel; see ``stroke_pixels`` for strokes and ``area_of`` for areas.

    Returns:
        Rows and columns, shape (M, 2). Pixels may repeat and may lie outside the image.

    Raises:
        AnnotationError: If the kind of mark is unknown.
    """
    if mark.kind == "click":
        return np.array([[mark.row, mark.col]])
    if mark.kind == "stroke":
        return stroke_pixels(np.array(mark.points), np.array(mark.widths))
    if mark.kind in AREA_KINDS:
        origin, covered = area_of(mark)
        return np.asarray(np.argwhere(covered) + origin)
    kinds = ", ".join(("click", "stroke", *AREA_KINDS))
    raise AnnotationError(f"Unknown kind of mark '{mark.kind}'; expected one of: {kinds}.")


def fault_of(mark: Mark, shape: tuple[int, int]) -> str:
    """Describe why a mark cannot be drawn on an image, as a clause such as ``lies outside``; empty if it can.

    Args:
        mark: As read from a file, unchecked.
        shape: Height and width of the image.
    """
    height, width = shape
    if mark.kind not in ("click", "stroke", *AREA_KINDS):
        return f"is of the unknown kind '{mark.kind}'"
    if not all(0 <= row < height and 0 <= col < width for row, col in mark.points or ((mark.row, mark.col),)):
        return f"lies outside the image of {width}x{height} (width x height)"
    if len(mark.points) < {"click": 0, "box": 2}.get(mark.kind, 1):
        return f"is a {mark.kind} of {counted(len(mark.points), 'point')}"
    if mark.kind == "box" and (mark.points[0][0] > mark.points[1][0] or mark.points[0][1] > mark.points[1][1]):
        return "is a box whose first corner is not the upper left one"
    if mark.kind == "stroke" and len(mark.widths) != len(mark.points):
        return f"is a stroke of {counted(len(mark.points), 'point')} and {counted(len(mark.widths), 'width')}"
    if mark.kind == "stroke" and not 1 <= min(mark.widths) <= max(mark.widths) <= height + width:
        return f"is a stroke {min(mark.widths)} to {max(mark.widths)} pixels wide"
    return ""


def area_of(mark: Mark) -> tuple[Ints, Bools]:
    """Return the upper left corner (row, column) of an area mark's bounding box, and which of its pixels are covered.

    Args:
        mark: A box covers the rectangle from its first corner to its second; see ``polygon`` for blocks and polygons.

    Raises:
        AnnotationError: If a box has fewer than two corners, or another area has none.
    """
    corners = np.array(mark.points)
    if len(corners) < (needed := 2 if mark.kind == "box" else 1):
        raise AnnotationError(f"A {mark.kind} needs at least {needed} corners, got {len(corners)}.")
    if mark.kind == "box":
        return corners[0], np.ones(corners[1] - corners[0] + 1, bool)
    return polygon(corners)


def stroke_pixels(points: Ints, widths: Ints) -> Ints:
    """Pixels of a stroke: discs at its points, joined by lines as wide as the narrower end.

    A stroke covers a pixel if its distance to a point is less than half the width there, or if it lies beside a
    segment and closer to it than half the segment's width. A stroke of width 1 is a line without gaps.

    Args:
        points: Rows and columns, shape (N, 2).
        widths: Full widths in pixels, at least 1, shape (N,).

    Returns:
        Rows and columns, shape (M, 2). Pixels may repeat and may lie outside the image.
    """
    return pixels_of_strokes(Polylines(points, np.zeros(len(points), np.int64)), widths)[0]


def pixels_of_strokes(strokes: Polylines, widths: Ints) -> tuple[Ints, Ints]:
    """Pixels of several strokes, as ``stroke_pixels`` has those of one.

    Args:
        strokes: Their points.
        widths: Full widths in pixels, at least 1, shape (N,).

    Returns:
        Rows and columns, shape (M, 2), and the index of the stroke of each, shape (M,).
    """
    points, line = strokes.points, strokes.line
    covered, owners = [], []
    for width in np.unique(widths).tolist():
        centres, disc = np.flatnonzero(widths == width), _disc(width)
        covered.append((points[centres][:, None] + disc).reshape(-1, 2))
        owners.append(np.repeat(line[centres], len(disc)))
    narrow = np.where(strokes.joined, np.minimum(widths[1:], widths[:-1]), 0)
    for width in np.unique(narrow[strokes.joined]).tolist():
        starts = np.flatnonzero(narrow == width)
        pixels, segment = _bands(points[starts], points[starts + 1], width)
        covered.append(pixels)
        owners.append(line[starts[segment]])
    return np.concatenate(covered), np.concatenate(owners)


def _disc(width: int) -> Ints:
    offsets = np.arange(-(width // 2), width // 2 + 1)
    rows, cols = np.meshgrid(offsets, offsets, indexing="ij")
    inside = 4 * (rows**2 + cols**2) < width * width
    return np.stack([rows[inside], cols[inside]], 1)


def _bands(starts: Ints, ends: Ints, width: int) -> tuple[Ints, Ints]:
    """Pixels closer than half the width to segments, with the nearest point between the ends; the segment of each."""
    along = ends - starts
    squares = (along**2).sum(1)
    steep = np.abs(along[:, 0]) >= np.abs(along[:, 1])
    main = np.where(steep, along[:, 0], along[:, 1])
    side = np.where(steep, along[:, 1], along[:, 0])
    # Walk along the longer axis, half a width beyond both ends, and check a few pixels on both sides.
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
    return starts[of] + offset, of


def polygon(corners: Ints) -> tuple[Ints, Bools]:
    """Fill a closed polygon: the pixels inside (even-odd rule) and those that its sides pass through exactly.

    Args:
        corners: Rows and columns, shape (N, 2); a single corner covers one pixel.

    Returns:
        Row and column of the bounding box's upper left corner, and whether each of its pixels is covered.
    """
    origin = corners.min(0)
    height, width = corners.max(0) - origin + 1
    starts = corners - origin
    ends = np.roll(starts, -1, axis=0)
    # On each row between a side's ends (the lower one excluded), toggle all pixels from the crossing on.
    upper = np.where((starts[:, 0] <= ends[:, 0])[:, None], starts, ends)
    lower = np.where((starts[:, 0] <= ends[:, 0])[:, None], ends, starts)
    counts = lower[:, 0] - upper[:, 0]
    side = np.repeat(np.arange(len(counts)), counts)
    down = np.arange(len(side)) - np.repeat(np.cumsum(counts) - counts, counts)
    crossing = upper[side, 1] - (-down * (lower - upper)[side, 1]) // counts[side]  # rounded up
    changes = np.zeros((height, width + 1), np.uint8)
    np.bitwise_xor.at(changes, (upper[side, 0] + down, crossing), np.uint8(1))
    covered = np.bitwise_xor.accumulate(changes[:, :-1], axis=1).astype(bool)
    # The pixels that a side passes through exactly divide it into gcd(height, width) parts.
    steps = np.maximum(np.gcd(*(ends - starts).T), 1)
    side = np.repeat(np.arange(len(steps)), steps)
    part = np.arange(len(side)) - np.repeat(np.cumsum(steps) - steps, steps)
    on_side = starts[side] + part[:, None] * ((ends - starts)[side] // steps[side][:, None])
    covered[on_side[:, 0], on_side[:, 1]] = True
    return origin, covered
