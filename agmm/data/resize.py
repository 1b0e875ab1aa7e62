"""Images and label maps made small."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests import LabelMap

Rgb = NDArray[np.uint8]


# Patches are drawn several times as large and averaged down, which smooths their edges.
SUPERSAMPLING = 4


def fit_size(height: int, width: int, room: int) -> tuple[int, int]:
    """Height and width with the longer side at most ``room``; nothing is made larger."""
    scale = min(1.0, room / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def shrink_image(image: Rgb, size: tuple[int, int]) -> Rgb:
    """An image at another size, by averaging areas."""
    return np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def shrink_labels(label_map: LabelMap, size: tuple[int, int]) -> LabelMap:
    """A label map at another size; no class is made up."""
    small: LabelMap = cv2.resize(label_map, size[::-1], interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
    return small


def average_down(drawn: Rgb, size: tuple[int, int]) -> Rgb:
    """Smooth RGBA: colours count by their opacity."""
    alpha = drawn[..., 3:].astype(np.float32) / 255
    small = cv2.resize(np.dstack([drawn[..., :3] * alpha, alpha]), size[::-1], interpolation=cv2.INTER_AREA)
    opacity = small[..., 3:]
    color = small[..., :3] / np.maximum(opacity, 1e-6)
    return np.rint(np.dstack([color, 255 * opacity])).clip(0, 255).astype(np.uint8)
