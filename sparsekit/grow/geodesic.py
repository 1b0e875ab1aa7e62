"""Propagate labels from pixel to pixel along the path with the least colour change."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric

from data_manifests.figures.drawing import Image
from sparsekit.grow.seeds import Seeds, nearest_class, to_lab

#: Path cost of a one-pixel step over uniform colour, in units of CIELAB.
STEP_COST = 0.2


def grow_geodesic(image: Image, seeds: Seeds, max_distance: float, confidence: float) -> NDArray[np.int64]:
    """Assign each pixel the class with the smallest geodesic colour distance.

    The length of a path is the colour change along it (Sobel gradient of CIELAB, per pixel) plus ``STEP_COST`` per
    pixel. Dijkstra's algorithm over all pixels and their eight neighbours is scikit-image's ``MCP_Geometric``,
    run once per class. Arguments and result are those of ``grow_superpixels``.
    """
    costs = step_costs(to_lab(image))
    places = np.stack([seeds.rows, seeds.cols], axis=1)
    distances = np.stack(
        [
            MCP_Geometric(costs).find_costs(np.unique(places[seeds.labels == k], axis=0))[0]
            for k in range(len(seeds.classes))
        ]
    )
    return nearest_class(distances, max_distance, confidence)


def step_costs(lab: NDArray[np.float32]) -> NDArray[np.float64]:
    """Path cost of each pixel, shape (H, W)."""
    # The Sobel kernel sums to 8 times the difference per pixel.
    steps = [cv2.Sobel(lab, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1))]
    gradient: NDArray[np.float64] = np.sqrt(sum((step.astype(np.float64) ** 2).sum(axis=2) for step in steps))
    return gradient + STEP_COST
