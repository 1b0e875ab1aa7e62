"""The pictures and label maps that a manifest's rows name, read and checked against what the row says."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from data_manifests.errors import ManifestError
from data_manifests.image_io import read_image, read_mask
from data_manifests.label_space import Encoding, LabelMap
from data_manifests.schema import Manifest, ManifestRow


def read_row_image(manifest: Manifest, row: ManifestRow) -> NDArray[np.uint8]:
    """The picture of a row, RGB, uint8, shape (H, W, 3).

    Raises:
        DataError: If it cannot be read, or has another size than the row says.
    """
    image = read_image(manifest.resolve(row.image))
    _check_size(manifest, row, row.image, image.shape)
    return image


def read_row_annotation(manifest: Manifest, row: ManifestRow) -> LabelMap:
    """The sparse label map of a row: train ids, shape (H, W), the unlabelled value wherever there is no label.

    Raises:
        DataError: If there is none, it cannot be read, holds other classes, or has another size than the row says.
    """
    return _read_label_map(manifest, row, "annotation", "train_ids")


def read_row_full_mask(manifest: Manifest, row: ManifestRow) -> LabelMap:
    """The full label map of a row: train ids, shape (H, W), the unlabelled value at void pixels.

    Raises:
        DataError: If there is none, it cannot be read, holds other classes, or has another size than the row says.
    """
    return _read_label_map(manifest, row, "full_mask", manifest.info.mask_encoding)


def _read_label_map(manifest: Manifest, row: ManifestRow, column: str, encoding: Encoding) -> LabelMap:
    name: str = getattr(row, column)
    if not name:
        raise ManifestError(f"{manifest.path}: image '{row.image_id}' of split '{row.split}' has no {column}.")
    path = manifest.resolve(name)
    label_map = manifest.label_space.to_train_ids(read_mask(path), encoding, path)
    _check_size(manifest, row, name, label_map.shape)
    return label_map


def _check_size(manifest: Manifest, row: ManifestRow, name: str, shape: tuple[int, ...]) -> None:
    if shape[:2] != (row.height, row.width):
        raise ManifestError(
            f"{manifest.resolve(name)}: is {shape[0]}x{shape[1]} (height x width), but {manifest.path} says "
            f"{row.height}x{row.width} for image '{row.image_id}'. Give the files that the manifest was made from."
        )
