"""Ways to choose clicks beyond uniform ones, and the ways in which real clicks differ from ideal ones.

A strategy draws one click after the other without an end, so a smaller budget is always the beginning of a larger one.
Which paper a strategy comes from is in docs/annotations.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap, Mark
from sparsekit.clicks import draw_distinct
from sparsekit.polylines import Bools, Ints
from sparsekit.randomness import ImageStream
from sparsekit.regions import distances_by_region, find_regions, find_runs, squared

#: Candidates refused one after the other before the places still free are listed.
_PATIENCE = 200
#: Tries to slip to a pixel without a click.
_SLIPS = 20


@dataclass(frozen=True)
class ClickSettings:
    """How clicks are chosen, and what goes wrong with them.

    Args:
        strategy: A name of ``STRATEGIES``.
        margin: No click nearer than this to a pixel of another class or void, in pixels; in regions that are nowhere
            so far from others, the farthest pixels are clicked.
        jitter: The hand slips by up to so many pixels; the label stays what the annotator meant.
        wrong: Share of clicks with a wrong label, drawn from the other classes of the image.
        min_distance: Smallest distance between two clicks of an image, in pixels, before they slip.

    Raises:
        ValueError: If a setting is out of its range.
    """

    strategy: str = "uniform"
    margin: int = 0
    jitter: int = 0
    wrong: float = 0.0
    min_distance: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"Unknown strategy '{self.strategy}'. Choose from: {', '.join(STRATEGIES)}.")
        for name in ("margin", "jitter", "min_distance"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")
        if not 0 <= self.wrong <= 1:
            raise ValueError(f"wrong must be a share between 0 and 1, got {self.wrong}.")

    @property
    def budget_name(self) -> str:
        """What a budget counts: ``clicks_per_image``, ``clicks_per_class`` or ``clicks_per_instance``."""
        return f"clicks_per_{STRATEGIES[self.strategy][1]}"


def draw_clicks(
    label_map: LabelMap,
    budget: int,
    settings: ClickSettings,
    *,
    rng: ImageStream,
    unlabelled_value: int = 255,
    instances: LabelMap | None = None,
) -> list[tuple[int, Mark]]:
    """Choose clicks by a strategy.

    Args:
        label_map: Train ids, shape (H, W).
        budget: Clicks wanted, counted as ``settings.budget_name`` says; fewer come where there is no more room.
        settings: See there.
        rng: The image's own random stream; equal streams give equal clicks. Slips and wrong labels take theirs from
            branches of it, so they leave the clicks meant as they are.
        unlabelled_value: The value of void pixels, which are never meant to be clicked.
        instances: For ``per-instance``: true instances, shape (H, W), 0 where there are none.

    Returns:
        Each click with the smallest budget that holds it, in the order drawn.

    Raises:
        ValueError: If ``label_map`` is not two-dimensional or ``budget`` is below 1.
    """
    if label_map.ndim != 2:
        raise ValueError(f"Expected label_map of shape (H, W), got {label_map.shape}; is this a colour-coded map?")
    if budget < 1:
        raise ValueError(f"{settings.budget_name} must be at least 1, got {budget}.")
    allowed = _far_from_others(label_map, settings.margin, unlabelled_value)
    scene = _Scene(label_map, unlabelled_value, instances, allowed, settings.min_distance, rng)
    slips = _Slips(label_map, unlabelled_value, settings, rng)
    draw, unit = STRATEGIES[settings.strategy]
    clicks: list[tuple[int, Mark]] = []
    for candidate in draw(scene):
        smallest = len(clicks) + 1 if unit == "image" else candidate.round + 1
        if smallest > budget:
            break
        place = (candidate.row, candidate.col)
        scene.taken.append(place)
        click = Mark("click", int(label_map[place]), candidate.row, candidate.col, region=candidate.region)
        clicks.append((smallest, slips.apply(click)))
    return clicks


def _far_from_others(label_map: LabelMap, margin: int, unlabelled_value: int) -> Bools | None:
    """Pixels at least ``margin`` from other classes and void; of regions that have none, their farthest pixels."""
    if margin <= 1:  # every pixel is as far as 1
        return None
    allowed = np.zeros(label_map.shape, bool)
    regions = find_regions(label_map, unlabelled_value)
    for number, distances in distances_by_region(regions, image_edge=False):
        top, left, bottom, right = regions.boxes[number].tolist()
        needed = min(margin**2, int(squared(distances.max())))
        # Between the whole numbers of squared distances, so that the last bit of a root does not matter.
        allowed[top:bottom, left:right] |= distances >= np.float32(np.sqrt(needed - 0.5))
    return allowed


@dataclass(frozen=True)
class _Scene:
    """What a strategy draws from, and the clicks taken so far; ``allowed`` is None where only void is not."""

    label_map: LabelMap
    unlabelled_value: int
    instances: LabelMap | None
    allowed: Bools | None
    min_distance: int
    rng: ImageStream
    taken: list[tuple[int, int]] = field(default_factory=list)

    def are_free(self, rows: Ints, cols: Ints) -> Bools:
        """Whether places are far enough from all clicks."""
        free = np.ones(len(rows), bool)
        if self.min_distance:
            for row, col in self.taken:
                free &= (rows - row) ** 2 + (cols - col) ** 2 >= self.min_distance**2
        return free

    def is_free(self, row: int, col: int) -> bool:
        """Whether a place is far enough from all clicks."""
        square = self.min_distance**2
        return not square or all((row - r) ** 2 + (col - c) ** 2 >= square for r, c in self.taken)


@dataclass(frozen=True)
class _Candidate:
    """A click that a strategy proposes; ``round`` counts the clicks on its class or instance before it."""

    row: int
    col: int
    round: int = 0
    region: int = -1


def _draw_uniform(scene: _Scene) -> Iterator[_Candidate]:
    """Each allowed pixel equally likely."""
    everything = np.where(np.equal(scene.label_map, scene.unlabelled_value), np.uint8(1), np.uint8(0))
    for pool in _pools(scene, everything, nothing=1):
        while place := pool.draw():
            yield _Candidate(*place)


def _draw_by_class(scene: _Scene) -> Iterator[_Candidate]:
    """Every class gets a click before any gets the next; within a class each allowed pixel is equally likely."""
    for round_, _, place in _in_rounds(_pools(scene, scene.label_map, scene.unlabelled_value), scene.rng):
        yield _Candidate(*place, round_)


def _draw_by_instance(scene: _Scene) -> Iterator[_Candidate]:
    """Every instance, or region where there are none, gets a click before any gets the next."""
    numbers = find_regions(scene.label_map, scene.unlabelled_value, scene.instances).numbers
    for round_, pool, place in _in_rounds(_pools(scene, numbers, nothing=-1), scene.rng):
        yield _Candidate(*place, round_, pool.value)


def _draw_central(scene: _Scene) -> Iterator[_Candidate]:
    """Each allowed pixel as likely as it is far from other classes and void, in steps to the side, at most 255."""
    weights = _steps_to_others(scene.label_map)
    weights[np.equal(scene.label_map, scene.unlabelled_value) if scene.allowed is None else ~scene.allowed] = 0
    in_rows = weights.sum(1, dtype=np.int64)
    refused = 0
    while total := int(in_rows.sum()):
        until = np.cumsum(in_rows)
        chance = scene.rng.below(total)
        row = int(np.searchsorted(until, chance, side="right"))
        until_col = np.cumsum(weights[row], dtype=np.int64) + (until[row] - in_rows[row])
        col = int(np.searchsorted(until_col, chance, side="right"))
        if scene.is_free(row, col):
            refused = 0
            yield _Candidate(row, col)
            in_rows[row] -= weights[row, col]
            weights[row, col] = 0
        elif (refused := refused + 1) == _PATIENCE:
            refused = 0
            rows, cols = np.nonzero(weights)
            blocked = ~scene.are_free(rows, cols)
            weights[rows[blocked], cols[blocked]] = 0
            in_rows = weights.sum(1, dtype=np.int64)


def _steps_to_others(label_map: LabelMap) -> NDArray[np.uint8]:
    """Steps up, down, left or right from each pixel to the nearest of another value, 255 for more."""
    borders = np.ones(label_map.shape, np.uint8)
    below, beside = label_map[1:] == label_map[:-1], label_map[:, 1:] == label_map[:, :-1]
    for side, equal in (
        (borders[1:], below),
        (borders[:-1], below),
        (borders[:, 1:], beside),
        (borders[:, :-1], beside),
    ):
        side &= equal
    if borders.all():
        return np.full(label_map.shape, 255, np.uint8)
    # A pixel at a border has a neighbour of another value: one step more than to the nearest such pixel.
    steps = cv2.distanceTransform(borders, cv2.DIST_L1, 3)
    return np.minimum(steps, 254).astype(np.uint8) + np.uint8(1)


class _Pool:
    """The allowed pixels of one class or region, drawn one after the other, each of those left equally likely."""

    def __init__(self, scene: _Scene, value: int, rows: Ints, starts: Ints, lengths: Ints) -> None:
        self.value = value
        self._scene = scene
        self._rows, self._starts = rows, starts
        self._until = np.cumsum(lengths)
        self._ranks = self._shuffled()

    def draw(self) -> tuple[int, int] | None:
        """The next pixel far enough from all clicks; None if there is no more."""
        for tries, rank in enumerate(self._ranks, start=1):
            place = self._locate(rank)
            if self._scene.is_free(*place):
                return place
            if tries == _PATIENCE:
                self._drop_blocked()
                return self.draw()
        return None

    def _shuffled(self) -> Iterator[int]:
        count = int(self._until[-1]) if len(self._until) else 0
        return draw_distinct(count, count, self._scene.rng)

    def _locate(self, rank: int) -> tuple[int, int]:
        run = int(np.searchsorted(self._until, rank, side="right"))
        return int(self._rows[run]), int(self._starts[run]) + rank - int(self._until[run - 1] if run else 0)

    def _drop_blocked(self) -> None:
        """Keep only pixels far enough from all clicks; those drawn before are too near to themselves."""
        lengths = np.diff(self._until, prepend=0)
        rows = np.repeat(self._rows, lengths)
        cols = np.arange(len(rows)) + np.repeat(self._starts - self._until + lengths, lengths)
        free = self._scene.are_free(rows, cols)
        self._rows, self._starts = rows[free], cols[free]
        self._until = np.arange(1, len(self._rows) + 1)
        self._ranks = self._shuffled()


def _pools(scene: _Scene, values: LabelMap | NDArray[np.int32], nothing: int) -> list[_Pool]:
    """A pool for each value but ``nothing`` that occurs on allowed pixels, by ascending value."""
    if scene.allowed is not None:
        values = values.copy()
        values[~scene.allowed] = nothing
    runs = find_runs(values)
    order = np.argsort(runs.values, kind="stable")
    order = order[runs.values[order] != nothing]
    bounds = np.flatnonzero(np.diff(runs.values[order])) + 1
    lengths = runs.lengths
    return [
        _Pool(scene, int(runs.values[part[0]]), runs.rows[part], runs.starts[part], lengths[part])
        for part in np.split(order, bounds)
        if len(part)
    ]


def _in_rounds(pools: list[_Pool], rng: ImageStream) -> Iterator[tuple[int, _Pool, tuple[int, int]]]:
    """Draw from each pool once, in random order, then again, until all are empty."""
    round_ = 0
    while pools:
        pools = [pools[index] for index in draw_distinct(len(pools), len(pools), rng)]
        left = []
        for pool in pools:
            if place := pool.draw():
                left.append(pool)
                yield round_, pool, place
        pools, round_ = left, round_ + 1


class _Slips:
    """Moves clicks off the pixel that was meant, and gives some of them a wrong label."""

    def __init__(self, label_map: LabelMap, unlabelled_value: int, settings: ClickSettings, rng: ImageStream) -> None:
        self._shape = label_map.shape
        self._jitter, self._wrong = settings.jitter, settings.wrong
        self._jitter_rng, self._label_rng = rng.branch("jitter"), rng.branch("wrong")
        self._classes = [c for c in np.unique(label_map).tolist() if c != unlabelled_value] if settings.wrong else []
        self._used: set[tuple[int, int]] = set()

    def apply(self, click: Mark) -> Mark:
        """The click as it was made."""
        row, col = self._slip(click.row, click.col) if self._jitter else (click.row, click.col)
        class_id = click.class_id
        if self._wrong and self._label_rng.uniform() < self._wrong:
            others = [c for c in self._classes if c != class_id]
            class_id = others[self._label_rng.below(len(others))] if others else class_id
        return replace(click, row=row, col=col, class_id=class_id)

    def _slip(self, row: int, col: int) -> tuple[int, int]:
        side = 2 * self._jitter + 1
        place = row, col
        for _ in range(_SLIPS):
            down, right = (self._jitter_rng.below(side) - self._jitter for _ in range(2))
            inside = 0 <= row + down < self._shape[0] and 0 <= col + right < self._shape[1]
            if down**2 + right**2 <= self._jitter**2 and inside and (row + down, col + right) not in self._used:
                place = row + down, col + right
                break
        self._used.add(place)
        return place


#: Strategies by name: how clicks are drawn, and what a budget counts them by.
STRATEGIES: dict[str, tuple[Callable[[_Scene], Iterator[_Candidate]], str]] = {
    "uniform": (_draw_uniform, "image"),
    "class-balanced": (_draw_by_class, "image"),
    "per-class": (_draw_by_class, "class"),
    "per-instance": (_draw_by_instance, "instance"),
    "center": (_draw_central, "image"),
}
