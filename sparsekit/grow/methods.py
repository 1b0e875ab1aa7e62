"""Grow the labels of an image."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap
from data_manifests.figures.drawing import Image
from sparsekit.grow.seeds import Seeds
from sparsekit.grow.settings import METHODS, GrowSettings

#: Grows the labels of an image of shape (H, W, 3); see ``grow_superpixels``.
Grow = Callable[[Image, Seeds, float, float], NDArray[np.int64]]


def grow_labels(sparse: LabelMap, image: Image, unlabelled: int, settings: GrowSettings | None = None) -> LabelMap:
    """Grow the labels of an image where that is reliable; existing labels are kept.

    Args:
        sparse: Sparse label map, shape (H, W).
        image: RGB, shape (H, W, 3).
        unlabelled: Value of unlabelled pixels.
        settings: Growing method and limits.

    Returns:
        Label map, shape (H, W), with ``unlabelled`` where no label is reliable.
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
    grown = _grower(settings.method)(image, seeds, settings.max_distance or 0.0, settings.confidence or 0.0)
    back = np.ix_(np.arange(height) * small[0] // height, np.arange(width) * small[1] // width)
    values = np.append(seeds.classes, unlabelled).astype(sparse.dtype)  # -1 is the last
    return np.where(sparse != unlabelled, sparse, values[grown[back]])


def _grower(method: str) -> Grow:
    module, _, name = METHODS[method].where.partition(":")
    grow: Grow = getattr(import_module(f"sparsekit.grow.{module}"), name)
    return grow
