"""Arrays of class ids."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LabelMap = NDArray[np.uint8] | NDArray[np.uint16]
#: Values of a mask file: ids, or colours as 65536 red + 256 green + blue.
MaskValues = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.uint32]


def as_label_map(values: NDArray[Any], name: str = "label_map") -> LabelMap:
    """Check class ids of any integer type and convert them to uint8 or uint16.

    Args:
        values: Ids 0..65535, an integer type or bool, shape (H, W).
        name: Name of the array in messages.

    Returns:
        uint8 or uint16, shape (H, W); the array itself if it has such a type already.

    Raises:
        ValueError: If it is not a two-dimensional NumPy array of ids.
    """
    if not isinstance(values, np.ndarray) or isinstance(values, np.ma.MaskedArray):
        kind = f"{type(values).__module__}.{type(values).__qualname__}"
        advice = "its filled(255)" if isinstance(values, np.ma.MaskedArray) else f"np.asarray({name})"
        raise ValueError(f"Expected {name} as a NumPy array, got {kind}; give {advice}.")
    if values.ndim != 2:
        raise ValueError(f"Expected {name} of shape (H, W), got {values.shape}; is this a colour-coded map?")
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype.kind not in "iu":
        raise ValueError(
            f"Expected {name} of class ids, an integer type, got {values.dtype}; if its values are ids, give "
            f"{name}.astype(np.uint8)."
        )
    low, high = int(values.min(initial=0)), int(values.max(initial=0))
    if low < 0 or high > 65535:
        raise ValueError(
            f"Ids in {name} must lie between 0 and 65535, got {low}..{high}; give void pixels the unlabelled value, "
            "such as 255."
        )
    return values.astype(np.uint8) if high <= 255 else values.astype(np.uint16)


def count_bytes(values: MaskValues) -> NDArray[np.int64]:
    """Count each of the 256 values."""
    pixels = values.ravel()
    differs = pixels[1:] != pixels[:-1]
    if 16 * np.count_nonzero(differs) < pixels.size:  # counting runs takes less time, if they are long
        starts = np.concatenate([[0], np.flatnonzero(differs) + 1])
        lengths = np.diff(starts, append=pixels.size)
        return np.bincount(pixels[starts], weights=lengths, minlength=256).astype(np.int64)
    if values.size < 1 << 24:  # above, OpenCV's float32 counts are not exact
        return cv2.calcHist([values], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    return np.bincount(values.ravel(), minlength=256)


def count_values(values: MaskValues) -> dict[int, int]:
    """Count the pixels of each value that occurs, in ascending order of the values."""
    if values.dtype == np.uint8:
        counts = count_bytes(values)
        found = np.flatnonzero(counts)
        return dict(zip(found.tolist(), counts[found].tolist(), strict=True))
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))
