"""Click strategies: each yields an endless sequence of clicks.

A smaller budget is therefore a prefix of a larger one. ``settings.STRATEGIES`` names them; docs/annotations.md lists
the papers they come from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap
from sparsekit.clicks.guides import Guidance
from sparsekit.clicks.uniform import PixelRanks, draw_distinct
from sparsekit.geometry.polylines import Bools, Ints
from sparsekit.geometry.regions import distances_by_region, far_from_other_values, find_regions, find_runs, squared
from sparsekit.randomness import ImageStream

#: Consecutive rejected candidates before the free pixels are listed.
_PATIENCE = 200


@dataclass(frozen=True)
class Scene:
    """Input of a strategy, and the clicks drawn so far; ``allowed`` is None if everything except void is allowed.

    Strategies that a network guides need its ``guidance``.
    """

    label_map: LabelMap
    unlabelled_value: int
    instances: LabelMap | None
    allowed: Bools | None
    min_distance: int
    rng: ImageStream
    taken: list[tuple[int, int]] = field(default_factory=list)
    guidance: Guidance | None = None

    def where_allowed(self, values: NDArray[Any], nothing: int) -> NDArray[Any]:
        """Values on allowed pixels, ``nothing`` elsewhere, shape (H, W)."""
        return values if self.allowed is None else np.where(self.allowed, values, values.dtype.type(nothing))

    def are_free(self, rows: Ints, cols: Ints) -> Bools:
        """Whether pixels are far enough from all clicks."""
        free = np.ones(len(rows), bool)
        if self.min_distance:
            for row, col in self.taken:
                free &= (rows - row) ** 2 + (cols - col) ** 2 >= self.min_distance**2
        return free

    def is_free(self, row: int, col: int) -> bool:
        """Whether a pixel is far enough from all clicks."""
        square = self.min_distance**2
        return not square or all((row - r) ** 2 + (col - c) ** 2 >= square for r, c in self.taken)


@dataclass(frozen=True)
class Candidate:
    """A proposed click; ``round`` counts the earlier clicks on its class or instance."""

    row: int
    col: int
    round: int = 0
    region: int = -1


def draw_uniform(scene: Scene) -> Iterator[Candidate]:
    """Draw each allowed pixel with equal probability."""
    allowed = scene.label_map != scene.unlabelled_value if scene.allowed is None else scene.allowed
    yield from _draw_all(_Pool(scene, PixelRanks(allowed)))


def draw_by_class(scene: Scene) -> Iterator[Candidate]:
    """Draw one click for every class, then the next; within a class, allowed pixels are equally likely."""
    class_ids = scene.where_allowed(scene.label_map, scene.unlabelled_value)
    for round_, _, place in _in_rounds(_pools(scene, class_ids, scene.unlabelled_value), scene.rng):
        yield Candidate(*place, round_)


def draw_by_instance(scene: Scene) -> Iterator[Candidate]:
    """Draw one click for every instance, or region outside instances, then the next."""
    numbers = find_regions(scene.label_map, scene.unlabelled_value, scene.instances).numbers
    for round_, pool, place in _in_rounds(_pools(scene, scene.where_allowed(numbers, -1), nothing=-1), scene.rng):
        yield Candidate(*place, round_, pool.value)


def draw_central(scene: Scene) -> Iterator[Candidate]:
    """Draw allowed pixels with a probability proportional to their city-block distance from other classes and void."""
    weights = _steps_to_others(scene.label_map)
    allowed = scene.label_map != scene.unlabelled_value if scene.allowed is None else scene.allowed
    weights *= allowed.view(np.uint8)
    until = np.cumsum(_sums_of_rows(weights))
    refused = 0
    while total := int(until[-1]) if len(until) else 0:
        chance = scene.rng.below(total)
        row = int(until.searchsorted(chance, side="right"))
        until_col = weights[row].cumsum(dtype=np.int64)
        col = int(until_col.searchsorted(chance - (until[row] - until_col[-1]), side="right"))
        if scene.is_free(row, col):
            refused = 0
            yield Candidate(row, col)
            until[row:] -= weights[row, col]
            weights[row, col] = 0
        elif (refused := refused + 1) == _PATIENCE:
            refused = 0
            rows, cols = np.nonzero(weights)
            blocked = ~scene.are_free(rows, cols)
            weights[rows[blocked], cols[blocked]] = 0
            until = np.cumsum(_sums_of_rows(weights))


def draw_uncertain(scene: Scene) -> Iterator[Candidate]:
    """Draw each of the most uncertain share of allowed pixels with equal probability, then of the rest, and so on.

    Pixels as uncertain as the last one of the share belong to it, so that their order plays no part.

    References:
        Shin et al., "All you need are a few pixels: semantic segmentation with PixelPick", ICCV workshops 2021.
    """
    assert scene.guidance is not None  # ``draw_clicks`` checks it
    scores, share = scene.guidance.values, scene.guidance.top_share
    left = scene.label_map != scene.unlabelled_value if scene.allowed is None else scene.allowed.copy()
    while left.any():
        of_left = scores[left]
        position = len(of_left) - max(1, round(share * len(of_left)))
        top = left & (scores >= np.partition(of_left, position)[position])
        yield from _draw_all(_Pool(scene, PixelRanks(top)))
        left &= ~top


def draw_corrective(scene: Scene) -> Iterator[Candidate]:
    """Draw one click in each region where a prediction is wrong, the largest first, as annotators correct a network.

    A region is connected, of one class of the label map, and predicted as any other class. Its click is the allowed
    pixel farthest from the region's edge; of several, the middle one in reading order. Of regions of equal size, the
    one whose first pixel comes first is first.

    References:
        Sofiiuk et al., "Reviving iterative training with mask guidance for interactive segmentation", ICIP 2022.
    """
    assert scene.guidance is not None
    void = scene.unlabelled_value
    errors = find_regions(np.where(scene.guidance.values == scene.label_map, void, scene.label_map), void)
    for number in np.argsort(-errors.areas, kind="stable"):
        ((_, distances),) = distances_by_region(errors, np.array([number]))
        top, left, bottom, right = errors.boxes[number].tolist()
        allowed = True if scene.allowed is None else scene.allowed[top:bottom, left:right]
        rows, cols = np.nonzero((distances > 0) & allowed)
        free = scene.are_free(rows + top, cols + left)
        rows, cols = rows[free], cols[free]
        if len(rows):
            depths = squared(distances[rows, cols])
            deepest = np.flatnonzero(depths == depths.max())
            middle = deepest[len(deepest) // 2]
            yield Candidate(int(rows[middle]) + top, int(cols[middle]) + left)


def _sums_of_rows(weights: NDArray[np.uint8]) -> Ints:
    if not weights.size:  # OpenCV cannot sum an empty array
        return np.zeros(len(weights), np.int64)
    return cv2.reduce(weights, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel().astype(np.int64)


def _steps_to_others(label_map: LabelMap) -> NDArray[np.uint8]:
    """City-block distance from each pixel to the nearest one of another value, at most 255."""
    inner = far_from_other_values(label_map, 2)
    if inner.all():
        return np.full(label_map.shape, 255, np.uint8)
    # Pixels outside ``inner`` have a neighbour of another value, one step further than the nearest of them.
    steps = cv2.distanceTransform(inner.view(np.uint8), cv2.DIST_L1, 3)
    return np.asarray(cv2.convertScaleAbs(steps, alpha=1, beta=1), np.uint8)  # more than 255 becomes 255


class _RunRanks:
    """Numbers the pixels of some runs in the order of the runs."""

    def __init__(self, rows: Ints, starts: Ints, lengths: Ints) -> None:
        self._rows, self._starts, self._lengths = rows, starts, lengths
        self._until = np.cumsum(lengths)

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int(self._until[-1]) if len(self._until) else 0

    def locate(self, rank: int) -> tuple[int, int]:
        """Return the row and column of the pixel with this number."""
        run = int(np.searchsorted(self._until, rank, side="right"))
        return int(self._rows[run]), int(self._starts[run]) + rank - int(self._until[run - 1] if run else 0)

    def pixels(self) -> tuple[Ints, Ints]:
        """Rows and columns of all pixels."""
        rows = np.repeat(self._rows, self._lengths)
        return rows, np.arange(len(rows)) + np.repeat(self._starts - self._until + self._lengths, self._lengths)


class _Pool:
    """Draws the allowed pixels of one class or region without replacement, with equal probability."""

    def __init__(self, scene: Scene, ranks: PixelRanks | _RunRanks, value: int = 0) -> None:
        self.value = value
        self._scene = scene
        self._pixels = ranks
        self._ranks = self._shuffled()

    def draw(self) -> tuple[int, int] | None:
        """Return the next pixel far enough from all clicks, or None."""
        for tries, rank in enumerate(self._ranks, start=1):
            place = self._pixels.locate(rank)
            if self._scene.is_free(*place):
                return place
            if tries == _PATIENCE:
                self._drop_blocked()
                return self.draw()
        return None

    def _shuffled(self) -> Iterator[int]:
        return draw_distinct(self._pixels.count, self._pixels.count, self._scene.rng)

    def _drop_blocked(self) -> None:
        """Keep only pixels far enough from all clicks, which excludes those drawn before."""
        rows, cols = self._pixels.pixels()
        free = self._scene.are_free(rows, cols)
        self._pixels = _RunRanks(rows[free], cols[free], np.ones(np.count_nonzero(free), np.int64))
        self._ranks = self._shuffled()


def _draw_all(pool: _Pool) -> Iterator[Candidate]:
    while place := pool.draw():
        yield Candidate(*place)


def _pools(scene: Scene, values: NDArray[Any], nothing: int) -> list[_Pool]:
    """A pool for each value except ``nothing``, in ascending order."""
    runs = find_runs(values)
    order = np.argsort(runs.values, kind="stable")
    order = order[runs.values[order] != nothing]
    bounds = np.flatnonzero(np.diff(runs.values[order])) + 1
    lengths = runs.lengths
    return [
        _Pool(scene, _RunRanks(runs.rows[part], runs.starts[part], lengths[part]), int(runs.values[part[0]]))
        for part in np.split(order, bounds)
        if len(part)
    ]


def _in_rounds(pools: list[_Pool], rng: ImageStream) -> Iterator[tuple[int, _Pool, tuple[int, int]]]:
    """Draw from each pool once, in random order, and repeat until all are empty."""
    round_ = 0
    while pools:
        pools = [pools[index] for index in draw_distinct(len(pools), len(pools), rng)]
        left = []
        for pool in pools:
            if place := pool.draw():
                left.append(pool)
                yield round_, pool, place
        pools, round_ = left, round_ + 1
