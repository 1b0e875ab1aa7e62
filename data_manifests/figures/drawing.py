"""Draw labels over an image: class colours, dots, and the rim around each mark."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from data_manifests.colors import Color
from data_manifests.label_maps import LabelMap
from data_manifests.label_space import LabelSpace

#: RGB or RGBA, uint8, shape (H, W, 3) or (H, W, 4).
Image = NDArray[np.uint8]

#: Colour of void: a grey lighter than any class of the known label spaces.
VOID_COLOR = (228, 228, 228)


def colorize(label_map: LabelMap, label_space: LabelSpace, image: Image | None = None, opacity: float = 1.0) -> Image:
    """Draw a label map in its class colours, alone or blended over the image.

    Args:
        label_map: Train ids, shape (H, W), with the unlabelled value at void or unlabelled pixels.
        label_space: Defines the colours.
        image: Image to blend with, RGB, shape (H, W, 3).
        opacity: Share of the class colour, 0..1.

    Returns:
        RGB, uint8, shape (H, W, 3); void is light grey. Over an image, void and black classes, such as VOC's
        background, show the bare image.
    """
    labelled = label_map != label_space.unlabelled_value
    palette = np.vstack([label_space.palette, np.array([VOID_COLOR], np.uint8)])
    colored = palette[np.where(labelled, label_map, label_space.num_classes)]
    if image is None or opacity >= 1:
        return colored
    blended = cv2.addWeighted(colored, opacity, image, 1 - opacity, 0)
    shown = labelled & colored.any(axis=2)
    return np.where(shown[..., None], blended, image).astype(np.uint8)


def draw_dot(canvas: Image, row: float, col: float, size: float, color: Color, rim: Color | None = None) -> None:
    """Draw an anti-aliased dot with a rim into an image; parts outside the image are cut off.

    Args:
        canvas: RGB or RGBA, uint8, shape (H, W, 3) or (H, W, 4), modified in place; the dot is opaque.
        row: Distance of the centre from the image's upper edge, in pixels: 0.5 is the middle of the first row.
        col: Distance of the centre from the image's left edge, in pixels.
        size: Diameter in pixels, including the rim.
        color: Colour inside the rim.
        rim: Colour of the rim; by default ``rim_color(color)``.

    Raises:
        ValueError: If ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"dot_size must be at least 1, got {size}.")
    top, left = int(np.floor(row - size / 2)), int(np.floor(col - size / 2))
    disc, core = _dot_coverage(size, row - top, col - left)
    height, width = canvas.shape[:2]
    above, below = max(0, -top), min(len(disc), height - top)
    before, after = max(0, -left), min(len(disc), width - left)
    if above >= below or before >= after:
        return
    disc, core = disc[above:below, before:after, None], core[above:below, before:after, None]
    region = canvas[top + above : top + below, left + before : left + after]
    outer = np.array(rim if rim is not None else rim_color(color), np.float32)
    inside = outer + core * (np.array(color, np.float32) - outer)
    if canvas.shape[2] == 3:
        region[:] = np.rint(region + disc * (inside - region)).astype(np.uint8)
        return
    below_it = region[..., 3:] / np.float32(255) * (1 - disc)  # the visible part of the background
    opacity = disc + below_it
    mixed = (inside * disc + region[..., :3] * below_it) / np.maximum(opacity, 1e-6)
    region[:] = np.rint(np.dstack([mixed, 255 * opacity])).astype(np.uint8)


def paint_pixels(canvas: Image, annotation: LabelMap, label_space: LabelSpace, rim: int) -> None:
    """Paint labelled pixels in their class colour, with a rim around them.

    Args:
        canvas: RGB or RGBA, uint8, shape (H, W, 3) or (H, W, 4), modified in place; the paint is opaque.
        annotation: Train ids, shape (H, W), with the unlabelled value elsewhere.
        label_space: Defines the colours.
        rim: Width of the rim in pixels.
    """
    labelled = annotation != label_space.unlabelled_value
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    around = np.zeros(annotation.shape, np.bool_)
    for color in ((255, 255, 255), (0, 0, 0)):
        with_this_rim = np.zeros(label_space.unlabelled_value + 1, np.uint8)
        with_this_rim[[i for i, c in enumerate(label_space.classes) if rim_color(c.color) == color]] = 1
        reached = (cv2.dilate(with_this_rim[annotation], kernel) > 0) & ~labelled
        canvas[reached, :3] = color
        around |= reached
    canvas[labelled, :3] = label_space.palette[annotation[labelled]]
    canvas[labelled | around, 3:] = 255


def widen_lines(annotation: LabelMap, least: float, unlabelled_value: int) -> LabelMap:
    """Widen the lines of a sparse label map that are thinner than ``least``, so that they survive scaling down.

    Args:
        annotation: Train ids, shape (H, W), with the unlabelled value elsewhere; it is not modified.
        least: Least width of a connected patch of a class at its widest place, in pixels.
        unlabelled_value: The value of pixels without a label.

    Returns:
        Train ids, shape (H, W). Labelled pixels keep their class; where lines meet, each pixel belongs to the nearest.
    """
    labelled = annotation != unlabelled_value
    if not labelled.any():
        return annotation
    growth = np.zeros(annotation.shape, np.float32)
    for class_id in np.unique(annotation[labelled]).tolist():
        own = annotation == class_id
        _, patches = cv2.connectedComponents(own.astype(np.uint8), connectivity=8)
        depth = cv2.distanceTransform(own.astype(np.uint8), cv2.DIST_L2, 5)
        deepest = np.zeros(int(patches.max()) + 1, np.float32)
        np.maximum.at(deepest, patches[own], depth[own])
        growth[own] = (least + 1) / 2 - deepest[patches[own]]  # the middle of a line of width w is (w + 1) / 2 deep
    away, nearest = cv2.distanceTransformWithLabels(
        (~labelled).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    place = np.zeros(int(nearest.max()) + 1, np.intp)
    place[nearest[labelled]] = np.flatnonzero(labelled)
    origin = place[nearest]
    return np.where(away <= growth.ravel()[origin], annotation.ravel()[origin], annotation)


def rim_color(color: Color) -> Color:
    """Return black or white, whichever contrasts more with a colour.

    The rim makes a colour visible that is close to the image around it.

    References:
        Contrast ratio and relative luminance as in the Web Content Accessibility Guidelines 2.2.

    Example:
        >>> rim_color((0, 0, 142)), rim_color((220, 220, 0))
        ((255, 255, 255), (0, 0, 0))
    """
    linear = [v / 3294.6 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4 for v in color]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    # Contrast with white is 1.05 / (L + 0.05), with black (L + 0.05) / 0.05.
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 1.05 * 0.05 else (255, 255, 255)


def rim_width(size: float) -> float:
    """Width of the rim of a dot, in pixels; dots without room for a rim and a pure pixel inside get none."""
    return max(1.0, size / 16) if size >= 5 else 0.0


@lru_cache(maxsize=16)
def _dot_coverage(size: float, row: float, col: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Share of each pixel covered by the whole dot and by its core, for a centre at (row, col) of the stamp."""
    steps = np.arange(int(np.ceil(size)) + 1, dtype=np.float32) + 0.5
    distance = np.sqrt((steps[:, None] - row) ** 2 + (steps[None, :] - col) ** 2)
    radius = size / 2
    disc = np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
    core = np.clip(radius - rim_width(size) + 0.5 - distance, 0, 1).astype(np.float32)
    return disc, core
