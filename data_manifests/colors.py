"""Colours of classes, as red, green and blue or as one number."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import counted, list_some

#: Red, green and blue, 0..255.
Color = tuple[int, int, int]


def to_code(color: Color) -> int:
    """A colour as one number, as ``read_mask`` returns it."""
    return color[0] << 16 | color[1] << 8 | color[2]


def to_rgb(code: int) -> Color:
    """The colour that ``to_code`` encodes as this number."""
    return code >> 16, code >> 8 & 255, code & 255


def name_colors(values: NDArray[np.uint32]) -> str:
    """The most frequent colours among pixels, with their numbers, for a message."""
    colors, counts = np.unique(values, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return list_some([f"{to_rgb(int(colors[i]))} on {counted(int(counts[i]), 'pixel')}" for i in order], limit=5)


def nearest_colors(colors: NDArray[np.uint32], known: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Index of the nearest known colour of each colour, by Euclidean distance in RGB."""

    def channels(codes: NDArray[np.uint32]) -> NDArray[np.int32]:
        return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.int32)

    best = np.zeros(colors.shape, np.intp)
    least = np.full(colors.shape, np.iinfo(np.int32).max, np.int32)
    rgb = channels(colors)
    for index, color in enumerate(channels(known)):
        distance = ((rgb - color) ** 2).sum(axis=-1, dtype=np.int32)
        nearer = distance < least
        best[nearer], least[nearer] = index, distance[nearer]
    return best


def to_color(values: Iterable[Any]) -> Color:
    """Convert red, green and blue to integers.

    Raises:
        ValueError: If there are not three values of 0..255.
    """
    red, green, blue = map(whole_number, values)
    if not all(0 <= v <= 255 for v in (red, green, blue)):
        raise ValueError(f"colour {(red, green, blue)} is outside 0..255")
    return red, green, blue


def whole_number(value: Any) -> int:
    """Check that a value from a file is a whole number; JSON and TOML also allow 1.5 and true."""
    if isinstance(value, bool | float):
        raise TypeError(f"expected a whole number, got {value!r}")
    return int(value)


def voc_color(index: int) -> Color:
    """Return the colour of an index in the PASCAL VOC colour map, which spreads its bits over the three channels.

    Example:
        >>> voc_color(1), voc_color(15)
        ((128, 0, 0), (192, 128, 128))
    """
    color = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            color[channel] |= ((index >> channel) & 1) << (7 - bit)
        index >>= 3
    return color[0], color[1], color[2]
