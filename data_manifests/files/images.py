"""Read and write images and label maps: the only place that knows file formats."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from data_manifests.errors import DataError
from data_manifests.files.paths import as_path, files_below, is_remote, open_start, upload
from data_manifests.label_space import LabelMap, LabelSpace

#: File name endings taken for images and masks.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """Read an image.

    Args:
        path: File in any format that Pillow reads; of 16-bit grey the upper eight bits are taken. An EXIF rotation is
            ignored, since masks carry none.

    Returns:
        RGB, uint8, shape (H, W, 3).

    Raises:
        DataError: If the file is missing, damaged, or no image.
    """
    path = as_path(path)
    decoded, _ = _open(path)
    if decoded.mode == "F":
        raise DataError(f"{path}: expected an image of 8 or 16 bits, got one of floats. Scale it to 0..255 first.")
    if decoded.mode.startswith("I"):
        grey = np.clip(np.asarray(decoded), 0, 65535).astype(np.uint16) >> 8
        return np.repeat(grey.astype(np.uint8)[:, :, np.newaxis], 3, axis=2)
    decoded.info.pop("transparency", None)  # Pillow warns of it, and alpha is dropped anyway
    return np.asarray(decoded.convert("RGB"))


def read_image_size(path: str | Path) -> tuple[int, int]:
    """Height and width in pixels from the header alone, without decoding the image.

    Raises:
        DataError: If the file is missing or no image.
    """
    path = as_path(path)
    try:
        _check_is_file(path)
        with open_start(path) as file, _parse(file) as decoded:
            return decoded.height, decoded.width
    except Exception as error:  # of what each reader of Pillow raises on damaged bytes there is no list
        raise _unreadable(path, error) from error


def has_exif_rotation(path: Path) -> bool:
    """Whether viewers show the image turned or mirrored, unlike ``read_image``.

    Raises:
        DataError: If the file is missing or no image.
    """
    try:
        _check_is_file(path)
        with path.open("rb") as file, _parse(file) as decoded:
            return bool(decoded.getexif().get(ExifTags.Base.Orientation, 1) != 1)
    except Exception as error:  # see read_image_size
        raise _unreadable(path, error) from error


def read_mask(path: str | Path) -> LabelMap:
    """Read the values of a mask file as they are, before any translation.

    Args:
        path: One-channel image of 1 to 16 bits, grey or palette (the indices are read, not the colours), in a format
            that keeps every value. Of three equal channels, all that WebP can store, one is read.

    Returns:
        Values, uint8 or uint16, shape (H, W).

    Raises:
        DataError: If the file is missing, damaged, a JPEG, or holds colours instead of ids.
    """
    path = as_path(path)
    # Pillow and never cv2 here: cv2 turns the indices of a palette into colours.
    decoded, stretch = _open(path)
    if decoded.format == "JPEG":
        raise DataError(f"{path}: JPEG changes pixel values, so it cannot hold class ids. Export the mask as PNG.")
    values = np.asarray(decoded)
    if values.ndim == 3 and values.shape[2] >= 3 and (values[:, :, :1] == values[:, :, 1:3]).all():
        values = np.ascontiguousarray(values[:, :, 0])
    if values.ndim != 2 or values.dtype.kind == "f":
        raise DataError(
            f"{path}: expected a one-channel mask of class ids, got a {decoded.mode} image of "
            f"{decoded.width}x{decoded.height}; is this a colour-coded mask? Convert its colours to ids first."
        )
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    if values.dtype == np.uint8:
        return values if stretch == 1 else values // np.uint8(stretch)
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise DataError(f"{path}: mask values must lie between 0 and 65535, got {values.min()}..{values.max()}.")
    return values.astype(np.uint16)


def encode_label_map(label_map: LabelMap, label_space: LabelSpace) -> bytes:
    """PNG bytes of a label map: a palette image in the class colours, or 16-bit grey above 255 classes.

    Args:
        label_map: Train ids, shape (H, W), with ``label_space.unlabelled_value`` at void or unlabelled pixels.
        label_space: Gives the palette; unlabelled is drawn white.
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
    # Each writer reads its own option and passes over the others.
    Image.fromarray(image).save(buffer, format_, compress_level=3, quality=92, resolution=150.0)
    return buffer.getvalue()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a path to write to, and move the file to ``path``, making its folder, when the block ends well.

    Pipes and devices, such as ``/dev/stdout``, are written to themselves.
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
    # The file's own name may be as long as the system allows: not a letter could be added to it. Threads have numbers
    # that no process of the machine shares, so that two can write the same file.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    partial = path.with_name(f".{path.name[:32]}.{digest}.{threading.get_native_id()}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial)):  # a full disk does not say where
            error.filename = str(path)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes were writing by ``atomic_path``, at any depth of a folder of this machine."""
    for path in folder.rglob(".*.partial"):
        path.unlink()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, making its folder; readers never see a part of it."""
    if is_remote(path):
        path.write_bytes(data)
        return
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


def list_images(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Images below a folder at any depth, sorted; links are followed, hidden files and folders passed over.

    A folder that is not there holds none.

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
            folders.clear()  # a link back to a folder above
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, n) for n in names if n.lower().endswith(endings) and not n.startswith(".")]
    return sorted(found, key=os.fspath)


def _refuse_unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _open(path: Path) -> tuple[Image.Image, int]:
    """The decoded image, and the factor by which Pillow has multiplied its values."""
    try:
        _check_is_file(path)
        decoded = _parse(io.BytesIO(path.read_bytes()))
        # Of grey images with 2 or 4 bits a pixel Pillow stretches the values to 0..255.
        raw_modes = {mode for tile in decoded.tile for mode in (tile[3] if isinstance(tile[3], tuple) else tile[3:])}
        stretch = 85 if "L;2" in raw_modes else 17 if "L;4" in raw_modes else 1
        decoded.load()
    except Exception as error:  # see read_image_size
        raise _unreadable(path, error) from error
    return decoded, stretch


def _parse(file: IO[bytes]) -> ImageFile.ImageFile:
    """The image of a file, not yet decoded."""
    with warnings.catch_warnings():
        # Pillow refuses images above a limit, and warns from half of it on; satellites take images of that size.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file)


def _check_is_file(path: Path) -> None:
    """Keep off pipes, which make a reader wait for ever, and devices, which have no end."""
    if not is_remote(path) and path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "it is a pipe or a device")


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: no such file.")
    if isinstance(error, OSError) and error.strerror:  # of the system; Pillow's own have none
        return DataError(f"{path}: cannot be opened ({error.strerror}).")
    if isinstance(error, Image.DecompressionBombError):
        return DataError(
            f"{path}: larger than the {2 * (Image.MAX_IMAGE_PIXELS or 0)} pixels that are read. Cut it into tiles."
        )
    reason = "not an image that can be read" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"{path}: the image is damaged or incomplete ({reason}). Copy or download it again.")
