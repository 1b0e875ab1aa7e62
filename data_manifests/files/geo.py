"""Georeferenced label maps: GeoTIFF with the coordinates of their image."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from data_manifests.files.atomic import atomic_path
from data_manifests.files.paths import is_remote
from data_manifests.files.tiff import is_placed
from data_manifests.label_maps import LabelMap


def is_georeferenced(path: Path) -> bool:
    """Whether an image is a georeferenced TIFF; the file must be readable."""
    if path.suffix.lower() not in (".tif", ".tiff") or is_remote(path):
        return False
    return is_placed(path)


def write_georeferenced(path: Path, label_map: LabelMap, source: Path, no_data: int) -> bool:
    """Write a label map as GeoTIFF with the coordinate system and transform of an image.

    Args:
        path: Output file.
        label_map: Train ids, shape (H, W).
        source: The image, of the same size.
        no_data: Value of unlabelled pixels.

    Returns:
        Whether it was written; False if rasterio is not installed.
    """
    try:
        import rasterio
    except ImportError:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(source) as image:
            profile: dict[str, Any] = {"crs": image.crs, "transform": image.transform}
        height, width = label_map.shape
        profile |= {"driver": "GTiff", "height": height, "width": width, "count": 1, "dtype": label_map.dtype.name}
        with (
            atomic_path(path) as partial,
            rasterio.open(partial, "w", nodata=no_data, compress="deflate", **profile) as file,
        ):
            file.write(label_map, 1)
    return True
