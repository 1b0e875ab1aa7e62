"""Draw the labels of a sparse label map at any size, as a transparent layer."""

from __future__ import annotations

import cv2
import numpy as np

from data_manifests.figures.drawing import Image, draw_dot, paint_pixels, widen_lines
from data_manifests.label_maps import LabelMap
from data_manifests.label_space import LabelSpace

# Patches are drawn several times as large and averaged, which smooths their edges.
_SUPERSAMPLING = 4
_LEAST_LINE = 3  # least width of a patch without its rim, in pixels of the result


def draw_labels(
    annotation: LabelMap, label_space: LabelSpace, size: tuple[int, int], dot_share: float = 0.028
) -> Image:
    """Draw the labelled pixels of an annotation at a visible size, as `sparsekit render` does.

    Isolated pixels become dots with a rim; larger patches keep their shape, at least 3 pixels wide, and get a rim.

    Args:
        annotation: Train ids, shape (H, W), with the unlabelled value elsewhere.
        label_space: Defines colours and the unlabelled value.
        size: Height and width of the result.
        dot_share: Diameter of a dot as a share of the result's longer side.

    Returns:
        RGBA, uint8, transparent where nothing is labelled.
    """
    labelled = (annotation != label_space.unlabelled_value).astype(np.uint8)
    _, components, stats, centres = cv2.connectedComponentsWithStats(labelled, connectivity=8)
    lone = stats[:, cv2.CC_STAT_AREA] == 1
    drawn = np.zeros((*size, 4), np.uint8)
    if (stats[1:, cv2.CC_STAT_AREA] > 1).any():
        patches = annotation.copy()
        patches[lone[components]] = label_space.unlabelled_value
        fine = size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING
        canvas = np.zeros((*fine, 4), np.uint8)
        lines = widen_lines(_shrink(patches, fine), _LEAST_LINE * _SUPERSAMPLING, label_space.unlabelled_value)
        paint_pixels(canvas, lines, label_space, rim=_SUPERSAMPLING)
        drawn = _average_down(canvas, size)
    dot_size = max(1.0, dot_share * max(size))
    down, right = size[0] / annotation.shape[0], size[1] / annotation.shape[1]
    for x, y in centres[lone].astype(int).tolist():
        color = label_space.classes[annotation[y, x]].color
        draw_dot(drawn, (y + 0.5) * down, (x + 0.5) * right, dot_size, color)
    return drawn


def _shrink(label_map: LabelMap, size: tuple[int, int]) -> LabelMap:
    small: LabelMap = cv2.resize(label_map, size[::-1], interpolation=cv2.INTER_NEAREST)  # type: ignore[assignment]
    return small


def _average_down(drawn: Image, size: tuple[int, int]) -> Image:
    """Resize RGBA by averaging, with colours weighted by opacity."""
    alpha = drawn[..., 3:].astype(np.float32) / 255
    small = cv2.resize(np.dstack([drawn[..., :3] * alpha, alpha]), size[::-1], interpolation=cv2.INTER_AREA)
    opacity = small[..., 3:]
    color = small[..., :3] / np.maximum(opacity, 1e-6)
    return np.rint(np.dstack([color, 255 * opacity])).clip(0, 255).astype(np.uint8)
