"""How the images of a dataset are displayed, with ranges of values that are measured on some of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from data_manifests.errors import DataError, counted
from data_manifests.files.images import is_eight_bits
from data_manifests.files.view import ImageView, measure_range
from data_manifests.layouts.base import Dataset, spread


@dataclass(frozen=True)
class Percentiles:
    """A range of values, in per cent of all values.

    Args:
        low: Per cent of the values that are to be black.
        high: Per cent below which values are to be less than white.
    """

    low: float
    high: float


#: Of volumes without a range; nnU-Net clips CT so.
_OF_VOLUMES = Percentiles(0.5, 99.5)


def with_view(
    dataset: Dataset,
    bands: tuple[int, ...] | None = None,
    value_range: tuple[float, float] | Percentiles | None = None,
) -> Dataset:
    """Set how the images of a dataset become 8-bit RGB.

    Args:
        dataset: Any dataset.
        bands: See ``ImageView``.
        value_range: Values displayed as black and white, or percentiles of the values in a sample of the images. The
            default of slices of volumes with more than 8 bits is 0.5 % and 99.5 %.

    Returns:
        The dataset; if values were measured, a note names them.

    Raises:
        DataError: If percentiles are to be measured and there are no images, or one cannot be read.
        ValueError: If bands or values are invalid.
    """
    values = None if isinstance(value_range, Percentiles) else value_range
    dataset = replace(dataset, images=ImageView(bands, values, dataset.images.axis))
    paths = spread([item.image_path for item in dataset.items if item.image_path])
    if value_range is None and dataset.images.axis and paths and not is_eight_bits(paths[0]):
        value_range = _OF_VOLUMES
    if not isinstance(value_range, Percentiles):
        return dataset
    if not paths:
        raise DataError(f"{dataset.root}: percentiles of --value-range need images, and there are masks alone.")
    low, high = measure_range(paths, bands, value_range.low, value_range.high)
    text = (
        f"value range {low:g},{high:g}: {value_range.low:g} % and {value_range.high:g} % of the values in "
        f"{counted(len(paths), 'image')} looked at; --value-range sets another."
    )
    return replace(dataset, images=replace(dataset.images, value_range=(low, high)), notes=(*dataset.notes, text))
