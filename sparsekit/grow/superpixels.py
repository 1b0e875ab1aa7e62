"""Propagate labels from superpixel to superpixel along the path with the least colour change."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from skimage.segmentation import slic

from data_manifests.figures.drawing import Image
from sparsekit.grow.seeds import Seeds, nearest_class, to_lab

#: Number of superpixels per image, independent of its size.
NUM_SUPERPIXELS = 2000


def grow_superpixels(image: Image, seeds: Seeds, max_distance: float, confidence: float) -> NDArray[np.int64]:
    """Assign each SLIC superpixel the class with the smallest colour distance.

    The distance between two adjacent superpixels is that of their mean CIELAB colours; the distance of a superpixel to
    a class is the shortest path to a superpixel that holds a label of it. A superpixel with labels of two classes has
    distance 0 to both, so it stays unlabelled, as do superpixels that are reached only through it.

    Args:
        image: RGB, shape (H, W, 3).
        seeds: At least one label.
        max_distance: Longest path, in units of CIELAB.
        confidence: See ``nearest_class``.

    Returns:
        Index of the class of each pixel, -1 for none, shape (H, W).

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
    """Graph of adjacent segments, weighted by the distance of their mean colours.

    Args:
        segments: Segment of each pixel, counted from 0, shape (H, W).
        lab: Colours, shape (H, W, 3).

    Returns:
        Sparse matrix, shape (S, S); each edge once, from the smaller index to the larger.
    """
    num = int(segments.max()) + 1
    sizes = np.bincount(segments.ravel(), minlength=num)
    means = np.stack([np.bincount(segments.ravel(), lab[..., i].ravel(), num) / sizes for i in range(3)], axis=1)
    across = np.stack([segments[:, :-1].ravel(), segments[:, 1:].ravel()], axis=1)
    down = np.stack([segments[:-1].ravel(), segments[1:].ravel()], axis=1)
    pairs = np.sort(np.concatenate([across, down]), axis=1).astype(np.int64)
    codes = np.unique((pairs[:, 0] * num + pairs[:, 1])[pairs[:, 0] != pairs[:, 1]])
    start, end = (codes // num).astype(np.int32), (codes % num).astype(np.int32)  # scipy 1.11 takes no wider indices
    return csr_array((np.linalg.norm(means[start] - means[end], axis=1), (start, end)), shape=(num, num))
