"""The labelled pixels of an image, and the rule that decides between classes that reach a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap
from data_manifests.figures.drawing import Image


@dataclass(frozen=True)
class Seeds:
    """The labelled pixels of an image.

    Args:
        rows: Rows, shape (n,).
        cols: Columns, shape (n,).
        labels: Position of each label in ``classes``, shape (n,).
        classes: Train ids present, ascending, shape (C,).
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, sparse: LabelMap, unlabelled: int, shape: tuple[int, int]) -> Seeds:
        """The labels of a sparse label map, at their places in an image scaled to another height and width."""
        rows, cols = np.nonzero(sparse != unlabelled)
        classes, labels = np.unique(sparse[rows, cols], return_inverse=True)
        height, width = sparse.shape
        return cls(rows * shape[0] // height, cols * shape[1] // width, labels, classes.astype(np.int64))


def to_lab(image: Image) -> NDArray[np.float32]:
    """CIELAB of an RGB image, L in 0..100, float32, shape (H, W, 3)."""
    return cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).astype(np.float32)


def nearest_class(distances: NDArray[np.float64], max_distance: float, confidence: float) -> NDArray[np.int64]:
    """The nearest class of each place, if it is near enough and clearly nearer than all others.

    A place gets a label if its distance d1 to the nearest class is at most ``max_distance`` and
    d2 / (d1 + d2) is at least ``confidence``, with d2 the distance to the next class. Places equally near to two
    classes get no label. With labels of a single class there is no d2, and only the first condition applies.

    Args:
        distances: Of each place to the nearest label of each class, shape (C, ...); infinite if unreachable.
        max_distance: In the same units as ``distances``.
        confidence: 0.5 takes the nearest class; 1 only places that no other class reaches.

    Returns:
        Index of the class, -1 for none, shape (...).

    Example:
        >>> nearest_class(np.array([[0.0, 2.0, 4.0, 9.0], [9.0, 3.0, 5.0, 9.5]]), 8.0, 0.6)
        array([ 0,  0, -1, -1])
    """
    order = np.argsort(distances, axis=0, kind="stable")
    first = np.take_along_axis(distances, order[:1], axis=0)[0]
    near = first <= max_distance
    if len(distances) > 1:
        second = np.take_along_axis(distances, order[1:2], axis=0)[0]
        with np.errstate(invalid="ignore"):  # 0 times infinity, at a confidence of 1
            clear = second * (1 - confidence) >= first * confidence
        near &= (first < second) & (clear | np.isinf(second))
    return np.where(near, order[0], -1)
