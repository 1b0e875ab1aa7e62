"""Read and write images and label maps; the only module that knows image file formats."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data_manifests.encodings import CHANNELS, Encoding
from data_manifests.errors import DataError, counted
from data_manifests.files.decode import read_header, read_num_bands, read_rgb, read_samples
from data_manifests.files.paths import as_path, files_below, is_remote, upload
from data_manifests.files.samples import Samples
from data_manifests.label_maps import LabelMap, MaskValues
from data_manifests.label_space import LabelSpace

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
        DataError: If the file is missing, damaged, too large, multi-page, a JPEG (unless ``encoding`` is
            nearest colours), or does not hold such values.
    """
    path = as_path(path)
    samples = read_samples(path)
    if samples.format in ("JPEG", "MPO") and encoding != "nearest_colors":
        raise DataError(
            f"{path}: JPEG changes pixel values, so it cannot hold class ids. Export the mask as PNG; if its colours "
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


def is_eight_bits(path: str | Path) -> bool:
    """Whether the values of an image are bytes.

    Raises:
        DataError: As for ``read_image``.
    """
    return bool(read_samples(as_path(path)).values.dtype == np.uint8)


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


def encode_image(image: LabelMap, format_: str = "PNG") -> bytes:
    """Bytes of an RGB image of shape (H, W, 3) as PNG, JPEG or PDF, or of grey values of shape (H, W) as PNG."""
    buffer = io.BytesIO()
    # Each writer reads its own option and ignores the others.
    Image.fromarray(image).save(buffer, format_, compress_level=3, quality=92, resolution=150.0)
    return buffer.getvalue()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; move the file to ``path`` (creating its folder) if the block succeeds.

    Pipes and devices, such as ``/dev/stdout``, are written directly.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, path.name)
            upload(Path(folder, path.name), path)
        return
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file's name may already have the maximum length, so nothing is appended to it. Thread ids are unique on the
    # machine, so that two threads or processes can write the same file.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    partial = path.with_name(f".{path.name[:32]}.{digest}.{threading.get_native_id()}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial)):  # a full disk reports no path
            error.filename = str(path)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove partial files of killed processes (see ``atomic_path``) at any depth of a local folder."""
    for path in folder.rglob(".*.partial"):
        path.unlink()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically, creating its folder; readers never see a partial file."""
    if is_remote(path):
        path.write_bytes(data)
        return
    with atomic_path(path) as partial:
        partial.write_bytes(data)


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
