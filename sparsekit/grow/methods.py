"""Ways to grow the labels of an image, by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap
from data_manifests.figures.drawing import Image
from sparsekit.arguments import as_whole_number
from sparsekit.grow.geodesic import grow_geodesic
from sparsekit.grow.random_walker import grow_random_walker
from sparsekit.grow.seeds import Seeds
from sparsekit.grow.superpixels import grow_superpixels

#: Grows the labels of an image of shape (H, W, 3); see ``grow_superpixels``.
Grow = Callable[[Image, Seeds, float, float], NDArray[np.int64]]


@dataclass(frozen=True)
class Method:
    """A way to grow labels, and its settings where nobody gives others.

    Args:
        grow: Does it.
        confidence: See ``GrowSettings``.
        max_size: Likewise.
        max_distance: Likewise; None for a way that measures no distance.
    """

    grow: Grow
    confidence: float
    max_size: int
    max_distance: float | None = None


# Chosen on training images of two datasets, for nine labels in ten to be right; see docs/annotations.md.
METHODS: dict[str, Method] = {
    "superpixels": Method(grow_superpixels, 0.6, 1024, 10.0),
    "geodesic": Method(grow_geodesic, 0.6, 1024, 40.0),
    "random-walker": Method(grow_random_walker, 0.8, 512),
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


def grow_labels(sparse: LabelMap, image: Image, unlabelled: int, settings: GrowSettings | None = None) -> LabelMap:
    """Grow the labels of an image as far as that is safe; labels that are there stay as they are.

    Args:
        sparse: Sparse label map, shape (H, W).
        image: RGB, shape (H, W, 3).
        unlabelled: The value of pixels without label.
        settings: How.

    Returns:
        Label map, shape (H, W), with ``unlabelled`` wherever no label is safe.
    """
    settings = settings or GrowSettings()
    height, width = sparse.shape
    scale = min(1.0, (settings.max_size or 0) / max(height, width))
    small = (max(round(height * scale), 1), max(round(width * scale), 1))
    seeds = Seeds.of(sparse, unlabelled, small)
    if not len(seeds.classes):
        return sparse.copy()
    if small != (height, width):
        image = cv2.resize(image, (small[1], small[0]), interpolation=cv2.INTER_AREA).astype(np.uint8)
    grown = METHODS[settings.method].grow(image, seeds, settings.max_distance or 0.0, settings.confidence or 0.0)
    back = np.ix_(np.arange(height) * small[0] // height, np.arange(width) * small[1] // width)
    values = np.append(seeds.classes, unlabelled).astype(sparse.dtype)  # -1 is the last
    return np.where(sparse != unlabelled, sparse, values[grown[back]])
