"""The shape of a stroke: turn the path through a region into a smooth, wobbling line with few points.

Points move only as far as ``safe`` allows, and are dropped only where it allows the longer segment. Points that cannot
move stay on the path. A line therefore never leaves its region, whatever the random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparsekit.geometry.polylines import UNIT, Bools, Floats, Ints, Polylines, lengths, safe
from sparsekit.geometry.regions import squared

#: Random numbers per line.
CONTROLS = 24
#: Largest distance between points while a line is being shaped, in pixels.
_GAP = 8


@dataclass(frozen=True)
class Canvas:
    """The regions and the width that constrain lines.

    Args:
        numbers: Region number of each pixel, shape (H, W).
        distances: Distance of each pixel to its region's edge, shape (H, W).
        regions: Region number of each line.
        width: Largest width of a line in pixels; lines are thinner where the region is less than twice as wide.
    """

    numbers: NDArray[np.int32]
    distances: NDArray[np.float32]
    regions: Ints
    width: int

    def reach(self, lines: Polylines) -> Ints:
        """Squared distance of each point to the edge of its line's region; 0 outside the region."""
        rows, cols = lines.points[:, 0], lines.points[:, 1]
        inside = self.numbers[rows, cols] == self.regions[lines.line]
        return np.where(inside, squared(self.distances[rows, cols]), 0)

    def wanted_widths(self, reach: Ints) -> Ints:
        """Width of the line at points with this reach; segments between them may require less."""
        return np.clip(np.sqrt(reach).astype(np.int64), 1, self.width)

    def fitting(self, lines: Polylines) -> Bools:
        """Whether each point can be joined to the next of its line at the wanted width, shape (N - 1,)."""
        reach = self.reach(lines)
        widths = self.wanted_widths(reach)
        narrow = np.minimum(widths[1:], widths[:-1])
        return ~lines.joined | safe(lines.points[:-1], lines.points[1:], reach[:-1], reach[1:], narrow)

    def widths(self, lines: Polylines) -> Ints:
        """Width at each point that makes all segments safe."""
        reach = self.reach(lines)
        widths = self.wanted_widths(reach)
        for width in range(self.width, 1, -1):
            narrow = np.minimum(widths[1:], widths[:-1])
            too_wide = lines.joined & (narrow == width)
            too_wide &= ~safe(lines.points[:-1], lines.points[1:], reach[:-1], reach[1:], width)
            for side in (widths[1:], widths[:-1]):
                side[too_wide] = np.minimum(side[too_wide], width - 1)
        return widths


def shape_lines(paths: Polylines, controls: Floats, wobble: float, canvas: Canvas) -> Polylines:
    """Turn paths into smooth lines with a random wobble.

    Args:
        paths: From ``long_paths``.
        controls: Random numbers in [0, 1) for each path, shape (number of paths, ``CONTROLS``).
        wobble: Size of the wobble; 0 disables it, 1 is that of a hand.
        canvas: Constraints of the lines.
    """
    curve = _smooth(paths.points.astype(np.float64), paths.inner, passes=8)
    fine, curve = _subdivide(paths, curve)
    curve = _smooth(curve, fine.inner, passes=6)
    curve += wobble * _wobble(curve, fine, controls, canvas)
    moved = _move(fine, curve, canvas)
    moved = _move(moved, _smooth(moved.points.astype(np.float64), moved.inner, passes=2), canvas)
    # Points inserted between those of a path may lie too close to the edge; such lines keep their original path.
    failed = np.zeros(len(canvas.regions), bool)
    failed[moved.line[1:][~canvas.fitting(moved)]] = True
    good, found = moved.keep(~failed[moved.line]), paths.keep(failed[paths.line])
    line = np.concatenate([good.line, found.line])
    order = np.argsort(line, kind="stable")
    lines = Polylines(np.concatenate([good.points, found.points])[order], line[order])
    repeated = np.append(False, lines.joined & (lines.points[1:] == lines.points[:-1]).all(1))
    return lines.keep(~repeated)


def simplify(lines: Polylines, tolerance: float, canvas: Canvas) -> Polylines:
    """Drop points that lie nearly on the line between their neighbours.

    No gap grows beyond a 24th of the line (or 16 pixels), so that a line can still be cut to a share of its
    length, and no longer segment needs a smaller width.

    Args:
        lines: Lines that fit the canvas.
        tolerance: Largest distance of a dropped point from the remaining line, in pixels.
        canvas: Constraints of the lines.
    """
    kept = np.ones(len(lines.points), bool)
    rest, places = lines, np.arange(len(kept))  # lines that still change, and where their points stand in all lines
    error = np.zeros(len(kept))  # of the points dropped so far beside each point
    reach = canvas.reach(lines)
    while True:
        widths = canvas.wanted_widths(reach)
        before, point, after = rest.points[:-2], rest.points[1:-1], rest.points[2:]
        chord, to_point = after - before, point - before
        cross = chord[:, 0] * to_point[:, 1] - chord[:, 1] * to_point[:, 0]
        chord_length = lengths(chord)
        off = np.abs(cross) * UNIT / np.maximum(chord_length, 1)
        off = off + np.maximum(np.maximum(error[:-2], error[2:]), error[1:-1])
        longest = np.maximum(rest.totals()[1:-1] // 24, 16 * UNIT)
        narrow = np.minimum(np.minimum(widths[:-2], widths[1:-1]), widths[2:])
        may_go = rest.inner[1:-1] & (off <= tolerance) & (chord_length > 0) & (chord_length <= longest)
        may_go &= safe(before, after, reach[:-2], reach[2:], narrow)
        # Of droppable neighbours, drop the one that changes the line least first.
        change = np.concatenate([[np.inf], np.where(may_go, off, np.inf), [np.inf]])
        drop = may_go & (change[1:-1] < change[:-2]) & (change[1:-1] <= change[2:])
        if not drop.any():
            return lines.keep(kept)
        for side in (error[:-2], error[2:]):
            side[drop] = np.maximum(side[drop], off[drop])
        dropped = np.concatenate([[False], drop, [False]])
        kept[places[dropped]] = False
        changes = np.zeros(len(canvas.regions), bool)
        changes[rest.line[dropped]] = True
        stay = ~dropped & changes[rest.line]
        rest, places, error, reach = rest.keep(stay), places[stay], error[stay], reach[stay]


def part_of(lines: Polylines, anchors: Floats, share: float) -> Bools:
    """Choose a share of each line; smaller shares are parts of larger ones.

    Args:
        lines: The whole lines.
        anchors: Position of the part on each line, in [0, 1]; mapped to the middle fifth.
        share: Share of the length, in (0, 1]. Lines are cut at their points, so slightly less may remain, but at
            least one point.

    Returns:
        Whether each point belongs to the part, shape (N,).
    """
    so_far, total = lines.along()
    place = so_far / np.maximum(total, 1)
    anchor = (0.4 + 0.2 * anchors)[lines.line]
    kept = (place >= anchor - anchor * share) & (place <= anchor + (1 - anchor) * share)
    away = np.abs(place - anchor)
    nearest = np.flatnonzero(away == np.minimum.reduceat(away, lines.first)[lines.line])
    kept[nearest[np.flatnonzero(np.diff(lines.line[nearest], prepend=-1))]] = True
    return kept


def _smooth(values: Floats, inner: Bools, passes: int) -> Floats:
    """Average each inner point with its neighbours, ``passes`` times."""
    values = values.copy()
    for _ in range(passes):
        mean = (values[:-2] + 2 * values[1:-1] + values[2:]) * 0.25
        values[1:-1] = np.where(inner[1:-1, None], mean, values[1:-1])
    return values


def _subdivide(lines: Polylines, curve: Floats) -> tuple[Polylines, Floats]:
    """Insert points into lines and curve so that they are at most ``_GAP`` apart."""
    parts = np.ones(len(lines.points), np.int64)
    parts[:-1] += np.where(lines.joined, lengths(np.diff(lines.points, axis=0)) // (_GAP * UNIT), 0)
    owner = np.repeat(np.arange(len(parts)), parts)
    following = np.minimum(owner + 1, len(parts) - 1)
    part = (np.arange(len(owner)) - np.repeat(np.cumsum(parts) - parts, parts))[:, None]
    of = parts[owner][:, None]
    points = lines.points[owner] + (2 * part * (lines.points[following] - lines.points[owner]) + of) // (2 * of)
    return Polylines(points, lines.line[owner]), curve[owner] + part / of * (curve[following] - curve[owner])


def _wobble(curve: Floats, lines: Polylines, controls: Floats, canvas: Canvas) -> Floats:
    """Offset the curve sideways by slow bends and a faster, smaller tremor, within the available room."""
    so_far, total = lines.along()
    place = so_far / np.maximum(total, 1)
    tangent = np.zeros_like(curve)
    tangent[1:-1] = np.where(lines.inner[1:-1, None], curve[2:] - curve[:-2], 0)
    size = np.sqrt(tangent[:, 0] * tangent[:, 0] + tangent[:, 1] * tangent[:, 1])
    across = np.stack([tangent[:, 1], -tangent[:, 0]], 1) / np.where(size > 0, size, 1)[:, None]
    room = np.maximum(np.sqrt(canvas.reach(lines)) - 0.5 * canvas.width, 0)
    length = total / UNIT
    bend = np.minimum(0.45 * room, 0.06 * length) * _noise(place, 2 * controls[:, :5] - 1, lines.line)
    tremble = np.minimum(0.2 * room, 0.012 * length) * _noise(place, 2 * controls[:, 5:17] - 1, lines.line)
    return (bend + tremble)[:, None] * across


def _noise(place: Floats, knots: Floats, line: Ints) -> Floats:
    """Evaluate a smooth curve through evenly spaced knots at positions in [0, 1]."""
    x = place * (knots.shape[1] - 1)
    left = np.minimum(x.astype(np.int64), knots.shape[1] - 2)
    t = x - left
    t = t * t * (3 - 2 * t)
    return np.asarray(knots[line, left] * (1 - t) + knots[line, left + 1] * t)


def _move(lines: Polylines, curve: Floats, canvas: Canvas) -> Polylines:
    """Move points towards a curve, each as far as its line stays in its region."""
    limit = np.array(canvas.numbers.shape) - 1
    share = np.ones(len(lines.points))
    for _ in range(8):
        points = np.rint(lines.points + share[:, None] * (curve - lines.points)).astype(np.int64)
        moved = Polylines(np.clip(points, 0, limit), lines.line)
        unfit = ~canvas.fitting(moved)
        if not unfit.any():
            break
        near = np.append(unfit, False) | np.append(False, unfit)
        for _ in range(2):  # hold neighbours back as well, or the line would get a kink
            near[1:-1] |= near[2:] | near[:-2]
        share[near] = np.where(share[near] > 0.2, share[near] / 2, 0)
    return moved
