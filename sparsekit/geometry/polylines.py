"""Polylines of many strokes, processed together, and the test that a line stays in its region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Lengths along polylines are integers, in units of 1/64 pixel.
UNIT = 64


@dataclass(frozen=True)
class Polylines:
    """The concatenated points of several polylines; each polyline has at least one point.

    Args:
        points: Pixels as row and column, shape (N, 2).
        line: Index of the polyline of each point, ascending from 0 without gaps, shape (N,).
    """

    points: Ints
    line: Ints

    @property
    def first(self) -> Ints:
        """Index of the first point of each polyline."""
        return np.flatnonzero(np.diff(self.line, prepend=-1))

    @property
    def last(self) -> Ints:
        """Index of the last point of each polyline."""
        return np.append(self.first[1:], len(self.line)) - 1

    @property
    def joined(self) -> Bools:
        """Whether each point and the next belong to one polyline, shape (N - 1,)."""
        return np.equal(self.line[1:], self.line[:-1])

    @property
    def inner(self) -> Bools:
        """Whether each point lies between two others of its polyline, shape (N,)."""
        inner = np.zeros(len(self.line), bool)
        inner[1:-1] = self.joined[1:] & self.joined[:-1]
        return inner

    def keep(self, which: Bools) -> Polylines:
        """Keep only some points; each polyline must keep at least one."""
        return Polylines(self.points[which], self.line[which])

    def along(self) -> tuple[Ints, Ints]:
        """For each point, the length of its polyline up to it and in total, in 1/64 pixel."""
        so_far = np.append(0, np.cumsum(self._steps()))
        return so_far - so_far[self.first][self.line], self.totals()

    def totals(self) -> Ints:
        """For each point, the length of its polyline, in 1/64 pixel."""
        of_line = (
            np.bincount(self.line[1:], self._steps(), minlength=self.line[-1] + 1) if len(self.line) else self.line
        )
        return of_line.astype(np.int64)[self.line]

    def _steps(self) -> Ints:
        """Length of the step from each point to the next, 0 between polylines, shape (N - 1,)."""
        return np.where(self.joined, lengths(self.points[1:] - self.points[:-1]), 0)


def lengths(steps: Ints) -> Ints:
    """Lengths of steps (rows, columns), shape (N, 2), in 1/64 pixel, rounded down."""
    return roots(steps[:, 0] ** 2 + steps[:, 1] ** 2)


def roots(squares: Ints) -> Ints:
    """Lengths whose squares these are, in 1/64 pixel, rounded down."""
    return np.asarray(UNIT * np.sqrt(squares), np.int64)


def safe(a: Ints, b: Ints, reach_a: Ints, reach_b: Ints, width: Ints | int) -> Bools:
    """Check that a line of a given width from ``a`` to ``b`` stays in their common region (sufficient, not necessary).

    Around each end lies a disc of radius sqrt(reach) that contains no pixel of another region. The line cannot leave
    the region if each of its cross-sections lies in one of the discs, that is, if the chords of half-length
    sqrt(reach - (width / 2)^2) together are as long as the line. Neighbouring pixels are always safe at width 1, and
    so is any path from pixel to neighbouring pixel.

    Args:
        a: Start pixels as row and column, shape (N, 2).
        b: End pixels as row and column, shape (N, 2).
        reach_a: Squared distance of each ``a`` to the nearest pixel outside its region, shape (N,); 0 if ``a`` itself
            lies outside the region, which is never safe.
        reach_b: The same for each ``b``.
        width: Full width of the line in pixels, at least 1.

    Example:
        >>> a, b = np.array([[0, 0]]), np.array([[0, 6]])
        >>> [bool(safe(a, b, np.array([reach]), np.array([reach]), 1)[0]) for reach in (9, 10)]
        [False, True]
    """
    steps = a - b
    return covered(steps[:, 0] ** 2 + steps[:, 1] ** 2, reach_a, reach_b, width)


def covered(squares: Ints, reach_a: Ints, reach_b: Ints, width: Ints | int) -> Bools:
    """Check as ``safe`` does, given the squared lengths of the lines, shape (N,)."""
    chord_a, chord_b = 4 * reach_a - width * width, 4 * reach_b - width * width
    missing = 4 * squares - chord_a - chord_b
    # sqrt(A) + sqrt(B) >= sqrt(C), squared twice to stay in integers.
    return (chord_a >= 0) & (chord_b >= 0) & ((missing <= 0) | (4 * chord_a * chord_b >= missing**2))
