"""Decode image files into their stored samples, oriented as viewers show them."""

from __future__ import annotations

import errno
import io
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from data_manifests.errors import DataError
from data_manifests.files.headers import plain_header
from data_manifests.files.paths import as_path, is_endless, is_remote, open_start
from data_manifests.files.samples import MAX_PIXELS_VARIABLE, Header, Samples, as_shown, max_pixels, turn
from data_manifests.files.tiff import (
    check_tiff_is_whole,
    is_tiff,
    tiff_bands,
    tiff_header,
    tiff_kind,
    tiff_palette,
    tiff_samples,
)

#: Pillow's modes with an alpha channel.
_WITH_ALPHA = ("LA", "RGBA", "PA", "La", "RGBa")

#: Last bytes of intact files, by Pillow's name of the format.
_ENDS = {"PNG": b"IEND\xaeB`\x82", "JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "GIF": b";"}

#: First bytes of the formats that are read.
_SIGNATURES = (b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"RIFF", b"II", b"MM")


def read_header(path: Path) -> Header:
    """Size and orientation of an image, without decoding it.

    Raises:
        DataError: If the file is missing, is not an image, has too many pixels, or has several pages.
    """
    path = as_path(path)
    try:
        if not is_remote(path) and (plain := plain_header(path)):
            return plain
        _check_is_file(path)
        with open_start(path) as file:
            if is_tiff(file):
                return tiff_header(path, file)
            with _parse(file) as decoded:
                return _header(path, decoded)
    except Exception as error:  # readers raise undocumented errors on damaged bytes
        raise _unreadable(path, error) from error


def check_is_whole(path: Path) -> None:
    """Check that an image file does not end early, as an interrupted copy does.

    The last bytes tell it in most cases; the image is decoded where they do not. Object stores are not asked.

    Raises:
        DataError: As for ``read_samples``.
    """
    if is_remote(path):
        return
    try:
        with _open(path) as file:
            if is_tiff(file):
                return check_tiff_is_whole(path, file)
            expected = _ENDS.get(_parse(file).format or "")
            file.seek(-min(64, file.seek(0, io.SEEK_END)), io.SEEK_END)
            if expected and file.read().rstrip(b"\0").endswith(expected):
                return
    except Exception as error:  # see read_header
        raise _unreadable(path, error) from error
    read_samples(path)


def read_num_bands(path: Path) -> int:
    """Number of bands of an image, without decoding it; a palette image has one.

    Raises:
        DataError: As for ``read_header``.
    """
    try:
        with _open(path) as file:
            return tiff_bands(path, file) if is_tiff(file) else len(_parse(file).getbands())
    except Exception as error:  # see read_header
        raise _unreadable(path, error) from error


def read_palette(path: Path) -> NDArray[np.uint8] | None:
    """Colours of a palette image, shape (N, 3), without decoding it; None for other images.

    Raises:
        DataError: As for ``read_header``.
    """
    try:
        with _open(path) as file:
            return tiff_palette(path, file) if is_tiff(file) else _palette(_parse(file))
    except Exception as error:  # see read_header
        raise _unreadable(path, error) from error


def read_samples(path: Path) -> Samples:
    """Decode an image without changing a value.

    Raises:
        DataError: As for ``read_header``, and if the file is damaged or needs a package that is not installed.
    """
    try:
        with _open(path) as file:
            if not is_tiff(file):
                return _pillow_samples(path, file)
            try:
                return tiff_samples(path, file)
            except NotImplementedError as error:
                return tiff_kind(path, file, _tiff_by_pillow(path, file, error))
    except Exception as error:  # see read_header
        raise _unreadable(path, error) from error


def read_rgb(path: Path) -> NDArray[np.uint8] | None:
    """Decode an 8-bit image of any colour mode as viewers show it.

    Returns:
        RGB, uint8, shape (H, W, 3); None for TIFF and for deeper samples, whose display range the user must give.

    Raises:
        DataError: As for ``read_header``, and if the file is damaged.
    """
    try:
        with _open(path) as file:
            if is_tiff(file):
                return None
            decoded = _parse(file)
            header = _header(path, decoded)
            if decoded.mode[0] in "IF" or _is_deep(decoded):
                return None
            decoded.load()
            decoded.info.pop("transparency", None)  # Pillow warns about it, and alpha is dropped anyway
            return turn(np.asarray(decoded.convert("RGB")), header.orientation)
    except Exception as error:  # see read_header
        raise _unreadable(path, error) from error


def _open(path: Path) -> IO[bytes]:
    _check_is_file(path)
    return io.BytesIO(path.read_bytes()) if is_remote(path) else path.open("rb")


def _check_is_file(path: Path) -> None:
    if is_endless(path):
        raise OSError(errno.EINVAL, "it is a pipe or a device")


def _parse(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open an image file without decoding it."""
    file.seek(0)
    # We enforce our own limit; Pillow must not refuse what the user allows.
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels() > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large images, and damaged EXIF, of which ``_header`` tells
        return Image.open(file)


def _header(path: Path, decoded: Image.Image) -> Header:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exif = Image.Image.getexif(decoded)  # PNG's own getexif would decode all pixels first
    if decoded.format != "MPO" and getattr(decoded, "is_animated", False):  # MPO: a photo with its preview
        raise DataError(f"{path}: holds several frames; expected one image. Save the right one as a file of its own.")
    header = as_shown(path, decoded.height, decoded.width, exif.get(ExifTags.Base.Orientation, 1))
    has_alpha = decoded.mode in _WITH_ALPHA or "transparency" in decoded.info
    return replace(header, has_alpha=has_alpha, exif_is_damaged=_is_damaged(decoded.info.get("exif")))


def _is_damaged(exif: object) -> bool:
    """Whether Pillow cannot read the bytes of an EXIF block."""
    if not isinstance(exif, bytes) or not exif:
        return False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            Image.Exif().load(exif)
        except Exception:  # readers raise undocumented errors on damaged bytes
            return True
    return bool(caught)


def _raw_modes(decoded: ImageFile.ImageFile) -> list[str]:
    """Pillow's raw mode for the tiles of an image, such as ``RGB;16B``."""
    parts = [mode for tile in decoded.tile for mode in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))]
    return [mode for mode in parts if isinstance(mode, str)]


def _is_deep(decoded: ImageFile.ImageFile) -> bool:
    """Whether Pillow would drop the lower half of each sample's bits."""
    return not decoded.mode.startswith("I") and any(";16" in mode for mode in _raw_modes(decoded))


def _pillow_samples(path: Path, file: IO[bytes]) -> Samples:
    decoded = _parse(file)
    header = _header(path, decoded)
    mode, format_ = decoded.mode, decoded.format or ""
    if _is_deep(decoded):
        values = _deep(file)
    else:
        # Pillow stretches 2-bit and 4-bit grey values to 0..255.
        raw_modes = _raw_modes(decoded)
        stretch = 85 if "L;2" in raw_modes else 17 if "L;4" in raw_modes else 1
        decoded.load()
        values = _stored(decoded)
        values = values if stretch == 1 else values // np.uint8(stretch)
    palette = _palette(decoded) if mode == "P" else None
    is_lossy = format_ in ("JPEG", "MPO") or (format_ == "WEBP" and _is_lossy_webp(file))
    values = turn(values, header.orientation)
    return Samples(values, format_, mode, palette, has_alpha=mode in _WITH_ALPHA, is_lossy=is_lossy)


def _is_lossy_webp(file: IO[bytes]) -> bool:
    """Whether the pixels of a WebP are in a chunk ``VP8``, not in one ``VP8L``, which is lossless."""
    file.seek(12)
    while len(head := file.read(8)) == 8 and head[:4] not in (b"VP8 ", b"VP8L"):
        size = int.from_bytes(head[4:], "little")
        file.seek(size + size % 2, io.SEEK_CUR)
    return head[:4] == b"VP8 "


def _palette(decoded: Image.Image) -> NDArray[np.uint8] | None:
    if decoded.mode != "P":
        return None
    return np.array(decoded.getpalette("RGB") or [], np.uint8).reshape(-1, 3)


def _stored(decoded: Image.Image) -> NDArray[Any]:
    """Samples of a decoded image, unchanged; colour modes such as CMYK become RGB."""
    if decoded.mode not in ("1", "P", "L", "LA", "RGB", "RGBA", "F") and decoded.mode[0] != "I":
        decoded.info.pop("transparency", None)
        decoded = decoded.convert("RGB")
    values = np.asarray(decoded)
    return values.astype(np.uint8) if values.dtype == np.bool_ else values


def _deep(file: IO[bytes]) -> NDArray[Any]:
    """Multi-band 16-bit samples (R, G, B and optional alpha), of which Pillow would keep only the upper byte."""
    file.seek(0)
    values = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise OSError("OpenCV cannot decode it")
    if values.ndim == 3:
        values = values[:, :, [2, 1, 0, *range(3, values.shape[2])]]
    return values


def _tiff_by_pillow(path: Path, file: IO[bytes], reason: Exception) -> NDArray[Any]:
    """Stored samples of a TIFF whose compression tifffile does not support, oriented as shown."""
    orientation = tiff_header(path, file).orientation
    bands = tiff_bands(path, file)
    if bands > 4:  # Pillow would log an error
        return turn(_by_gdal(path, file, reason), orientation)
    try:
        decoded = _parse(file)
    except UnidentifiedImageError:
        return turn(_by_gdal(path, file, reason), orientation)
    if bands > len(decoded.getbands()):  # Pillow reads only the first plane
        return turn(_by_gdal(path, file, reason), orientation)
    if _is_deep(decoded):  # OpenCV has its own orientation rules
        return _deep(file) if orientation == 1 else turn(_by_gdal(path, file, reason), orientation)
    raw_modes, mode = _raw_modes(decoded), decoded.mode
    if decoded.tile[0][0] == "raw" and orientation >= 5:  # Pillow maps rows with the wrong length
        raise DataError(f"{path}: cannot decode a {mode} image that is stored rotated. Save it upright.")
    decoded.load()
    values = _stored(decoded)
    bits = next((bits for bits in (2, 4) if any(raw.startswith(f"L;{bits}") for raw in raw_modes)), 8)
    if values.dtype == np.uint8 and bits < 8:
        values = values // np.uint8(255 // (2**bits - 1))
    if mode in ("1", "L") and any("I" in raw.partition(";")[2] for raw in raw_modes):
        values = np.uint8(1 if mode == "1" else 2**bits - 1) - values  # Pillow inverts "0 is white"
    return values


def _by_gdal(path: Path, file: IO[bytes], reason: Exception) -> NDArray[Any]:
    """Stored samples, read by rasterio, which supports every compression and number of bands."""
    try:
        from rasterio.io import MemoryFile
    except ImportError as error:
        raise DataError(
            f"{path}: needs a package that is not installed ({reason}): pip install 'sparsekit-agmm[geo]'"
        ) from error
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. for an image without coordinates
        with MemoryFile(file.read()) as memory, memory.open() as dataset:
            values: NDArray[Any] = dataset.read()
    return values[0] if len(values) == 1 else np.moveaxis(values, 0, 2)


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file.")
    if isinstance(error, OSError) and error.strerror:  # from the system; Pillow's own errors have none
        return DataError(f"{path}: cannot be opened ({error.strerror}).")
    if isinstance(error, Image.DecompressionBombError):
        found = re.search(r"\d+", str(error))  # Pillow's words: Image size (182250000 pixels) exceeds ...
        pixels = int(found[0]) if found else max_pixels() + 1
        return DataError(
            f"{path}: has {pixels:,} pixels; the limit is {max_pixels():,}. If this size is intended, set "
            f"{MAX_PIXELS_VARIABLE}={pixels}; otherwise cut it into tiles."
        )
    if isinstance(error, UnidentifiedImageError) and not (start := _start(path)).startswith(_SIGNATURES):
        what = "is not an image of a format that is read" if start else "is an empty file"
        return DataError(f"{path}: {what}; expected PNG, JPEG, TIFF, BMP, GIF or WebP.")
    reason = "its header is unreadable" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"{path}: the image is damaged or incomplete ({reason}). Copy or download it again.")


def _start(path: Path) -> bytes:
    with open_start(path) as file:
        return file.read(8)
