"""Labels spread by random walks that rarely cross edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import random_walker

from data_manifests.figures.drawing import Image
from sparsekit.grow.seeds import Seeds, to_lab

#: How rarely a walk crosses an edge.
BETA = 1000.0


def grow_random_walker(image: Image, seeds: Seeds, max_distance: float, confidence: float) -> NDArray[np.int64]:
    """Give pixels the class at whose labels a random walk from there most likely ends.

    A pixel gets a label if that probability is at least ``confidence``. Labels of two classes on one pixel are passed
    over. With labels of one class alone every walk ends there, which says nothing: then only the labels stay.
    ``max_distance`` plays no part. Takes and returns what ``grow_superpixels`` does.

    References:
        Grady, "Random walks for image segmentation", PAMI 2006.
    """
    known = np.full(image.shape[:2], -1, np.int64)
    known[seeds.rows, seeds.cols] = seeds.labels
    clash = known[seeds.rows, seeds.cols] != seeds.labels
    known[seeds.rows[clash], seeds.cols[clash]] = -1
    found = np.unique(known[known >= 0])
    if len(found) < 2 or (known >= 0).all():
        return known
    numbers = np.where(known >= 0, np.searchsorted(found, known) + 1, 0)  # the walker counts from 1, and 0 is unknown
    # Solved directly: conjugate gradients take seven times as long and are off by 0.2 and more on steep edges.
    probabilities = random_walker(
        to_lab(image) / 100, numbers, beta=BETA, mode="bf", channel_axis=-1, return_full_prob=True,
        prob_tol=np.inf,  # steep edges leave residues beyond 0 and 1, of which it would warn
    )  # fmt: skip
    best: NDArray[np.int64] = found[probabilities.argmax(axis=0)]
    return np.where(known >= 0, known, np.where(probabilities.max(axis=0) >= confidence, best, -1))
