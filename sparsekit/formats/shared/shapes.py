"""Marks as shapes of drawing tools, in continuous (x, y): pixel (row, col) covers [col, col + 1) x [row, row + 1).

Tools draw later shapes on top, whereas the earlier of our marks wins, so the last mark is written first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from data_manifests import Mark
from data_manifests.errors import counted
from sparsekit.formats.shared.files import RefusedError, SkippableError

XY = tuple[float, float]

#: Kinds of marks, and the number of points that each needs.
MARK_KINDS = {"click": 1, "stroke": 1, "box": 2, "block": 1, "polygon": 1}
#: Least number of points of their shapes; CVAT does not open a job that has a shape with fewer.
_LEAST_POINTS = {"stroke": 2, "block": 3, "polygon": 3}


def xy_points(mark: Mark) -> list[XY]:
    """Corners of a mark: centres of pixels, or for a box its upper left and lower right corner.

    The last point is repeated where the shape needs more points than the mark has.
    """
    if mark.kind == "box":
        (top, left), (bottom, right) = mark.points
        return [(float(left), float(top)), (float(right + 1), float(bottom + 1))]
    points = [(col + 0.5, row + 0.5) for row, col in mark.points or ((mark.row, mark.col),)]
    return points + points[-1:] * (_LEAST_POINTS.get(mark.kind, 1) - len(points))


def _without_repeats(kind: str, points: Sequence[XY]) -> Sequence[XY]:
    """Points without the repeats of ``xy_points``."""
    if len(points) == _LEAST_POINTS.get(kind):
        while len(points) > 1 and points[-1] == points[-2]:
            points = points[:-1]
    return points


def note(mark: Mark) -> str:
    """Return the properties of a mark that a tool's shape cannot store, as free text; empty if it stores all.

    Example:
        >>> note(Mark("stroke", 0, 1, 1, ((1, 1), (1, 5)), (3, 3)))
        'width 3'
    """
    if mark.kind == "stroke":
        widths = ";".join(map(str, mark.widths))
        return f"width {mark.widths[0]}" if len(set(mark.widths)) == 1 else f"widths {widths}"
    return "block" if mark.kind == "block" else ""


def clip_points(points: Sequence[XY], shape: tuple[int, int]) -> tuple[list[XY], int]:
    """Move points just outside the image to its edge; also return their number.

    Tools let people draw slightly beyond the edge: one pixel or 1 % of the image's side is tolerated.

    Args:
        points: Any points.
        shape: Height and width of the image.

    Raises:
        SkippableError: If a point lies farther outside.

    Example:
        >>> clip_points([(-0.5, 3.0), (4.0, 5.0)], (10, 10))
        ([(0.0, 3.0), (4.0, 5.0)], 1)
    """
    height, width = shape
    slack_x, slack_y = max(1.0, width / 100), max(1.0, height / 100)
    inside = []
    for x, y in points:
        if not (-slack_x <= x <= width + slack_x and -slack_y <= y <= height + slack_y):  # False for NaN too
            raise SkippableError(
                f"point ({x}, {y}) lies outside the image of {width}x{height} (width x height). If the annotation "
                "belongs to this image, and not to one of another size, move the point inside in the tool",
                "shapes that reach outside the image",
            )
        inside.append((min(max(x, 0.0), float(width)), min(max(y, 0.0), float(height))))
    return inside, sum(a != tuple(b) for a, b in zip(inside, points, strict=True))


def mark_from_xy(
    kind: str, class_id: int, points: Sequence[XY], text: str, shape: tuple[int, int], stroke_width: int
) -> Mark:
    """The mark of a shape; the inverse of ``xy_points`` and ``note``.

    Args:
        kind: ``click``, ``stroke``, ``box`` or ``polygon``.
        class_id: Train id.
        points: Corners inside the image; one on its right or lower edge belongs to the last pixel.
        text: Free text, which may contain a ``note``.
        shape: Height and width of the image.
        stroke_width: Width of strokes without a note.

    Raises:
        RefusedError: If there are too few points, or a stroke is wider than the image.
    """
    height, width = shape
    points = _without_repeats(kind, points)
    pixels = [(min(math.floor(y), height - 1), min(math.floor(x), width - 1)) for x, y in points]
    if kind == "box" and len(points) == MARK_KINDS["box"]:
        (x0, y0), (x1, y1) = points
        left, right, top, bottom = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
        first = min(math.floor(top), height - 1), min(math.floor(left), width - 1)
        pixels = [first, (max(math.ceil(bottom) - 1, first[0]), max(math.ceil(right) - 1, first[1]))]
    elif kind == "polygon" and text == "block":
        kind = "block"
    return _make_mark(
        kind, class_id, pixels, _widths(text, len(pixels), stroke_width) if kind == "stroke" else (), shape
    )


def _make_mark(
    kind: str, class_id: int, pixels: Sequence[tuple[int, int]], widths: Sequence[int], shape: tuple[int, int]
) -> Mark:
    least = MARK_KINDS.get(kind)
    if least is None:
        raise RefusedError(f"unknown kind of mark '{kind}'")
    if len(pixels) < least or (kind in ("click", "box") and len(pixels) > least):
        raise RefusedError(f"a {kind} cannot have {counted(len(pixels), 'point')}")
    if kind == "stroke":
        if len(widths) != len(pixels) or min(widths) < 1:
            raise RefusedError(
                f"a stroke of {counted(len(pixels), 'point')} cannot have the widths {list(widths)[:20]}"
            )
        if max(widths) > sum(shape):
            raise RefusedError(
                f"a stroke is {max(widths)} pixels wide; at most {sum(shape)}, height and width together, are possible "
                f"on an image of {shape[1]}x{shape[0]} (width x height)"
            )
    row, col = pixels[0]
    return Mark(kind, class_id, row, col, () if kind == "click" else tuple(pixels), tuple(widths))


def describe(mark: Mark) -> dict[str, Any]:
    """A mark without its class as plain data, for formats whose shapes hold pixels only."""
    data: dict[str, Any] = {"kind": mark.kind, "points": [list(p) for p in mark.points or ((mark.row, mark.col),)]}
    return data | ({"widths": list(mark.widths)} if mark.widths else {})


def mark_from_description(data: Any, class_id: int, shape: tuple[int, int]) -> Mark:
    """The inverse of ``describe``.

    Raises:
        ValueError, TypeError or KeyError: If it is not such data, or has a point outside the image.
    """
    pixels = [(_whole(row), _whole(col)) for row, col in data["points"]]
    for row, col in pixels:
        if not (0 <= row < shape[0] and 0 <= col < shape[1]):
            raise ValueError(f"point ({col}, {row}) lies outside the image of {shape[1]}x{shape[0]}")
    return _make_mark(str(data["kind"]), class_id, pixels, [_whole(w) for w in data.get("widths", ())], shape)


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _widths(text: str, count: int, stroke_width: int) -> tuple[int, ...]:
    word, _, numbers = text.partition(" ")
    if word not in ("width", "widths") or " " in numbers:  # such as "width of the road"
        return (stroke_width,) * count
    widths = tuple(int(number) for number in numbers.split(";"))
    return widths * count if word == "width" else widths
