"""Train on any bands of the images instead of red, green and blue: select them and measure their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from data_manifests import Manifest, ManifestRow
from data_manifests.files.decode import read_num_bands
from data_manifests.manifest.rows import read_row_image, row_file


def all_bands(manifest: Manifest) -> tuple[int, ...]:
    """Numbers of all bands of the first image of a manifest, from 1.

    Raises:
        DataError: If no row names an image, or the image cannot be read.
    """
    row = next((row for row in manifest.rows if row.image), None)
    if row is None:
        raise TrainingError(f"{manifest.path}: no row names an image whose bands could be counted.")
    return tuple(range(1, read_num_bands(row_file(manifest, row.image)) + 1))


def with_bands(manifest: Manifest, config: TrainConfig) -> Manifest:
    """Return the manifest with its images as the network reads them; unchanged if the settings name no bands."""
    if not config.bands:
        return manifest
    return replace(manifest, info=replace(manifest.info, images=replace(manifest.info.images, bands=config.bands)))


def with_statistics(manifest: Manifest, config: TrainConfig) -> TrainConfig:
    """Add the mean and standard deviation of each named band, measured on the training images, to the settings.

    Args:
        manifest: Manifest to train on.
        config: Settings; returned unchanged if they name no bands or already have both values.

    Raises:
        DataError: If an image cannot be read, or the settings give statistics of other than three channels but no
            bands.
    """
    if not config.bands and config.image_mean is not None and len(config.image_mean) != 3:
        raise TrainingError(
            f"image_mean has {len(config.image_mean)} values, but images are read as red, green and blue. Name the "
            "bands to read: --bands."
        )
    if not config.bands or config.image_mean is not None:
        return config
    mean, std = measure_bands(with_bands(manifest, config), manifest.rows_of(config.train_split))
    return replace(config, image_mean=mean, image_std=std)


def measure_bands(manifest: Manifest, rows: Sequence[ManifestRow]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel over all pixels, 0..1; a constant channel has deviation 1/255.

    Counts are whole numbers, so the result does not depend on the order of the images.
    """
    with ThreadPoolExecutor(4) as pool:
        counts = reduce(np.add, pool.map(lambda row: _histogram(read_row_image(manifest, row)), rows))
    values = np.arange(256)
    mean = (counts * values).sum(1) / counts.sum(1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / counts.sum(1)
    std = np.maximum(np.sqrt(variance), 1)
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())


def _histogram(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Pixels of each value in each channel, shape (channels, 256)."""
    return np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(image, 2, 0)])
