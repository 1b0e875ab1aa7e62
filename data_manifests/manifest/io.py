"""Read and write ``manifest.csv``, ``manifest.json`` and the marks beside them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from data_manifests.errors import DataError, ManifestError, counted
from data_manifests.files.csv import Cells, read_table, require_columns, write_table
from data_manifests.files.images import atomic_path, write_atomically
from data_manifests.files.paths import as_path, is_remote, reaching
from data_manifests.label_space import Encoding, LabelSpace
from data_manifests.manifest.schema import (
    MANIFEST_COLUMNS,
    MARK_COLUMNS,
    SCHEMA_VERSION,
    Manifest,
    ManifestInfo,
    ManifestRow,
    Mark,
)

#: What makes a ``manifest.json`` of one schema version one of the next, by version.
_MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}

_PARQUET_BATCH = 100_000


def write_manifest(manifest: Manifest) -> None:
    """Write ``manifest.csv`` and ``manifest.json``; equal manifests give equal bytes.

    Args:
        manifest: Its rows are sorted by image id before writing.

    Raises:
        ManifestError: If ``read_manifest`` would refuse an image id or split.
    """
    _refuse(f"{manifest.path}, {fault}." for row in manifest.rows if (fault := row.name_fault))
    write_atomically(manifest.path.with_suffix(".json"), info_to_json(manifest.info).encode())
    rows = sorted(manifest.rows, key=lambda row: row.image_id)
    write_table(manifest.path, MANIFEST_COLUMNS, map(_row_to_cells, rows))


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest and the ``manifest.json`` beside it.

    Args:
        path: The CSV file, or the folder that holds a ``manifest.csv``.

    Raises:
        ManifestError: If a file or column is missing, a value cannot be read, an image id occurs twice or is no plain
            name, or the manifest was written by a newer version.
    """
    manifest, problems = load_manifest(path)
    problems += [
        f"{manifest.path}, image '{row.image_id}': {p}." for row in manifest.rows if (p := _fault(manifest, row))
    ]
    _refuse(problems)
    return manifest


def _refuse(problems: Iterable[str]) -> None:
    if problems := list(problems):
        raise ManifestError("\n".join(problems[:10]) + (f"\nand {len(problems) - 10} more" if problems[10:] else ""))


def _fault(manifest: Manifest, row: ManifestRow) -> str:
    """What keeps the images of a row from being worked with, whatever its files hold; empty if nothing does."""
    if row.height < 1 or row.width < 1:
        return f"height and width must be at least 1, got {row.height} and {row.width}"
    num_classes = manifest.label_space.num_classes
    if row.classes_labelled and not 0 <= min(row.classes_labelled) <= max(row.classes_labelled) < num_classes:
        return (
            f"classes_labelled must lie between 0 and {num_classes - 1}, got {' '.join(map(str, row.classes_labelled))}"
        )
    return row.name_fault


def load_manifest(path: str | Path) -> tuple[Manifest, list[str]]:
    """Read what can be read of a manifest.

    Args:
        path: The CSV file, or the folder that holds a ``manifest.csv``.

    Returns:
        The manifest with the rows that are sound in themselves, and what is wrong with the others.

    Raises:
        ManifestError: If a file or column is missing, a file is no table, or it was written by a newer version.
    """
    path = as_path(path)
    with reaching(path):
        path = path / "manifest.csv" if path.is_dir() else path
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest. `sparsekit points DATASET` makes one.")
    if path.suffix.lower() == ".json":
        raise ManifestError(f"{path}: goes with a manifest, but is none. Give the .csv beside it, or their folder.")
    info = _read_info(path.with_suffix(".json"))
    rows: dict[str, ManifestRow] = {}
    problems = []
    for number, cells in read_table(path, MANIFEST_COLUMNS):
        try:
            row = _cells_to_row(cells)
        except ValueError as error:
            problems.append(f"{path}, row {number} ('{cells[0]}'): {error}.")
            continue
        if row.image_id in rows:
            problems.append(f"{path}, row {number}: image_id '{row.image_id}' occurs twice.")
        rows[row.image_id] = row
    return Manifest(path, tuple(rows[image_id] for image_id in sorted(rows)), info), problems


def info_to_json(info: ManifestInfo) -> str:
    """The text of ``manifest.json``."""
    data = {
        "schema_version": info.schema_version,
        "tool": "sparsekit",
        "tool_version": info.tool_version,
        "command": info.command,
        "settings": dict(sorted(info.settings.items())),
        "dataset": info.dataset,
        "layout": info.layout,
        "mask_encoding": info.mask_encoding,
        "unlabelled_value": info.label_space.unlabelled_value,
        "label_space": info.label_space.to_dict(),
    }
    return _to_json(data) + "\n"


def _to_json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)


def _read_info(path: Path) -> ManifestInfo:
    if not path.is_file():
        raise ManifestError(
            f"{path}: missing; a manifest.csv needs its manifest.json (label space, settings) beside it."
        )
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        _to_json(data).encode()  # fails on text and numbers that no file could hold again
        version = int(data["schema_version"])
        if version > SCHEMA_VERSION:
            raise ManifestError(
                f"{path}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that this version of "
                f"sparsekit reads. Upgrade sparsekit (it was written by version {data.get('tool_version', '?')})."
            )
        if version < 1:
            raise ManifestError(f"{path}: damaged (schema version {version}; the first one is 1).")
        for old in range(version, SCHEMA_VERSION):
            data = _MIGRATIONS[old](data)
        if data["mask_encoding"] not in get_args(Encoding):
            known = ", ".join(get_args(Encoding))
            raise ManifestError(f"{path}: mask_encoding must be one of {known}; got {data['mask_encoding']!r}.")
        return ManifestInfo(
            label_space=LabelSpace.from_dict(data["label_space"]),
            mask_encoding=data["mask_encoding"],
            dataset=str(data["dataset"]),
            layout=str(data["layout"]),
            command=str(data["command"]),
            settings=dict(data["settings"]),
            tool_version=str(data["tool_version"]),
        )
    except ManifestError:
        raise
    except DataError as error:
        raise ManifestError(f"{path}: damaged ({str(error).removesuffix('.')}).") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ManifestError(f"{path}: damaged ({type(error).__name__}: {error}).") from error


def write_marks(path: str | Path, marks_of_images: Iterable[tuple[str, Iterable[Mark]]]) -> None:
    """Write the marks image by image, so that memory stays flat; the file appears whole or not at all.

    Args:
        path: ``marks.csv``; or ``marks.parquet``, a twelfth of the size.
        marks_of_images: Image id and its marks, sorted by image id; the marks are numbered from 0.

    Raises:
        ManifestError: If the path ends in ``.parquet`` and pyarrow is not installed.
    """
    path = as_path(path)
    rows = (
        mark_to_cells(image_id, number, mark)
        for image_id, marks in marks_of_images
        for number, mark in enumerate(marks)
    )
    if path.suffix == ".parquet":
        _write_parquet(path, rows)
    else:
        write_table(path, MARK_COLUMNS, rows)


def mark_to_cells(image_id: str, number: int, mark: Mark) -> tuple[str | int, ...]:
    """One line of ``marks.csv``; points read ``row col;row col`` and widths, where they differ, ``5;5;3``."""
    widths = ";".join(map(str, mark.widths if len(set(mark.widths)) > 1 else mark.widths[:1]))
    points = ";".join(f"{row} {col}" for row, col in mark.points)
    region = "" if mark.region < 0 else mark.region
    return image_id, number, mark.kind, mark.class_id, mark.row, mark.col, widths, region, points


def read_marks(path: str | Path) -> Iterator[tuple[str, list[Mark]]]:
    """Marks of each image, in the order of the file.

    Args:
        path: ``marks.csv`` or ``marks.parquet``.

    Yields:
        The image id and its marks; images without marks do not occur.

    Raises:
        ManifestError: If the file is missing or a row cannot be read.
    """
    path = as_path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; the marks belong beside the manifest.")
    image_id, marks = None, list[Mark]()
    rows = _read_parquet(path) if path.suffix == ".parquet" else read_table(path, MARK_COLUMNS)
    for number, cells in rows:
        try:
            mark = _cells_to_mark(cells)
        except ValueError as error:
            raise ManifestError(f"{path}, row {number}: {error}.") from error
        if cells[0] != image_id:
            if image_id is not None:
                yield image_id, marks
            image_id, marks = cells[0], []
        marks.append(mark)
    if image_id is not None:
        yield image_id, marks


def _cells_to_mark(cells: Cells) -> Mark:
    _, _, kind, class_id, row, col, width, region, text = cells
    pairs = [pair.split(" ") for pair in text.split(";")] if text else []
    points = tuple((int(r), int(c)) for r, c in pairs)
    widths = tuple(int(w) for w in width.split(";")) if width else ()
    widths = widths * len(points) if len(widths) == 1 else widths
    if widths and len(widths) != len(points):
        have = f"{counted(len(points), 'point')}, but {counted(len(widths), 'width')}"
        raise ValueError(f"{have}; expected one width, or one for each point")
    return Mark(kind, int(class_id), int(row), int(col), points, widths, int(region) if region else -1)


def _write_parquet(path: Path, rows: Iterable[Iterable[object]]) -> None:
    pyarrow = _pyarrow(path)
    schema = pyarrow.schema([(column, pyarrow.string()) for column in MARK_COLUMNS])
    with atomic_path(path) as partial, pyarrow.parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
        texts = (tuple(map(str, row)) for row in rows)
        while batch := list(islice(texts, _PARQUET_BATCH)):
            columns = [pyarrow.array(column) for column in zip(*batch, strict=True)]
            writer.write_table(pyarrow.table(columns, schema=schema))


def _read_parquet(path: Path) -> Iterator[tuple[int, Cells]]:
    pyarrow = _pyarrow(path)
    try:
        file = pyarrow.parquet.ParquetFile(path.open("rb") if is_remote(path) else path)
        require_columns(path, file.schema_arrow.names, MARK_COLUMNS)
        number = 0
        for batch in file.iter_batches(_PARQUET_BATCH, columns=list(MARK_COLUMNS)):
            columns = [column.cast(pyarrow.string()).fill_null("").to_pylist() for column in batch.columns]
            for number, cells in enumerate(zip(*columns, strict=True), start=number + 1):  # noqa: B020
                yield number, cells
    except pyarrow.ArrowException as error:
        raise ManifestError(f"{path}: not a parquet table that can be read ({error}).") from error


def _pyarrow(path: Path) -> ModuleType:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise ManifestError(f"{path}: parquet needs pyarrow. Install it: pip install 'sparsekit[parquet]'.") from error


def _row_to_cells(row: ManifestRow) -> tuple[str | int, ...]:
    classes = " ".join(map(str, row.classes_labelled))
    return (row.image_id, row.split, row.image, row.full_mask, row.annotation, row.height, row.width,
            row.num_labelled, classes, row.full_mask_sha256, row.annotation_sha256)  # fmt: skip


def _cells_to_row(cells: Cells) -> ManifestRow:
    image_id, split, image, full_mask, annotation, height, width, num_labelled, classes, mask_hash, hash_ = cells
    return ManifestRow(
        image_id, sys.intern(split), image, full_mask, annotation, int(height), int(width), int(num_labelled),
        _class_ids(classes), mask_hash, hash_,
    )  # fmt: skip


@lru_cache(maxsize=65536)
def _class_ids(text: str) -> tuple[int, ...]:
    """Many images have the same classes: they share one tuple."""
    return tuple(map(int, text.split()))
