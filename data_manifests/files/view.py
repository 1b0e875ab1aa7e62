"""How the images of a dataset are displayed: the bands, and the values of black and white."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import DataError
from data_manifests.files.axes import AXES, Axis
from data_manifests.files.decode import read_samples
from data_manifests.files.images import read_image, show_samples, shown_bands
from data_manifests.files.samples import Samples


@dataclass(frozen=True)
class ImageView:
    """How images become 8-bit RGB; the default is the default of ``read_image``.

    Args:
        bands: Red, green and blue band, counted from 1, or a single grey band; or any others that a network reads and
            no figure shows.
        value_range: Values displayed as black and white.
        axis: Plane in which volumes are sliced, where the images are slices.

    Raises:
        ValueError: If either is invalid.
    """

    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    axis: Axis | None = None

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

    def show(self, path: Path, samples: Samples) -> NDArray[np.uint8]:
        """An image that is decoded already; ``path`` names it in messages."""
        return show_samples(path, samples, self.bands, self.value_range)

    @property
    def is_rgb(self) -> bool:
        """Whether images become RGB."""
        return self.bands is None or len(self.bands) in (1, 3)

    def __str__(self) -> str:
        """Return the settings in words; empty for the default.

        Example:
            >>> str(ImageView((4, 3, 2), (0, 3000)))
            'bands 4, 3, 2; values 0 to 3000'
        """
        found = [f"band{'s' * (len(self.bands) > 1)} {', '.join(map(str, self.bands))}"] if self.bands else []
        found += ["values {:g} to {:g}".format(*self.value_range)] if self.value_range else []
        return "; ".join([*found, *([f"{self.axis} slices"] if self.axis else [])])

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON-ready data; empty for the default."""
        found = {"bands": self.bands, "value_range": self.value_range}
        lists = {name: list(value) for name, value in found.items() if value is not None}
        return lists | ({"axis": self.axis} if self.axis else {})

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
            axis = data.get("axis")
            if axis is not None and axis not in AXES:
                raise ValueError(f"unknown axis {axis!r}")
            return cls(None if bands is None else tuple(int(band) for band in bands), low_high, axis)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"the display settings of images are damaged ({error})") from error


#: The default view.
DEFAULT_VIEW = ImageView()

#: Values of an image that are looked at for percentiles; evenly spread.
_VALUES_LOOKED_AT = 1_000_000


def measure_range(paths: Sequence[Path], bands: tuple[int, ...] | None, low: float, high: float) -> tuple[float, float]:
    """Values that a share of all values of some images lie below, for ``value_range``.

    Args:
        paths: The images; NaN and values that a file declares as no data do not count.
        bands: See ``ImageView``; None looks at all.
        low: Per cent of the values that are to be black.
        high: Per cent below which values are to be less than white.

    Raises:
        DataError: If an image cannot be read, or both values are the same.
    """
    found = []
    for path in paths:
        samples = read_samples(path)
        kept = samples.values[..., :-1] if samples.has_alpha else samples.values
        values = (kept if bands is None else shown_bands(path, samples, bands)).astype(np.float64).ravel()
        values = values[np.isfinite(values) & (values != (np.nan if samples.nodata is None else samples.nodata))]
        found.append(values[:: max(1, len(values) // _VALUES_LOOKED_AT)])
    together = np.concatenate(found) if found else np.empty(0)
    if not together.size or (ends := np.percentile(together, [low, high]))[0] >= ends[1]:
        raise DataError(f"{paths[0] if paths else 'images'}: no range of values between {low:g} % and {high:g} %.")
    return float(f"{ends[0]:.6g}"), float(f"{ends[1]:.6g}")
