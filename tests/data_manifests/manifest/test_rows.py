"""Files named by a row are those that the manifest was written for, or an error says what differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from agmm.data.masked_images import read_masked_images
from data_manifests import DataError, Manifest, ManifestError
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask, read_row_image
from sparsekit.annotated_images import annotated_images
from tests.helpers.annotation_folders import camvid
from tests.helpers.miniature_datasets import save_mask


@pytest.fixture
def manifest(tmp_path):
    return camvid(tmp_path)


def change_one_pixel(path):
    """Give the first pixel the class of another, so that every id stays one of the label space."""
    values = np.asarray(Image.open(path)).copy()
    values.flat[0] = 1 if values.flat[0] != 1 else 2
    save_mask(path, values)


def without_hashes(manifest):
    rows = tuple(replace(row, full_mask_sha256="", annotation_sha256="") for row in manifest.rows)
    return Manifest(manifest.path, rows, manifest.info)


def readers(manifest):
    (image, *_) = annotated_images(manifest)
    row = image.row
    return {
        "annotation": [lambda: read_row_annotation(manifest, row), image.read_annotation],
        "full_mask": [
            lambda: read_row_full_mask(manifest, row),
            image.read_full_mask,
            lambda: next(read_masked_images(manifest, [row])),
        ],
    }


@pytest.mark.parametrize("column", ["annotation", "full_mask"])
def test_one_changed_pixel_is_noticed_by_every_reader(manifest, column):
    row = next(row for row in manifest.rows if row.annotation)
    for read in readers(manifest)[column]:
        read()
    change_one_pixel(manifest.resolve(getattr(row, column)))
    for read in readers(manifest)[column]:
        with pytest.raises(ManifestError, match=r"pixels have changed since the manifest was written \(SHA-256 is"):
            read()
    for read in readers(without_hashes(manifest))[column]:  # nothing is known, so nothing is checked
        read()


def test_size(manifest):
    row = replace(manifest.rows[0], height=manifest.rows[0].height + 1)
    with pytest.raises(DataError, match=r"\(width x height\), but .* says"):
        read_row_image(manifest, row)
