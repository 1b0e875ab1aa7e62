"""Check the image, full mask and annotation of one row against what the row says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from data_manifests.errors import DataError, counted, list_some
from data_manifests.files.images import read_image_size
from data_manifests.files.masks import pixel_sha256, read_mask
from data_manifests.label_maps import MaskValues
from data_manifests.label_space import LabelSpace
from data_manifests.manifest.schema import Manifest, ManifestRow

#: Kinds of problems that leave a manifest usable.
MINOR_KINDS = frozenset({"outside", "no_marks"})


@dataclass(frozen=True)
class Problem:
    """One problem of a manifest.

    Args:
        kind: Category: ``row``, ``missing``, ``unreadable``, ``size``, ``dtype``, ``ids``, ``count``, ``hash``,
            ``outside``, ``duplicate``, ``split``, ``marks`` or ``no_marks``.
        image_id: The image; empty if the problem concerns the whole manifest.
        message: What was expected and what came.
    """

    kind: str
    image_id: str
    message: str


@dataclass(frozen=True)
class CheckedFiles:
    """Findings about the files of one row.

    Args:
        problems: Their problems.
        image_sha256: SHA-256 of the image file's bytes; empty if it was not read.
    """

    problems: list[Problem] = field(default_factory=list)
    image_sha256: str = ""


def check_files(manifest: Manifest, row: ManifestRow, *, pixels: bool) -> CheckedFiles:
    """Check the files of one row.

    Args:
        manifest: The manifest of the row.
        row: The row.
        pixels: Decode the files; otherwise only check that they exist and have the right size.
    """
    checked = CheckedFiles()
    for name in ("image", "full_mask", "annotation"):
        if path := getattr(row, name):
            try:
                found = _check_file(manifest, row, name, pixels)
                checked.problems.extend(Problem(kind, row.image_id, f"{name} {path}: {text}") for kind, text in found)
            except (DataError, OSError) as error:
                kind = "missing" if _is_missing(manifest.resolve(path)) else "unreadable"
                checked.problems.append(Problem(kind, row.image_id, f"{name}: {error}"))
    with suppress(OSError):  # reported above
        if pixels and row.image and (image := manifest.resolve(row.image)).is_file():
            return CheckedFiles(checked.problems, hashlib.sha256(image.read_bytes()).hexdigest())
    return checked


def _is_missing(path: Path) -> bool:
    try:
        return not path.is_file()
    except OSError:  # no permission to read its folder
        return False


def _check_file(manifest: Manifest, row: ManifestRow, name: str, pixels: bool) -> Iterator[tuple[str, str]]:
    path = manifest.resolve(getattr(row, name))
    values: MaskValues | None = None
    if not pixels:
        size = read_image_size(path)
    elif name == "image":
        height, width, _ = manifest.info.images.read(path).shape
        size = height, width
    else:
        values = read_mask(path, manifest.info.mask_encoding if name == "full_mask" else "train_ids")
        size = values.shape[0], values.shape[1]
    if size != (row.height, row.width):
        yield "size", f"is {size[1]}x{size[0]} (width x height), the row says {row.width}x{row.height}"
    if values is not None and name == "full_mask":
        yield from _check_full_mask(manifest, row, values)
    elif values is not None:
        yield from _check_annotation(manifest.label_space, row, values)


def _check_full_mask(manifest: Manifest, row: ManifestRow, values: MaskValues) -> Iterator[tuple[str, str]]:
    yield from _check_hash(row.full_mask_sha256, values)
    if values.dtype == np.uint32:
        try:
            manifest.label_space.to_train_ids(values, manifest.info.mask_encoding)
        except DataError as error:
            yield "ids", str(error)
        return
    table = manifest.label_space.lookup_table(manifest.info.mask_encoding)
    if unknown := [v for v in _present(values) if table[v] < 0]:
        yield "ids", f"holds ids {listed(unknown)}, which are neither a class nor void"


def _check_annotation(space: LabelSpace, row: ManifestRow, values: MaskValues) -> Iterator[tuple[str, str]]:
    yield from _check_hash(row.annotation_sha256, values)
    if values.dtype != space.dtype:
        yield "dtype", f"is {values.dtype}; expected {space.dtype} for {counted(space.num_classes, 'class', 'classes')}"
    present = _present(values)
    if unknown := [v for v in present if v >= space.num_classes and v != space.unlabelled_value]:
        yield "ids", f"holds ids {listed(unknown)}; expected 0..{space.num_classes - 1} or {space.unlabelled_value}"
    num_labelled = int(np.count_nonzero(values != space.unlabelled_value))
    if num_labelled != row.num_labelled:
        yield "count", f"has {counted(num_labelled, 'labelled pixel')}, the row says {row.num_labelled}"
    if (classes := tuple(v for v in present if v != space.unlabelled_value)) != row.classes_labelled:
        yield "count", f"has the classes {spaced(classes)}, the row says {spaced(row.classes_labelled)}"


def _check_hash(expected: str, values: MaskValues) -> Iterator[tuple[str, str]]:
    if expected and (got := pixel_sha256(values)) != expected:
        yield "hash", f"pixels have changed: SHA-256 is {got[:12]}..., the row says {expected[:12]}..."


def _present(values: MaskValues) -> list[int]:
    found: list[int] = np.flatnonzero(np.bincount(values.ravel())).tolist()
    return found


def spaced(values: Sequence[int]) -> str:
    """Ids as the column ``classes_labelled`` writes them."""
    return " ".join(map(str, values)) or "none"


def listed(values: Sequence[int]) -> str:
    """Ids for a message."""
    return list_some([*map(str, values)])
