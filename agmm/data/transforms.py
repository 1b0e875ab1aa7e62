"""Augmentation: a random window of the image, cropped before it is resized, and colour changes.

Cropping first touches only the pixels that remain: 4 ms instead of 7 ms for a 1024x2048 image.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from agmm.config.data import PADDING_COLOR, Augmentation
from data_manifests.label_maps import LabelMap


class Span(NamedTuple):
    """One axis of a window: pixels ``start..stop`` of the image fill pixels ``out_start..out_stop`` of the crop."""

    start: int
    stop: int
    out_start: int
    out_stop: int


class Window(NamedTuple):
    """The part of an image that becomes a training sample.

    Args:
        rows: Source and destination of the rows.
        cols: Source and destination of the columns, before flipping.
        crop_size: Height and width of the sample in pixels; pixels outside the spans are padding.
        mirrored: Whether to flip left and right at the end.
    """

    rows: Span
    cols: Span
    crop_size: tuple[int, int]
    mirrored: bool


def draw_window(
    rng: np.random.Generator,
    image_size: tuple[int, int],
    augmentation: Augmentation,
    through: tuple[int, int] | None = None,
) -> Window:
    """Choose a window of the image at random.

    Args:
        rng: The sample's own generator.
        image_size: Height and width of the image in pixels.
        augmentation: Size of the crop, range of scales, flipping.
        through: (row, col) of a pixel that the window must contain.

    Returns:
        A window of ``crop_size / scale`` pixels of the image. Along an axis where the image is smaller than that, the
        window contains the whole image at a random position, with padding around it.
    """
    scale = rng.uniform(*augmentation.scale)
    spans = []
    for axis in (0, 1):
        length, crop = image_size[axis], augmentation.crop_size[axis]
        wanted = max(1, round(crop / scale))
        first, last = min(0, length - wanted), max(0, length - wanted)
        if through is not None:
            first, last = max(first, through[axis] - wanted + 1), min(last, through[axis])
        start = int(rng.integers(first, last, endpoint=True))
        inside = Span(max(start, 0), min(start + wanted, length), 0, crop)
        if wanted > length:
            size = max(1, round(length * crop / wanted))
            out_start = min(round(-start * crop / wanted), crop - size)
            inside = inside._replace(out_start=out_start, out_stop=out_start + size)
        spans.append(inside)
    mirrored = augmentation.flip and bool(rng.integers(2))
    return Window(spans[0], spans[1], augmentation.crop_size, mirrored)


def crop_image(image: NDArray[np.uint8], window: Window, padding: tuple[int, ...] = PADDING_COLOR) -> NDArray[np.uint8]:
    """Cut a window from an image and resize it (bilinear).

    Args:
        image: RGB, or any number of bands, shape (H, W, channels).
        window: The window.
        padding: Value of padding in each channel.

    Returns:
        The same channels, shape (h, w, channels) for a ``crop_size`` of (h, w).
    """
    pixels = _cut_and_resize(image, window, cv2.INTER_LINEAR)
    return _pad_and_mirror(pixels, window, padding)


def crop_label_map(label_map: LabelMap, window: Window, ignore_index: int) -> LabelMap:
    """Cut a window from a dense label map; each pixel takes the class of the nearest pixel of the map.

    Args:
        label_map: Train ids, shape (H, W).
        window: The window.
        ignore_index: Value of padding.

    Returns:
        Train ids, shape ``crop_size``.
    """
    # INTER_NEAREST_EXACT uses pixel centres, like the bilinear resize of the image; INTER_NEAREST is shifted.
    pixels = _cut_and_resize(label_map, window, cv2.INTER_NEAREST_EXACT)
    return _pad_and_mirror(pixels, window, ignore_index)


def valid_mask(window: Window) -> NDArray[np.bool_]:
    """Whether each pixel of the crop belongs to the image rather than to padding, shape ``crop_size``."""
    rows, cols = window.rows, window.cols
    valid = np.zeros(window.crop_size, np.bool_)
    valid[rows.out_start : rows.out_stop, cols.out_start : cols.out_stop] = True
    return valid[:, ::-1].copy() if window.mirrored else valid


def _cut_and_resize(pixels: NDArray[Any], window: Window, interpolation: int) -> NDArray[Any]:
    rows, cols = window.rows, window.cols
    part = pixels[rows.start : rows.stop, cols.start : cols.stop]
    size = (cols.out_stop - cols.out_start, rows.out_stop - rows.out_start)
    return np.asarray(cv2.resize(part, size, interpolation=interpolation))


def _pad_and_mirror(pixels: NDArray[Any], window: Window, fill: int | tuple[int, ...]) -> NDArray[Any]:
    rows, cols, (height, width) = window.rows, window.cols, window.crop_size
    if pixels.shape[:2] != window.crop_size:
        padded = np.empty((height, width, *pixels.shape[2:]), pixels.dtype)
        padded[:] = fill
        padded[rows.out_start : rows.out_stop, cols.out_start : cols.out_stop] = pixels
        pixels = padded
    return np.asarray(cv2.flip(pixels, 1)) if window.mirrored else pixels


def change_colors(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change an image's colours at random, as the paper does on PASCAL VOC.

    With probability 1/2, scale brightness, contrast and saturation by up to +-50 % and rotate the hue by up to a
    quarter of the circle, in random order; with probability 1/10, convert to grey; with probability 1/2, blur (standard
    deviation 0.1 to 2 pixels); with probability 1/2, add up to +-10.

    Args:
        image: RGB, shape (H, W, 3).
        rng: The sample's own generator.

    Returns:
        RGB, shape (H, W, 3).
    """
    if rng.random() < 0.5:
        factors = rng.uniform(0.5, 1.5, 3)
        turn = rng.uniform(-0.25, 0.25)
        for step in rng.permutation(4):
            image = turn_hue(image, turn) if step == 3 else _SCALINGS[step](image, factors[step])
    if rng.random() < 0.1:
        image = scale_saturation(image, 0.0)
    if rng.random() < 0.5:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.1, 2.0)), np.uint8)
    if rng.random() < 0.5:
        image = _through_table(image, np.arange(256) + rng.uniform(-10, 10))
    return image


def scale_brightness(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Multiply all values by a factor."""
    return _through_table(image, np.arange(256) * factor)


def scale_contrast(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Multiply the difference of each value from the image's mean grey by a factor."""
    mean = round(float(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).mean()))
    return _through_table(image, mean + (np.arange(256) - mean) * factor)


def scale_saturation(image: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
    """Multiply the difference of each value from its pixel's grey by a factor."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(image, factor, grey, 1 - factor, 0), np.uint8)


def turn_hue(image: NDArray[np.uint8], turn: float) -> NDArray[np.uint8]:
    """Rotate the hue by a share of the full circle."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    hsv[..., 0] += np.uint8(round(turn * 256) % 256)  # wraps around, as hue does
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL), np.uint8)


_SCALINGS = (scale_brightness, scale_contrast, scale_saturation)


def _through_table(image: NDArray[np.uint8], table: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8)), np.uint8)
