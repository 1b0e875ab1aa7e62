"""Enlarge small images with their marks by a whole factor, before drawing."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from data_manifests import LabelMap, Mark
from data_manifests.figures.drawing import Image


def enlarge_image(image: Image, factor: int) -> Image:
    """Enlarge an RGB image, uint8, shape (H, W, 3), smoothly."""
    if factor == 1:
        return image
    height, width = image.shape[:2]
    larger = cv2.resize(image, (factor * width, factor * height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger, np.uint8)


def enlarge_labels(label_map: LabelMap, factor: int) -> LabelMap:
    """Enlarge a label map, shape (H, W), by repeating its pixels."""
    return label_map.repeat(factor, 0).repeat(factor, 1)


def enlarge_mark(mark: Mark, factor: int) -> Mark:
    """Scale the positions of a mark; pixels become the middle of their enlarged pixel."""

    def scaled(position: int) -> int:
        return factor * position + factor // 2

    points = tuple((scaled(row), scaled(col)) for row, col in mark.points)
    return replace(mark, row=scaled(mark.row), col=scaled(mark.col), points=points)
