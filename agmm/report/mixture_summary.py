"""Statistics of the Gaussians of many images, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from agmm.report.predictions import FittedMixture


@dataclass(frozen=True)
class ClassMixture:
    """The Gaussians of one class.

    Args:
        class_id: The train id.
        num_images: Number of images in which the class is labelled.
        num_labelled: Labelled pixels behind the prototypes.
        variance: Median over the images.
        variance_range: 10th and 90th percentile over the images.
        spread: Root mean square distance of the images' prototypes from their mean.
        nearest: Train id of the class with the nearest mean prototype; None if there is no other class.
        distance: Euclidean distance to that prototype.
    """

    class_id: int
    num_images: int
    num_labelled: int
    variance: float
    variance_range: tuple[float, float]
    spread: float
    nearest: int | None
    distance: float | None


def summarize_mixtures(mixtures: Sequence[FittedMixture]) -> list[ClassMixture]:
    """Summarise the Gaussians of each class that occurs, in order of train ids."""
    if not mixtures:
        return []
    classes = np.concatenate([m.classes for m in mixtures])
    prototypes = np.concatenate([m.prototypes for m in mixtures])
    variance = np.concatenate([m.variance for m in mixtures])
    labelled = np.concatenate([m.num_labelled for m in mixtures])
    present = np.unique(classes)
    means = np.stack([prototypes[classes == c].mean(0) for c in present])
    apart = np.linalg.norm(means[:, None] - means[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    result = []
    for i, c in enumerate(present):
        own = classes == c
        low, middle, high = np.percentile(variance[own], (10, 50, 90)).tolist()
        nearest = int(apart[i].argmin()) if len(present) > 1 else None
        result.append(
            ClassMixture(
                int(c), int(own.sum()), int(labelled[own].sum()), middle, (low, high),
                float(np.sqrt(((prototypes[own] - means[i]) ** 2).sum(1).mean())),
                None if nearest is None else int(present[nearest]),
                None if nearest is None else float(apart[i, nearest]),
            )
        )  # fmt: skip
    return result
