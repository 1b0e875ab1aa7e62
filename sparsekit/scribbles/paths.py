"""The path of a scribble: a long path through the middle of each region, found on a coarse graph of safe lines.

All regions of an image are processed together. Square cells cover each region, few enough to be fast and small enough
to follow thin regions; the pixel farthest from the region's edge represents its cell. Neighbouring cells are connected
only where the line between their pixels provably stays in the region, so every path is a valid stroke. Lengths and
costs are integers, so the shortest path is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparsekit.geometry.polylines import UNIT, Bools, Floats, Ints, Polylines, covered, roots
from sparsekit.geometry.regions import Regions, squared

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_MAX_CELLS = 500
#: Offsets to the eight neighbours; directions k and 7 - k are opposite.
_DIRECTIONS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
#: A path is extended beyond an end if it grows by at least this share; a second stroke is at least as long.
_WORTH = 0.3


def long_paths(
    regions: Regions, distances: NDArray[np.float32], numbers: Ints, rounds: int = 1
) -> list[tuple[Polylines, Ints]]:
    """Find a long path through the middle of each region.

    Args:
        regions: The regions of an image.
        distances: Their ``edge_distances``.
        numbers: Region numbers to process.
        rounds: Paths per region; the second avoids the first, and so on.

    Returns:
        For each round, the paths and their region numbers. In a region too small for a line, the path is a single
        point. The first round has a path for each region, later rounds only where there is room for another stroke.
    """
    found: list[tuple[Polylines, Ints]] = []
    if not len(numbers):
        return found
    graph = _build_graph(regions, distances, numbers)
    free = np.ones(len(graph.points), bool)
    longest = np.zeros(len(numbers))
    for round_ in range(rounds):
        cells, line = _trace(_Net(graph, free))
        if not len(cells):
            break
        paths = Polylines(graph.points[cells], line)
        _, total = paths.along()
        region = graph.region[cells]
        enough = total >= _WORTH * longest[region]
        longest[region] = np.maximum(longest[region], total)
        if enough.any():
            found.append((_renumbered(paths.keep(enough)), numbers[region[paths.first][enough[paths.first]]]))
        if round_ < rounds - 1:
            free &= _far_from(graph, cells)
    return found


@dataclass(frozen=True)
class _Graph:
    """Cells of all regions, sorted by region.

    Args:
        points: Pixel of each cell, shape (N, 2).
        depth: Distance of that pixel to the region's edge.
        region: Index of the region, ascending from 0 without gaps.
        neighbors: Cell in each of eight directions, shape (N, 8); -1 if there is none or the line is not safe.
        lengths: Lengths of the lines to the neighbours, in 1/64 pixel.
    """

    points: Ints
    depth: Floats
    region: Ints
    neighbors: Ints
    lengths: Ints

    def best(self, score: Floats) -> Ints:
        """Return the cell with the highest score in each region (the first, if several have it)."""
        starts = np.flatnonzero(np.diff(self.region, prepend=-1))
        hits = np.flatnonzero(score == np.maximum.reduceat(score, starts)[self.region])
        return hits[np.flatnonzero(np.diff(self.region[hits], prepend=-1))]


class _Net:
    """The part of a graph that is still free."""

    def __init__(self, graph: _Graph, free: Bools) -> None:
        self.graph, self.free = graph, free
        self._allowed = (graph.neighbors >= 0) & free[:, None] & free[graph.neighbors]
        self._cells = graph.neighbors[self._allowed].astype(np.int32)
        self._bounds = np.append(0, np.cumsum(self._allowed.sum(1))).astype(np.int32)
        # Steps near the edge cost more, so the cheapest path keeps to the middle.
        self.costs = np.floor(UNIT * graph.lengths / graph.depth[:, None])

    @cached_property
    def by_length(self) -> csr_matrix:
        """The net with the lengths of its lines."""
        return self._with(self.graph.lengths)

    def _with(self, steps: Ints | Floats) -> csr_matrix:
        from scipy.sparse import csr_matrix  # imported here: it is slow to import, and clicks do not need it

        size = len(self.free)
        return csr_matrix((steps[self._allowed].astype(np.float64), self._cells, self._bounds), shape=(size, size))

    def ways(self, sources: Ints, net: csr_matrix | None = None) -> Floats:
        """Length or other cost of the best path from the nearest source to each cell; infinite if there is none."""
        from scipy.sparse.csgraph import dijkstra

        net = self.by_length if net is None else net
        return np.asarray(dijkstra(net, indices=sources, min_only=True), np.float64)

    def walk(self, sources: Ints, ends: Ints) -> tuple[Ints, Ints]:
        """Return the cells of the path from a source to each end, and for each cell the index of its end."""
        ways = self.ways(sources, self._with(self.costs))
        previous = np.full(len(ways), -1)
        reached = np.isfinite(ways) & (ways > 0)
        for k in range(8):
            other = self.graph.neighbors[:, k]
            is_step = ways[other] + self.costs[other, 7 - k] == ways
            previous[reached & self._allowed[:, k] & is_step] = k
        trail = [ends]
        while (trail[-1] >= 0).any():
            cell = trail[-1]
            step = np.where(cell >= 0, previous[cell], -1)
            trail.append(np.where(step >= 0, self.graph.neighbors[cell, step], -1))
        table = np.stack(trail[::-1], 1)  # one row per end, -1 before its source
        return table[table >= 0], np.nonzero(table >= 0)[0]


def _trace(net: _Net) -> tuple[Ints, Ints]:
    """Find a path in each region with free cells; return the cells in order, and the path number of each."""
    graph = net.graph
    middle = graph.best(np.where(net.free, graph.depth, -1.0))
    middle = middle[net.free[middle]]
    if not len(middle):
        return middle, middle
    start = _farthest(graph, net.ways(middle))
    from_start = net.ways(start)
    end = _farthest(graph, from_start)
    cells, line = net.walk(start, end)
    return _go_on(net, from_start, cells, line)


def _farthest(graph: _Graph, ways: Floats) -> Ints:
    """Return the farthest reachable cell of each region; of two about equally far, the one farther from the edge."""
    reached = np.isfinite(ways)
    best = graph.best(np.where(reached, ways + UNIT * graph.depth, -1.0))
    return best[reached[best]]


def _go_on(net: _Net, from_start: Floats, cells: Ints, line: Ints) -> tuple[Ints, Ints]:
    """Extend paths beyond an end where that end is the nearest part of the path, for example around a ring."""
    paths = Polylines(net.graph.points[cells], line)
    heads, tails = cells[paths.first], cells[paths.last]
    from_path = net.ways(cells)
    apart = np.where(np.isfinite(from_path), from_path, 0.0)
    is_far = apart[net.graph.best(apart)][net.graph.region[tails]] > _WORTH * from_start[tails]
    tips, gains = [], []
    for from_tip in (from_start, net.ways(tails[is_far])):  # nothing to gain where every cell lies near the path
        beyond = np.where((from_tip <= from_path) & np.isfinite(from_tip), from_tip, -1.0)
        tip = net.graph.best(beyond)[net.graph.region[heads]]
        tips.append(tip)
        gains.append(np.where(beyond[tip] > _WORTH * from_start[tails], beyond[tip], 0.0))
    parts = np.split(cells, paths.first[1:])
    at_tail = (gains[1] > 0) & (gains[1] >= gains[0])
    for which, ends, tip in (
        (np.flatnonzero(at_tail), tails, tips[1]),
        (np.flatnonzero((gains[0] > 0) & ~at_tail), heads, tips[0]),
    ):
        if not len(which):
            continue
        extra, of = net.walk(ends[which], tip[which])
        for index, piece in zip(which.tolist(), np.split(extra, np.flatnonzero(np.diff(of)) + 1), strict=True):
            known = parts[index]
            parts[index] = np.concatenate([known, piece[1:]] if ends is tails else [piece[:0:-1], known])
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def _far_from(graph: _Graph, cells: Ints) -> Bools:
    """Find cells that leave room for another stroke beside the one through the given cells."""
    away = _Net(graph, np.ones(len(graph.points), bool)).ways(cells)
    away = np.where(np.isfinite(away), away, 0)
    return away > np.maximum(_WORTH * away[graph.best(away)], 12 * UNIT)[graph.region]


def _renumbered(paths: Polylines) -> Polylines:
    return Polylines(paths.points, np.unique(paths.line, return_inverse=True)[1])


def _build_graph(regions: Regions, distances: NDArray[np.float32], numbers: Ints) -> _Graph:
    points, reaches, slots, strides, counts = [], [], [], [], []
    offset = 0
    for number in numbers.tolist():
        top, left, bottom, right = regions.boxes[number].tolist()
        depth = _Depth(regions.numbers[top:bottom, left:right], distances[top:bottom, left:right], number)
        # Cells are no larger than the region's depth, so that thin regions stay connected.
        size = depth.at_most(isqrt((int(regions.areas[number]) - 1) // _MAX_CELLS) + 1)
        cell_rows, cell_cols, pixels, reach = _cells(depth, size)
        stride = (right - left - 1) // size + 3  # an empty cell at both ends keeps neighbours from wrapping around
        points.append(pixels + np.array([top, left]))
        reaches.append(reach)
        slots.append(offset + (cell_rows + 1) * stride + cell_cols + 1)
        strides.append(np.full(len(reach), stride))
        counts.append(len(reach))
        offset += ((bottom - top - 1) // size + 3) * stride
    pixels, reach, slot, stride_of = map(np.concatenate, (points, reaches, slots, strides))
    cell_at = np.full(offset, -1, np.int64)
    cell_at[slot] = np.arange(len(slot))
    neighbors = np.full((len(slot), 8), -1)
    sizes = np.zeros_like(neighbors)
    rows, cols = np.ascontiguousarray(pixels.T)
    for k, (row, col) in enumerate(_DIRECTIONS[:4]):  # the others are these, seen from the neighbours
        other = cell_at[slot + (row * stride_of + col)]
        cell = np.flatnonzero(other >= 0)
        other = other[cell]
        squares = (rows[cell] - rows[other]) ** 2 + (cols[cell] - cols[other]) ** 2
        joined = covered(squares, reach[cell], reach[other], 1)
        cell, other = cell[joined], other[joined]
        neighbors[cell, k], neighbors[other, 7 - k] = other, cell
        sizes[cell, k] = sizes[other, 7 - k] = roots(squares[joined])
    region = np.repeat(np.arange(len(numbers)), counts)
    return _Graph(pixels, np.sqrt(reach.astype(np.float64)), region, neighbors, sizes)


@dataclass(frozen=True)
class _Depth:
    """Distance of pixels to the edge of a region, in its bounding box; 0 outside the region.

    Most pixels of a large region are never looked at.
    """

    numbers: NDArray[np.int32]
    distances: NDArray[np.float32]
    number: int

    def at(self, which: tuple[Any, ...]) -> NDArray[np.float32]:
        """Distances of some pixels."""
        return np.where(self.numbers[which] == self.number, self.distances[which], np.float32(0))

    @cached_property
    def everywhere(self) -> NDArray[np.float32]:
        """Distances of all pixels of the box."""
        return self.at(())

    def at_most(self, size: int) -> int:
        """A number of pixels, or the largest distance if that is smaller."""
        if size == 1:  # no distance is smaller
            return 1
        step = max(1, size // 3)
        some = self.at((slice(None, None, step), slice(None, None, step))) if step > 1 else self.everywhere
        deepest = some.max() if step == 1 or squared(some.max()) >= size**2 else self.everywhere.max()
        return min(size, isqrt(int(squared(deepest))))


def _cells(depth: _Depth, size: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Row and column of each occupied cell, its deepest pixel, shape (N, 2), and the pixel's squared depth."""
    if size == 1:
        rows, cols = np.nonzero(depth.numbers == depth.number)
        return rows, cols, np.stack([rows, cols], 1), squared(depth.distances[rows, cols])
    every = max(1, size // 3)  # in large cells, a sample of the pixels is enough
    block = -(-size // every)
    look_rows, look_cols = (
        (np.arange(-(-side // size))[:, None] * size + np.minimum(np.arange(block) * every, size - 1)).ravel()
        for side in depth.numbers.shape
    )
    seen = np.zeros((len(look_rows), len(look_cols)), np.float32)
    rows, cols = look_rows[look_rows < depth.numbers.shape[0]], look_cols[look_cols < depth.numbers.shape[1]]
    seen[: len(rows), : len(cols)] = depth.at((rows[:, None], cols)) if every > 1 else depth.everywhere
    height, width = len(look_rows) // block, len(look_cols) // block
    by_cell = squared(seen).reshape(height, block, width, block).swapaxes(1, 2)
    reach = by_cell.reshape(height, width, block * block)
    # Of equally deep pixels, take the one closest to the middle of the cell.
    away = np.abs(2 * np.arange(block) - block + 1)
    best = (reach * 4 * block - (away[:, None] + away).ravel()).argmax(-1)
    deepest = np.take_along_axis(reach, best[..., None], -1)[..., 0]
    cell_rows, cell_cols = np.nonzero(deepest)
    chosen = best[cell_rows, cell_cols]
    pixels = np.stack(
        [look_rows[cell_rows * block + chosen // block], look_cols[cell_cols * block + chosen % block]], 1
    )
    return cell_rows, cell_cols, pixels, deepest[cell_rows, cell_cols]
