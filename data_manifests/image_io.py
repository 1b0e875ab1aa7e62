"""Read and write pictures and label maps: the only place that knows file formats."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from data_manifests.errors import DataError
from data_manifests.label_space import LabelMap, LabelSpace

#: File name endings taken for pictures and masks.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")

_ID_MODES = {"L", "P", "1", "I", "I;16", "I;16B", "I;16L"}


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture.

    Args:
        path: File in any format that Pillow reads. An EXIF rotation is ignored, since masks carry none.

    Returns:
        RGB, uint8, shape (H, W, 3).

    Raises:
        DataError: If the file is missing, damaged, or no picture.
    """
    return np.asarray(_open(path).convert("RGB"))


def read_image_size(path: Path) -> tuple[int, int]:
    """Height and width in pixels from the header alone, without decoding the picture.

    Raises:
        DataError: If the file is missing or no picture.
    """
    try:
        with path.open("rb") as file, Image.open(file) as picture:
            return picture.height, picture.width
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error


def read_mask(path: Path) -> LabelMap:
    """Read the values of a mask file as they are, before any translation.

    Args:
        path: One-channel picture: grey, palette (the indices are read, not the colours), 8 or 16 bits.

    Returns:
        Values, uint8 or uint16, shape (H, W).

    Raises:
        DataError: If the file is missing, damaged, or holds colours instead of ids.
    """
    # Pillow and never cv2 here: cv2 turns the indices of a palette into colours.
    picture = _open(path)
    if picture.mode not in _ID_MODES:
        raise DataError(
            f"{path}: expected a one-channel mask of class ids, got a {picture.mode} picture of "
            f"{picture.width}x{picture.height}; is this a colour-coded mask? Convert its colours to ids first."
        )
    values = np.asarray(picture)
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise DataError(f"{path}: mask values must lie between 0 and 65535, got {values.min()}..{values.max()}.")
    return values.astype(np.uint16)


def encode_label_map(label_map: LabelMap, label_space: LabelSpace) -> bytes:
    """PNG bytes of a label map: a palette picture in the class colours, or 16-bit grey above 255 classes.

    Args:
        label_map: Train ids, shape (H, W), with ``label_space.unlabelled_value`` at void or unlabelled pixels.
        label_space: Gives the palette; unlabelled is drawn white.
    """
    picture = Image.fromarray(np.ascontiguousarray(label_map))
    if label_map.dtype == np.uint8:
        palette = np.full((256, 3), 255, np.uint8)
        palette[: label_space.num_classes] = label_space.palette
        picture.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    # Run-length matching suits label maps: a third of the default's bytes at level 1, and as fast.
    picture.save(buffer, "PNG", compress_level=1, compress_type=3)
    return buffer.getvalue()


def encode_image(image: NDArray[np.uint8], format_: str = "PNG") -> bytes:
    """Bytes of an RGB picture of shape (H, W, 3), as PNG, JPEG or PDF."""
    buffer = io.BytesIO()
    # Each writer reads its own option and passes over the others.
    Image.fromarray(image).save(buffer, format_, compress_level=3, quality=92, resolution=150.0)
    return buffer.getvalue()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path beside ``path`` to write to, and move it there when the block ends well; else remove it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, making its folder; readers never see a part of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as partial:
        partial.write_bytes(data)


def pixel_sha256(pixels: LabelMap) -> str:
    """SHA-256 over type, shape and pixels of an array; equal for equal pixels in whatever file format.

    Example:
        >>> pixel_sha256(np.zeros((1, 2), np.uint8))[:16]
        '88eceb92137cdead'
    """
    kind = pixels.dtype.newbyteorder("<")
    digest = hashlib.sha256(f"{kind.str} {pixels.shape[0]} {pixels.shape[1]}\n".encode())
    digest.update(np.ascontiguousarray(pixels, kind).data)
    return digest.hexdigest()


def list_pictures(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Pictures below a folder at any depth, sorted; hidden files are passed over."""
    return sorted(
        p for p in folder.rglob("*") if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file()
    )


def _open(path: Path) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(path.read_bytes()))
        picture.load()
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from error
    return picture


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file.")
    reason = "not a picture that can be read" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"{path}: the picture is damaged or incomplete ({reason}). Copy or download it again.")
