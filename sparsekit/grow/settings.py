"""Settings of growing. Imports no NumPy, so that the command line lists the choices at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sparsekit.arguments import as_whole_number


@dataclass(frozen=True)
class Method:
    """A method and its default settings.

    Args:
        where: Its function, as ``module:function`` in this package.
        confidence: See ``GrowSettings``.
        max_size: See ``GrowSettings``.
        max_distance: See ``GrowSettings``; None for a method that measures no distance.
    """

    where: str
    confidence: float
    max_size: int
    max_distance: float | None = None


# Chosen on training images of two datasets, for nine labels in ten to be right; see docs/annotations.md.
METHODS: dict[str, Method] = {
    "superpixels": Method("superpixels:grow_superpixels", 0.6, 1024, 10.0),
    "geodesic": Method("geodesic:grow_geodesic", 0.6, 1024, 40.0),
    "random-walker": Method("random_walker:grow_random_walker", 0.8, 512),
}


@dataclass(frozen=True)
class GrowSettings:
    """How labels are grown; what is not given is as the method has it.

    Args:
        method: A key of ``METHODS``.
        max_distance: How far labels spread at most, in units of CIELAB: how much the colour may change on the way.
        confidence: How sure a label must be, 0..1. ``superpixels`` and ``geodesic`` compare the distances to the two
            nearest classes (see ``nearest_class``), ``random-walker`` takes probabilities.
        max_size: Work on the image scaled down to at most this long a side, in pixels.

    Raises:
        ValueError: If there is no such method, a number is out of range, or ``max_distance`` is given for a method that
            measures none.
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
            raise ValueError(f"max_distance has no meaning for {self.method}; confidence alone limits it.")
        elif not 0 <= self.max_distance < math.inf:
            raise ValueError(f"max_distance must be a number from 0 on, got {self.max_distance}.")
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
