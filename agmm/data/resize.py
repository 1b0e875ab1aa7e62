"""Scale images and label maps down."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap

Rgb = NDArray[np.uint8]


def fit_size(height: int, width: int, room: int) -> tuple[int, int]:
    """Height and width scaled so that the longer side is at most ``room``; never scaled up."""
    scale = min(1.0, room / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def as_rgb(image: NDArray[np.uint8]) -> Rgb:
    """An image to draw on: RGB unchanged, any other number of bands as their mean in grey."""
    if image.shape[2] == 3:
        return image
    return np.repeat(image.mean(2, keepdims=True).round().astype(np.uint8), 3, axis=2)


def shrink_image(image: Rgb, size: tuple[int, int]) -> Rgb:
    """Resize an image by area averaging."""
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def shrink_labels(label_map: LabelMap, size: tuple[int, int]) -> LabelMap:
    """Resize a label map by nearest neighbour."""
    small: LabelMap = cv2.resize(label_map, size[::-1], interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
    return small
