"""How the images of a dataset are displayed: the bands, and the values of black and white."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError
from data_manifests.files.images import read_image


@dataclass(frozen=True)
class ImageView:
    """How images become 8-bit RGB; the default is the default of ``read_image``.

    Args:
        bands: Red, green and blue band, counted from 1, or a single grey band; or any others that a network reads and
            no figure shows.
        value_range: Values displayed as black and white.

    Raises:
        ValueError: If either is invalid.
    """

    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.bands is not None and not min(self.bands, default=0) >= 1:
            raise ValueError(f"bands must be numbers from 1 on, got {','.join(map(str, self.bands))}.")
        if self.value_range is not None:
            low, high = self.value_range
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"value_range must be two numbers, the smaller first, got {low:g},{high:g}.")

    def read(self, path: Path) -> NDArray[np.uint8]:
        """See ``read_image``."""
        return read_image(path, self.bands, self.value_range)

    @property
    def is_rgb(self) -> bool:
        """Whether images become RGB."""
        return self.bands is None or len(self.bands) in (1, 3)

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON-ready data; empty for the default."""
        found = {"bands": self.bands, "value_range": self.value_range}
        return {name: list(value) for name, value in found.items() if value is not None}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ImageView:
        """Rebuild from ``to_dict``.

        Raises:
            DataError: If it holds anything else.
        """
        try:
            bands = data.get("bands")
            values = data.get("value_range")
            low_high = None if values is None else (float(values[0]), float(values[1]))
            return cls(None if bands is None else tuple(int(band) for band in bands), low_high)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"the display settings of images are damaged ({error})") from error


#: The default view.
DEFAULT_VIEW = ImageView()
