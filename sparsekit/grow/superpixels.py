"""Labels spread from superpixel to superpixel, along the path on which the colour changes least."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from skimage.segmentation import slic

from data_manifests.figures.drawing import Image
from sparsekit.grow.seeds import Seeds, nearest_class, to_lab

#: Superpixels of an image, whatever its size.
NUM_SUPERPIXELS = 2000


def grow_superpixels(image: Image, seeds: Seeds, max_distance: float, confidence: float) -> NDArray[np.int64]:
    """Give SLIC superpixels the class whose labels are nearest by colour.

    A step between two adjacent superpixels is as long as their mean CIELAB colours are apart, and the distance of a
    superpixel to a class is the shortest path to a superpixel that holds a label of it. A superpixel with labels of two
    classes is at distance 0 from both, so it stays without label, and so does what only it leads to.

    Args:
        image: RGB, shape (H, W, 3).
        seeds: At least one label.
        max_distance: Longest path, in units of CIELAB.
        confidence: See ``nearest_class``.

    Returns:
        Position of the class of each pixel, -1 where there is none, shape (H, W).

    References:
        Achanta et al., "SLIC superpixels compared to state-of-the-art superpixel methods", PAMI 2012.
    """
    segments = slic(image, n_segments=NUM_SUPERPIXELS, start_label=0)
    graph = colour_graph(segments, to_lab(image))
    at = segments[seeds.rows, seeds.cols]
    distances = np.stack(
        [
            dijkstra(graph, directed=False, indices=np.unique(at[seeds.labels == k]), min_only=True)
            for k in range(len(seeds.classes))
        ]
    )
    of_pixels: NDArray[np.int64] = nearest_class(distances, max_distance, confidence)[segments]
    return of_pixels


def colour_graph(segments: NDArray[np.int64], lab: NDArray[np.float32]) -> csr_array:
    """A graph of adjacent segments, each edge as long as their mean colours are apart.

    Args:
        segments: Number of each pixel's segment, from 0 on, shape (H, W).
        lab: Colours, shape (H, W, 3).

    Returns:
        Shape (S, S), each edge once, from the smaller number to the larger.
    """
    num = int(segments.max()) + 1
    sizes = np.bincount(segments.ravel(), minlength=num)
    means = np.stack([np.bincount(segments.ravel(), lab[..., i].ravel(), num) / sizes for i in range(3)], axis=1)
    across = np.stack([segments[:, :-1].ravel(), segments[:, 1:].ravel()], axis=1)
    down = np.stack([segments[:-1].ravel(), segments[1:].ravel()], axis=1)
    pairs = np.sort(np.concatenate([across, down]), axis=1).astype(np.int64)
    codes = np.unique((pairs[:, 0] * num + pairs[:, 1])[pairs[:, 0] != pairs[:, 1]])
    start, end = codes // num, codes % num
    return csr_array((np.linalg.norm(means[start] - means[end], axis=1), (start, end)), shape=(num, num))
