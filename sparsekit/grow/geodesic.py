"""Labels spread from pixel to pixel, along the path on which the colour changes least."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric

from data_manifests.figures.drawing import Image
from sparsekit.grow.seeds import Seeds, nearest_class, to_lab

#: What a step of one pixel over even colour adds to a path, in units of CIELAB.
STEP_COST = 0.2


def grow_geodesic(image: Image, seeds: Seeds, max_distance: float, confidence: float) -> NDArray[np.int64]:
    """Give pixels the class whose labels are nearest by colour.

    A path is as long as the colour changes along it (gradient of CIELAB by Sobel, per pixel), and ``STEP_COST`` for
    each pixel. Dijkstra's algorithm over all pixels and their eight neighbours is scikit-image's ``MCP_Geometric``,
    once for each class. Takes and returns what ``grow_superpixels`` does.
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
    """Cost of each pixel on a path, shape (H, W)."""
    # The Sobel kernel sums to 8 times the difference per pixel.
    steps = [cv2.Sobel(lab, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1))]
    gradient: NDArray[np.float64] = np.sqrt(sum((step.astype(np.float64) ** 2).sum(axis=2) for step in steps))
    return gradient + STEP_COST
