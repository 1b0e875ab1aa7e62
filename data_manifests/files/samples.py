"""Decoded images: sample type, size limit and orientation."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError

#: Larger images are refused before decoding, as a PNG of 140 kB can hold this many pixels. Full Sentinel-2 tiles
#: (10980x10980) are smaller.
MAX_PIXELS = 1 << 27

#: Environment variable that overrides the limit.
MAX_PIXELS_VARIABLE = "SPARSEKIT_MAX_PIXELS"


@dataclass(frozen=True)
class Header:
    """Header of an image file.

    Args:
        height: Displayed height in pixels.
        width: Displayed width in pixels.
        orientation: EXIF orientation 1..8; 1 is upright.
        has_alpha: Whether pixels may be transparent.
        exif_is_damaged: Whether the orientation is unknown, as the EXIF block is damaged.
    """

    height: int
    width: int
    orientation: int = 1
    has_alpha: bool = False
    exif_is_damaged: bool = False


@dataclass(frozen=True)
class Samples:
    """A decoded image.

    Args:
        values: Samples as stored, shape (H, W) or (H, W, bands), oriented as displayed.
        format: Name of the format, such as ``PNG``.
        mode: Colour mode for messages, such as ``RGB``.
        palette: Colours of the values, shape (N, 3); None without a palette.
        white_is_zero: Whether 0 is displayed as white.
        has_alpha: Whether the last band is alpha.
        nodata: Nodata value declared by the file.
        peak: Largest value of the whole image, where ``values`` are a window of it.
        is_lossy: Whether the file may hold other values than were saved, as JPEG does.
    """

    values: NDArray[Any]
    format: str
    mode: str
    palette: NDArray[np.uint8] | None = None
    white_is_zero: bool = False
    has_alpha: bool = False
    nodata: float | None = None
    peak: int | None = None
    is_lossy: bool = False


def turn(values: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation to stored pixels of shape (H, W, ...)."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)


def as_shown(path: Path, height: int, width: int, orientation: object) -> Header:
    """Header of an image with this stored size.

    Raises:
        DataError: If it exceeds the pixel limit.
    """
    if height * width > (most := max_pixels()):
        raise DataError(
            f"{path}: has {width}x{height} pixels; the limit is {most:,}. If this size is intended, set "
            f"{MAX_PIXELS_VARIABLE}={height * width}; otherwise cut it into tiles."
        )
    known = orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1
    return Header(*((width, height) if known >= 5 else (height, width)), known)


def max_pixels() -> int:
    """Pixel limit from the environment, or the default.

    Raises:
        DataError: If the environment variable is not a number.
    """
    text = os.environ.get(MAX_PIXELS_VARIABLE, "")
    if text and not (text.isascii() and text.isdecimal() and len(text) < 16):
        raise DataError(f"{MAX_PIXELS_VARIABLE}={text}: expected a number of pixels, such as 400000000.")
    return int(text) if text else MAX_PIXELS
