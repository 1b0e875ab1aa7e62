"""Read images as viewers show them, encode them, and list them in a folder."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_manifests.errors import DataError, counted
from data_manifests.files.decode import read_header, read_rgb, read_samples
from data_manifests.files.paths import as_path, files_below, is_remote
from data_manifests.files.samples import Samples
from data_manifests.label_maps import LabelMap

#: File name extensions of images and masks.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".jfif", ".tif", ".tiff", ".bmp", ".gif", ".webp")


def read_image(
    path: str | Path, bands: Sequence[int] | None = None, value_range: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """Read an image as viewers show it: EXIF orientation applied, 8 bits, alpha dropped.

    Args:
        path: File in any format that Pillow or tifffile reads.
        bands: Red, green and blue band, counted from 1, or a single grey band. Any other number of bands is returned
            as it is, for networks. By default the only band, or the first three of an RGB image.
        value_range: Values shown as black and white. By default 0 and 255 for 8-bit images; for 16-bit ones 0 and 4095
            if no value exceeds that (12-bit cameras and microscopes), otherwise 0 and 65535.

    Returns:
        RGB, uint8, shape (H, W, 3), or (H, W, len(bands)).

    Raises:
        DataError: If the file is missing, damaged, not an image, too large or multi-page, or if the display of its
            bands or floats is ambiguous.
        ValueError: If ``bands`` or ``value_range`` is invalid.
    """
    path = as_path(path)
    if bands is None and value_range is None and (rgb := read_rgb(path)) is not None:
        return rgb
    return show_samples(path, read_samples(path), bands, value_range)


def show_samples(
    path: Path, samples: Samples, bands: Sequence[int] | None = None, value_range: tuple[float, float] | None = None
) -> NDArray[np.uint8]:
    """See ``read_image``; for samples that are decoded already. ``path`` names them in messages."""
    if samples.palette is not None and bands is None and value_range is None:
        return np.asarray(samples.palette[samples.values], np.uint8)
    values = shown_bands(path, samples, bands)
    shown = _in_eight_bits(path, values, value_range, samples.peak)
    if samples.white_is_zero:
        shown = 255 - shown
    return np.repeat(shown, 3, axis=2) if shown.shape[2] == 1 else shown


def read_image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in pixels as displayed, from the header alone.

    Raises:
        DataError: If the file is missing, not an image, too large, or has several pages.
    """
    header = read_header(as_path(path))
    return header.height, header.width


def exif_orientation(path: str | Path) -> int:
    """EXIF orientation, 1 (upright) to 8, which viewers and ``read_image`` apply.

    Raises:
        DataError: If the file is missing, not an image, too large, or has several pages.
    """
    return read_header(as_path(path)).orientation


def is_eight_bits(path: str | Path) -> bool:
    """Whether the values of an image are bytes.

    Raises:
        DataError: As for ``read_image``.
    """
    return bool(read_samples(as_path(path)).values.dtype == np.uint8)


def encode_image(image: LabelMap, format_: str = "PNG") -> bytes:
    """Bytes of an RGB image of shape (H, W, 3) as PNG, JPEG or PDF, or of grey values of shape (H, W) as PNG."""
    buffer = io.BytesIO()
    # Each writer reads its own option and ignores the others.
    Image.fromarray(image).save(buffer, format_, compress_level=3, quality=92, resolution=150.0)
    return buffer.getvalue()


def list_images(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Images below a folder at any depth, sorted; follows links, skips hidden files and folders.

    A missing folder yields none.

    Raises:
        OSError: If a folder cannot be read.
    """
    endings = tuple(suffixes)
    if is_remote(folder):
        return sorted((path for path in files_below(folder) if path.name.lower().endswith(endings)), key=str)
    found = []
    seen: set[str] = set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_refuse_unreadable):
        if (real := os.path.realpath(parent)) in seen:
            folders.clear()  # a link back to a parent folder
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, n) for n in names if n.lower().endswith(endings) and not n.startswith(".")]
    return sorted(found, key=os.fspath)


def _refuse_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def shown_bands(path: Path, samples: Samples, bands: Sequence[int] | None) -> NDArray[Any]:
    """The bands that are read, shape (H, W, bands)."""
    values = samples.values if samples.values.ndim == 3 else samples.values[:, :, np.newaxis]
    if bands is None:
        colors = values.shape[2] - samples.has_alpha
        if colors == 1 or colors == 3 or (colors > 3 and samples.mode.startswith("RGB")):
            return values[:, :, : 1 if colors == 1 else 3]
        raise DataError(
            f"{path}: has {values.shape[2]} bands, and it is unknown which are red, green and blue. Name them, such as "
            "--bands 3,2,1."
        )
    if not bands or min(bands) < 1:
        raise ValueError(f"bands must be numbers from 1 on, got {list(bands)}.")
    if max(bands) > values.shape[2]:
        raise DataError(f"{path}: has {counted(values.shape[2], 'band')}, so there is no band {max(bands)}.")
    return values[:, :, [band - 1 for band in bands]]


def _in_eight_bits(
    path: Path, values: NDArray[Any], value_range: tuple[float, float] | None, peak: int | None
) -> NDArray[np.uint8]:
    if value_range is not None:
        low, high = value_range
        if not low < high:
            raise ValueError(f"value_range must be two numbers, the smaller first, got {value_range}.")
        shown = (np.nan_to_num(values.astype(np.float32), nan=low) - low) * (255 / (high - low))
        return np.asarray(np.clip(np.rint(shown), 0, 255), np.uint8)
    if values.dtype.kind == "f":
        raise DataError(
            f"{path}: expected an image of 8 or 16 bits, got floats. Give the values of black and white, such as "
            "--value-range 0,1, or scale it to 0..255."
        )
    if values.dtype == np.uint8:
        return values
    if (low := values.min(initial=0)) < 0:
        raise DataError(
            f"{path}: has values below 0, down to {low}. Give the values of black and white, such as --value-range "
            "-160,240 for soft tissue in CT."
        )
    clipped = np.clip(values, 0, 65535).astype(np.uint16)
    largest = clipped.max(initial=0) if peak is None else peak
    return np.asarray(clipped >> (4 if largest < 4096 else 8), np.uint8)
