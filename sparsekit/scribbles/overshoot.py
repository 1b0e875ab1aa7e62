"""Strokes that cross borders, as those of people do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from data_manifests import Mark
from sparsekit.randomness import ImageStream


def overshoot(
    strokes: Sequence[Mark], sloppiness: float, width: int, shape: tuple[int, int], rng: ImageStream
) -> list[Mark]:
    """Run strokes past their ends and draw them at full width, in thin regions too.

    Each end moves on, in the direction of the stroke, by a random share of up to ``sloppiness`` of its length. Dots
    stay where they are. The label stays that of the region, so pixels beyond its border are wrong.

    Args:
        strokes: Strokes with region numbers.
        sloppiness: Largest share of its length by which a stroke is extended at each end.
        width: Width in pixels.
        shape: Height and width of the image; strokes end at its border.
        rng: A stream of the image for this purpose alone. An end's random number depends on the region and on the
            number of strokes it has had, not on other regions.
    """
    drawn: dict[int, int] = {}
    sloppy = []
    for stroke in strokes:
        turn = drawn[stroke.region] = drawn.get(stroke.region, -1) + 1
        stream = rng.branch(f"{stroke.region} {turn}")
        points = list(stroke.points)
        length = sum(math.dist(one, other) for one, other in pairwise(points))
        if length:
            first = _beyond(points[0], points[1], sloppiness * stream.uniform() * length, shape)
            last = _beyond(points[-1], points[-2], sloppiness * stream.uniform() * length, shape)
            points = [*([first] if first != points[0] else []), *points, *([last] if last != points[-1] else [])]
        (row, col), widths = points[0], (width,) * len(points)
        sloppy.append(replace(stroke, row=row, col=col, points=tuple(points), widths=widths))
    return sloppy


def _beyond(end: tuple[int, int], before: tuple[int, int], distance: float, shape: tuple[int, int]) -> tuple[int, int]:
    """The pixel at a distance behind the end of a segment, within the image."""
    size = math.dist(end, before)
    row, col = (round(e + distance * (e - b) / size) for e, b in zip(end, before, strict=True))
    return min(max(row, 0), shape[0] - 1), min(max(col, 0), shape[1] - 1)
