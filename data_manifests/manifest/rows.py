"""Read the images and label maps that a manifest names, and check them against its rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_manifests.encodings import Encoding
from data_manifests.errors import ManifestError, counted, list_some
from data_manifests.files.masks import pixel_sha256, read_mask
from data_manifests.files.paths import is_remote
from data_manifests.label_maps import LabelMap, MaskValues
from data_manifests.manifest.schema import Manifest, ManifestRow

#: Kinds of addresses that need no consent: files, and stores that are opened with the user's own credentials.
_STORES = ("file", "memory", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "hdfs")

#: Advice for files that are not where a manifest says.
MOVED_ADVICE = (
    "If the dataset or the manifest has moved, give the dataset's folder with --data-root, or update the manifest "
    "with `sparsekit relocate`."
)


def read_row_image(manifest: Manifest, row: ManifestRow) -> NDArray[np.uint8]:
    """The image of a row, RGB, uint8, shape (H, W, 3).

    Raises:
        DataError: If it cannot be read, or has another size than the row says.
    """
    if not row.image:
        raise ManifestError(
            f"{manifest.path}: image '{row.image_id}' has no file; the annotation was made from masks only, but "
            "figures and training need images. Create it again with --images DIR and --masks DIR."
        )
    path = row_file(manifest, row.image)
    image = manifest.info.images.read(path)
    check_size(manifest, row, path, image.shape)
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
    path = row_file(manifest, name)
    values = read_mask(path, encoding)
    label_map = manifest.label_space.to_train_ids(values, encoding, path)
    check_size(manifest, row, path, label_map.shape)
    check_pixels(path, values, getattr(row, f"{column}_sha256"))
    return label_map


def require_no_web(manifest: Manifest) -> None:
    """Reject rows and settings that would connect to an unknown server; stores require the reader's own credentials.

    Raises:
        ManifestError: If one would.
    """
    if named := next(_web_addresses(manifest), None):
        where, address = named
        raise ManifestError(
            f"{manifest.path}: {where} would open a connection to {address}. Give --allow-remote if you trust the "
            "manifest, or download the files and give --data-root."
        )


def names_web(manifest: Manifest) -> bool:
    """Whether rows or settings of a manifest name an unknown server, as ``require_no_web`` rejects."""
    return any(True for _ in _web_addresses(manifest))


def _web_addresses(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Places in a manifest that name a server, and its address."""
    settings = manifest.info.settings.items()
    named = [(f"the setting {name}", value) for name, value in settings if isinstance(value, str)]
    rows = ((f"image '{r.image_id}'", cell) for r in manifest.rows for cell in (r.image, r.full_mask, r.annotation))
    for where, cell in chain(named, rows):
        scheme, found, rest = cell.partition("://")
        if found and scheme.lower() not in _STORES:
            yield where, f"{scheme}://{rest.partition('/')[0]}"


def row_file(manifest: Manifest, cell: str) -> Path:
    """Path of a file that a row names.

    Raises:
        ManifestError: If it is missing, usually because something has moved.
    """
    path = manifest.resolve(cell)
    if not is_remote(path) and not path.exists():
        raise ManifestError(f"{path}: no such file, but {manifest.path} names it. {MOVED_ADVICE}")
    return path


def require_files(manifest: Manifest, paths: Iterable[Path]) -> None:
    """Check that files exist, before any work starts.

    Raises:
        ManifestError: If some are missing; the message names them.
    """
    unique = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(16) as pool:
        there = list(pool.map(_is_file, unique))
    if missing := [str(path) for path, is_there in zip(unique, there, strict=True) if not is_there]:
        verb = "is" if len(missing) == 1 else "are"
        raise ManifestError(
            f"{manifest.path}: {counted(len(missing), 'file')} of {len(unique):,} {verb} missing: "
            f"{list_some(missing, 10)}. {MOVED_ADVICE}"
        )


def _is_file(path: Path) -> bool:
    return path.is_file()


def check_pixels(path: Path, values: MaskValues, sha256: str) -> None:
    """Check that a mask or annotation has the pixels that the manifest was written for.

    Args:
        path: For the message.
        values: Its values as stored.
        sha256: Hash in the row; if empty, nothing is checked.

    Raises:
        ManifestError: If they have changed.
    """
    if sha256 and (found := pixel_sha256(values)) != sha256:
        raise ManifestError(
            f"{path}: pixels have changed since the manifest was written (SHA-256 is {found[:12]}..., the row says "
            f"{sha256[:12]}...). Restore the original files; `sparsekit validate` lists all changed files."
        )


def check_size(manifest: Manifest, row: ManifestRow, path: Path, shape: tuple[int, ...]) -> None:
    """Check that a file has the size given in its row.

    Args:
        manifest: For the message.
        row: The row.
        path: The file.
        shape: Its height and width in pixels; further values are ignored.

    Raises:
        ManifestError: If it has another size.
    """
    if shape[:2] != (row.height, row.width):
        raise ManifestError(
            f"{path}: is {shape[1]}x{shape[0]} (width x height), but {manifest.path} says {row.width}x{row.height} for "
            f"image '{row.image_id}'. Restore the original files."
        )
