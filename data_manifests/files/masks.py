"""Read and write masks: files whose pixels are class ids, instance ids or class colours."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_manifests.encodings import CHANNELS, Encoding
from data_manifests.errors import DataError, counted
from data_manifests.files.decode import read_num_bands, read_samples
from data_manifests.files.paths import as_path
from data_manifests.files.samples import Samples
from data_manifests.label_maps import LabelMap, MaskValues
from data_manifests.label_space import LabelSpace


@overload
def read_mask(path: str | Path) -> LabelMap: ...


@overload
def read_mask(path: str | Path, encoding: Encoding) -> MaskValues: ...


def read_mask(path: str | Path, encoding: Encoding = "class_ids") -> MaskValues:
    """Read the raw values of a mask file, before any mapping to classes.

    Args:
        path: Image in a lossless format. Palette images yield indices, not colours; TIFFs yield stored values, also if
            0 is white. Whole-number floats are ids. A nodata value declared by the file that is not a valid id
            (-1, NaN) becomes 65535.
        encoding: How the file stores them. Ids come from the only channel, from several equal channels, or from the
            named channel. Each colour is one number: 65536 red + 256 green + blue.

    Returns:
        Ids, uint8 or uint16, or colours, uint32; shape (H, W).

    Raises:
        DataError: If the file is missing, damaged, too large, multi-page, a JPEG or lossy WebP (unless ``encoding``
            is nearest colours), or does not hold such values.
    """
    path = as_path(path)
    samples = read_samples(path)
    if samples.is_lossy and encoding != "nearest_colors":
        what = "lossy WebP" if samples.format == "WEBP" else "JPEG"
        raise DataError(
            f"{path}: {what} changes pixel values, so it cannot hold class ids. Export the mask as PNG; if its colours "
            "are near those of the classes, a classes.csv with r,g,b and --mask-values nearest-colors read them."
        )
    if encoding in ("colors", "nearest_colors"):
        rgb = _mask_rgb(path, samples).astype(np.uint32)
        return np.asarray(rgb[:, :, 0] << 16 | rgb[:, :, 1] << 8 | rgb[:, :, 2], np.uint32)
    return as_ids(path, _id_channel(path, samples, encoding), samples.nodata)


def read_instances(path: str | Path) -> LabelMap:
    """Read an instance mask: its values, or for colour masks one number from 1 per colour; black is 0.

    Raises:
        DataError: As for ``read_mask``, and if there are more colours than 16 bits can number.
    """
    path = as_path(path)
    if mask_channels(path) != "colors":
        return read_mask(path)
    codes = read_mask(path, "colors")
    colors, numbers = np.unique(codes, return_inverse=True)
    if len(colors) > 60_000:
        raise DataError(f"{path}: expected one colour per instance, got {len(colors):,} colours.")
    instances = numbers.reshape(codes.shape) + (colors[0] != 0)
    if len(colors) < 255:
        return np.asarray(instances, np.uint8)
    return np.asarray(np.where(codes > 0, instances + 1000, 0), np.uint16)  # below 1000: classes, as in Cityscapes


def mask_channels(path: str | Path) -> Literal["one", "equal", "colors", "several"]:
    """Kind of a mask: one channel, several equal channels, or several differing ones of 8 bits (colours) or more.

    Raises:
        DataError: As for ``read_mask``.
    """
    path = as_path(path)
    if read_num_bands(path) == 1:  # true of most masks; saves decoding them
        return "one"
    samples = read_samples(path)
    if samples.values.ndim == 2:
        return "one"
    if _agree(_without_alpha(samples)):
        return "equal"
    return "colors" if samples.values.dtype == np.uint8 else "several"


def encode_label_map(label_map: LabelMap, label_space: LabelSpace) -> bytes:
    """Encode a label map as PNG: palette image in the class colours, or 16-bit grey above 255 classes.

    Args:
        label_map: Train ids, shape (H, W), with ``label_space.unlabelled_value`` at void or unlabelled pixels.
        label_space: Provides the palette; unlabelled is white.
    """
    decoded = Image.fromarray(np.ascontiguousarray(label_map))
    if label_map.dtype == np.uint8:
        palette = np.full((256, 3), 255, np.uint8)
        palette[: label_space.num_classes] = label_space.palette
        decoded.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    # Run-length matching suits label maps: a third of the default's bytes at level 1, and as fast.
    decoded.save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


def pixel_sha256(pixels: MaskValues) -> str:
    """SHA-256 of an array's type, shape and pixels; independent of the file format.

    Example:
        >>> pixel_sha256(np.zeros((1, 2), np.uint8))[:16]
        '88eceb92137cdead'
    """
    kind = pixels.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{kind.str} {pixels.shape[0]} {pixels.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(pixels, kind).data)
    return digest.hexdigest()


def as_ids(path: Path, values: NDArray[Any], nodata: float | None = None) -> LabelMap:
    """Ids of any type and shape as uint8 or uint16, with 65535 for no data.

    Raises:
        DataError: If some are fractions, negative or above 65535.
    """
    if values.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    if nodata is not None and not (0 <= nodata <= 65535 and nodata == int(nodata)):
        missing |= values == np.asarray(nodata).astype(values.dtype) if values.dtype.kind == "f" else values == nodata
    there = values[~missing]
    if values.dtype.kind == "f" and not (there == np.floor(there)).all():
        raise DataError(f"{path}: expected a mask of class ids, got fractions such as {_first_fraction(there)}.")
    low, high = there.min(initial=0), there.max(initial=0)
    if low < 0 or high > 65535:
        raise DataError(
            f"{path}: mask values must lie between 0 and 65535, got {low}..{high}. If {low if low < 0 else high} "
            "means no data, write 255 there."
        )
    if values.dtype == np.int8 and not missing.any():
        return values.astype(np.uint8)
    ids = np.where(missing, 0, values).astype(np.uint16)
    ids[missing] = 65535
    return ids


def _without_alpha(samples: Samples) -> NDArray[Any]:
    return samples.values[:, :, :-1] if samples.has_alpha else samples.values


def _agree(channels: NDArray[Any]) -> bool:
    """Whether all channels of shape (H, W, channels) are equal."""
    return bool((channels[:, :, :1] == channels[:, :, 1:]).all())


def _id_channel(path: Path, samples: Samples, encoding: Encoding) -> NDArray[Any]:
    """The channel that holds the ids, shape (H, W)."""
    values = samples.values
    if (index := CHANNELS.get(encoding)) is not None:
        channels = values if values.ndim == 3 else values[:, :, np.newaxis]
        if encoding == "alpha" and samples.has_alpha:
            index = channels.shape[2] - 1
        if index >= channels.shape[2] - (samples.has_alpha and encoding != "alpha"):
            raise DataError(f"{path}: has no channel '{encoding}'; it is a {samples.mode} image.")
        return channels[:, :, index]
    if values.ndim == 2:
        return values
    size = f"{values.shape[1]}x{values.shape[0]}"
    if not _agree(_without_alpha(samples)) or (values.shape[2] == 4 and not samples.has_alpha and not _agree(values)):
        raise DataError(
            f"{path}: expected a one-channel mask of class ids, got a {samples.mode} image of {size} whose "
            f"{values.shape[2]} channels differ. If one of them holds the ids, name it: --mask-channel red. If this "
            "is a colour-coded mask, give the r,g,b of its classes in a classes.csv."
        )
    if samples.has_alpha and (holes := int(np.count_nonzero(values[:, :, -1] != _opaque(values)))):
        raise DataError(
            f"{path}: {counted(holes, 'pixel')} of this mask of class ids are transparent. If they are void, write 255 "
            "there; to ignore transparency, give --mask-channel red."
        )
    return np.ascontiguousarray(values[:, :, 0])


def _opaque(values: NDArray[Any]) -> int:
    return int(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" else 1


def _first_fraction(values: NDArray[Any]) -> float:
    return float(values[values != np.floor(values)][0])


def _mask_rgb(path: Path, samples: Samples) -> NDArray[np.uint8]:
    """Colours of a mask, uint8, shape (H, W, 3)."""
    values = samples.values
    if samples.palette is not None:
        colors = np.zeros((256, 3), np.uint8)
        colors[: len(samples.palette)] = samples.palette[:256]
        shown: NDArray[np.uint8] = colors[values]
        return shown
    if values.dtype != np.uint8 or (values.ndim == 3 and values.shape[2] == 2):
        raise DataError(f"{path}: expected a mask of colours with 8 bits each, got a {samples.mode} image.")
    return np.repeat(values[:, :, np.newaxis], 3, axis=2) if values.ndim == 2 else values[:, :, :3]
