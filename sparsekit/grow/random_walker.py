"""Propagate labels by random walks that rarely cross edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.segmentation import random_walker

from data_manifests.figures.drawing import Image
from sparsekit.grow.seeds import Seeds, to_lab

#: Edge weight of the walker; larger values make walks cross edges less often.
BETA = 1000.0


def grow_random_walker(image: Image, seeds: Seeds, max_distance: float, confidence: float) -> NDArray[np.int64]:
    """Assign each pixel the class at whose labels a random walk from it most likely ends.

    A pixel gets a label if that probability is at least ``confidence``. Pixels with labels of two classes are ignored.
    With labels of a single class every walk ends there, which is uninformative: then only the given labels are kept.
    ``max_distance`` is ignored. Arguments and result are those of ``grow_superpixels``.

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
    # Direct solver: conjugate gradients take seven times as long and err by 0.2 or more on steep edges.
    probabilities = random_walker(
        to_lab(image) / 100, numbers, beta=BETA, mode="bf", channel_axis=-1, return_full_prob=True,
        prob_tol=np.inf,  # steep edges leave residues outside 0..1, about which it would warn
    )  # fmt: skip
    best: NDArray[np.int64] = found[probabilities.argmax(axis=0)]
    return np.where(known >= 0, known, np.where(probabilities.max(axis=0) >= confidence, best, -1))
