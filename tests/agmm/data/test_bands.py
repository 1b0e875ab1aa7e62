"""Statistics of bands, which the network normalises its images by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agmm.config.training import TrainConfig
from agmm.data.bands import all_bands, measure_bands, with_statistics
from agmm.errors import TrainingError
from data_manifests import Manifest, read_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from tests.agmm.conftest import tiny_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """The green band of its training images is constant, and the validation image differs from them."""
    made = read_manifest(tiny_manifest(tmp_path, size=(20, 30)))
    for seed, row in enumerate(made.rows):
        image = np.random.default_rng(seed).integers(0, 200, (20, 30, 3)).astype(np.uint8)
        image[..., 1] = 77
        write_atomically(made.resolve(row.image), encode_image(image if row.split == "train" else image + 50))
    return made


def test_mean_and_deviation_are_those_of_all_training_pixels(manifest: Manifest) -> None:
    config = with_statistics(manifest, TrainConfig(bands=(3, 2, 1)))
    images = [np.random.default_rng(seed).integers(0, 200, (20, 30, 3)) for seed in range(3)]
    pixels = np.stack(images)[..., ::-1].reshape(-1, 3) / 255
    expected = (pixels[:, 0], np.full(len(pixels), 77 / 255), pixels[:, 2])
    assert config.image_mean == pytest.approx([band.mean() for band in expected])
    # A band without contrast must not be divided by 0.
    assert config.image_std == pytest.approx([expected[0].std(), 1 / 255, expected[2].std()])


def test_the_order_of_the_images_changes_no_bit(manifest: Manifest) -> None:
    rows = manifest.rows_of("train")
    assert measure_bands(manifest, rows) == measure_bands(manifest, rows[::-1])


def test_given_statistics_stay(manifest: Manifest) -> None:
    given = TrainConfig(bands=(1, 2), image_mean=(0.5, 0.4), image_std=(0.25, 0.3))
    assert with_statistics(manifest, given) == given
    assert with_statistics(manifest, TrainConfig()) == TrainConfig()


def test_all_bands_are_those_of_the_first_image(manifest: Manifest) -> None:
    assert all_bands(manifest) == (1, 2, 3)
    with pytest.raises(TrainingError, match="no row names an image"):
        all_bands(replace(manifest, rows=tuple(replace(row, image="") for row in manifest.rows)))
