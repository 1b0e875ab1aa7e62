"""Realistic clicks: drawn by a strategy, away from borders and from each other, with jitter and wrong labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from data_manifests import LabelMap, Mark
from data_manifests.label_maps import as_label_map
from sparsekit.arguments import as_whole_number
from sparsekit.clicks import strategies
from sparsekit.clicks.guides import Guidance
from sparsekit.clicks.settings import GUIDED, STRATEGIES, ClickSettings
from sparsekit.clicks.strategies import Scene
from sparsekit.geometry.polylines import Bools
from sparsekit.geometry.regions import distances_by_region, far_from_other_values, find_regions, squared
from sparsekit.randomness import ImageStream, require_stream

#: Attempts to move a click to a pixel without one.
_SLIPS = 20


#: Above this margin, distances within each region's box are faster than checking around each pixel.
_SMALL_MARGIN = 32


def draw_clicks(
    label_map: LabelMap,
    budget: int,
    settings: ClickSettings,
    *,
    rng: ImageStream,
    unlabelled_value: int = 255,
    instances: LabelMap | None = None,
    guidance: Guidance | None = None,
    labelled: Bools | None = None,
) -> list[tuple[int, Mark]]:
    """Draw clicks with a strategy.

    Args:
        label_map: Train ids of any integer type, shape (H, W).
        budget: Number of clicks, in the unit ``settings.budget_name``; fewer if there is no room for more.
        settings: Strategy, distances and errors.
        rng: The image's random stream; equal streams give equal clicks. Jitter and wrong labels use branches of it,
            so they do not change the original clicks.
        unlabelled_value: The value of void pixels, which strategies never choose.
        instances: For ``per-instance``, instance numbers, shape (H, W), 0 outside instances.
        guidance: For ``uncertain`` and ``corrective``, what a network says about the image; see
            ``sparsekit.clicks.guides``.
        labelled: Pixels that have a label already, shape (H, W). They are not clicked, and ``settings.min_distance``
            applies to them too.

    Returns:
        Each click with the smallest budget that contains it, in drawing order.

    Raises:
        ValueError: If ``label_map`` is not an array of ids of shape (H, W), ``budget`` is below 1, or the strategy
            needs ``guidance`` and there is none.
    """
    label_map = as_label_map(label_map)
    require_stream(rng)
    budget = as_whole_number(settings.budget_name, budget, least=1)
    if settings.strategy in GUIDED and guidance is None:
        raise ValueError(f"Strategy {settings.strategy} needs the {GUIDED[settings.strategy]} of a network.")
    allowed = _far_from_others(label_map, settings.margin, unlabelled_value)
    taken: list[tuple[int, int]] = []
    if labelled is not None:
        allowed = (label_map != unlabelled_value if allowed is None else allowed) & ~labelled
        taken = [(row, col) for row, col in np.argwhere(labelled).tolist()] if settings.min_distance else []
    scene = Scene(label_map, unlabelled_value, instances, allowed, settings.min_distance, rng, taken, guidance)
    slips = _Slips(label_map, unlabelled_value, settings, rng)
    function, unit = STRATEGIES[settings.strategy]
    draw = getattr(strategies, function)
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
    """Pixels at least ``margin`` from other classes and void; in regions without any, their farthest pixels."""
    if margin <= 1:  # every pixel is at least 1 away
        return None
    regions = find_regions(label_map, unlabelled_value)
    unreached = np.ones(len(regions), bool)
    if margin <= _SMALL_MARGIN:
        allowed = far_from_other_values(label_map, margin**2)
        allowed &= label_map != unlabelled_value
        pixels = allowed.ravel()
        begins = np.empty_like(pixels)  # starts of runs of allowed pixels; each run lies in one region
        np.greater(pixels[1:], pixels[:-1], out=begins[1:])
        begins.reshape(allowed.shape)[:, :1] = allowed[:, :1]
        unreached[regions.numbers.ravel()[np.flatnonzero(begins)]] = False
    else:
        allowed = np.zeros(label_map.shape, bool)
    for number, distances in distances_by_region(regions, np.flatnonzero(unreached), image_edge=False):
        top, left, bottom, right = regions.boxes[number].tolist()
        needed = min(margin**2, int(squared(distances.max())))
        # Squared distances are integers; a threshold between two of them ignores the root's last bit.
        allowed[top:bottom, left:right] |= distances >= np.float32(np.sqrt(needed - 0.5))
    return allowed


class _Slips:
    """Displaces clicks, and gives some of them a wrong label."""

    def __init__(self, label_map: LabelMap, unlabelled_value: int, settings: ClickSettings, rng: ImageStream) -> None:
        self._shape = label_map.shape
        self._jitter, self._wrong = settings.jitter, settings.wrong
        self._jitter_rng, self._label_rng = rng.branch("jitter"), rng.branch("wrong")
        self._classes = [c for c in np.unique(label_map).tolist() if c != unlabelled_value] if settings.wrong else []
        self._used: set[tuple[int, int]] = set()

    def apply(self, click: Mark) -> Mark:
        """Return the click after jitter and label errors."""
        if not self._jitter and not self._wrong:
            return click
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
