"""Polylines of many strokes worked on at once, and the rule by which a line surely stays in its region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Lengths along polylines are whole numbers, in this part of a pixel.
UNIT = 64


@dataclass(frozen=True)
class Polylines:
    """The points of several polylines, one polyline after the other, each with at least one point.

    Args:
        points: Pixels as row and column, shape (N, 2).
        line: Number of the polyline of each point, ascending from 0 without gaps, shape (N,).
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
        """Only some of the points; each polyline must keep one."""
        return Polylines(self.points[which], self.line[which])

    def along(self) -> tuple[Ints, Ints]:
        """For each point the length of its polyline up to it, and of all of it, in 1/64 pixel."""
        step = np.where(self.joined, lengths(np.diff(self.points, axis=0)), 0)
        so_far = np.append(0, np.cumsum(step))
        begin = so_far[self.first]
        return so_far - begin[self.line], (so_far[self.last] - begin)[self.line]


def lengths(steps: Ints) -> Ints:
    """Lengths of steps (rows, columns), shape (N, 2), in 1/64 pixel, rounded down."""
    squares: Ints = steps[:, 0] ** 2 + steps[:, 1] ** 2
    return np.asarray(UNIT * np.sqrt(squares), np.int64)


def safe(a: Ints, b: Ints, reach_a: Ints, reach_b: Ints, width: Ints | int) -> Bools:
    """Whether a line of some width from ``a`` to ``b`` surely stays in the region that both lie in.

    Around each end lies a disc without a pixel of another region, of radius sqrt(reach). The line cannot leave the
    region if each of its cross-sections lies in one of the two discs: if the discs' chords of half-length
    sqrt(reach - (width / 2)^2) along the line are together as long as the line. Neighbouring pixels are always safe at
    width 1, so a path from pixel to neighbouring pixel is too.

    Args:
        a: Pixels as row and column, shape (N, 2).
        b: Likewise.
        reach_a: Squared distance of each ``a`` to the nearest pixel outside its region, shape (N,); 0 if it lies
            outside of the region itself, which is never safe.
        reach_b: Likewise of each ``b``.
        width: Full width of the line in pixels, at least 1.

    Example:
        >>> a, b = np.array([[0, 0]]), np.array([[0, 6]])
        >>> [bool(safe(a, b, np.array([reach]), np.array([reach]), 1)[0]) for reach in (9, 10)]
        [False, True]
    """
    chord_a, chord_b = 4 * reach_a - width * width, 4 * reach_b - width * width
    steps = a - b
    missing = 4 * (steps[:, 0] ** 2 + steps[:, 1] ** 2) - chord_a - chord_b
    # sqrt(A) + sqrt(B) >= sqrt(C), squared twice to stay with whole numbers.
    return (chord_a >= 0) & (chord_b >= 0) & ((missing <= 0) | (4 * chord_a * chord_b >= missing**2))
