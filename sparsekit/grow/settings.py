"""Settings of growing. Does not import NumPy, so that the command line lists the choices quickly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sparsekit.arguments import as_whole_number


@dataclass(frozen=True)
class Method:
    """A method and its default settings.

    Args:
        where: Its implementation, as ``module:function`` in this package.
        confidence: See ``GrowSettings``.
        max_size: See ``GrowSettings``.
        max_distance: See ``GrowSettings``; None for a method that measures no distance.
    """

    where: str
    confidence: float
    max_size: int
    max_distance: float | None = None


# Tuned on training images of two datasets so that nine in ten labels are right; see docs/annotations.md.
METHODS: dict[str, Method] = {
    "superpixels": Method("superpixels:grow_superpixels", 0.6, 1024, 10.0),
    "geodesic": Method("geodesic:grow_geodesic", 0.6, 1024, 40.0),
    "random-walker": Method("random_walker:grow_random_walker", 0.8, 512),
}


@dataclass(frozen=True)
class GrowSettings:
    """How labels are grown; omitted values are the method's defaults.

    Args:
        method: A key of ``METHODS``.
        max_distance: Longest distance that labels spread, in units of CIELAB: the colour change along the path.
        confidence: Minimum confidence of a label, 0..1. ``superpixels`` and ``geodesic`` compare the distances to the
            two nearest classes (see ``nearest_class``), ``random-walker`` takes probabilities.
        max_size: Longer side in pixels to which larger images are scaled down.

    Raises:
        ValueError: If the method is unknown, a number is out of range, or ``max_distance`` is given for a method
            without distances.
    """

    method: str = "superpixels"
    max_distance: float | None = None
    confidence: float | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"Unknown method '{self.method}'. Choose from: {', '.join(METHODS)}.")
        usual = METHODS[self.method]
        if self.max_distance is None:
            object.__setattr__(self, "max_distance", usual.max_distance)
        elif usual.max_distance is None:
            raise ValueError(f"max_distance does not apply to {self.method}; use confidence instead.")
        elif not 0 <= self.max_distance < math.inf:
            raise ValueError(f"max_distance must be a number of at least 0, got {self.max_distance}.")
        confidence = usual.confidence if self.confidence is None else self.confidence
        if not 0 <= confidence <= 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {confidence}.")
        object.__setattr__(self, "confidence", confidence)
        max_size = usual.max_size if self.max_size is None else as_whole_number("max_size", self.max_size, least=1)
        object.__setattr__(self, "max_size", max_size)

    def to_dict(self) -> dict[str, Any]:
        """For ``manifest.json``."""
        distance = {} if self.max_distance is None else {"max_distance": self.max_distance}
        return {"method": self.method, **distance, "confidence": self.confidence, "max_size": self.max_size}
