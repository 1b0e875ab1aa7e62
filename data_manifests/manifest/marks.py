"""Read and write the marks beside a manifest, ``marks.csv`` or ``marks.parquet``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType

from data_manifests.errors import ManifestError, counted
from data_manifests.files.atomic import atomic_path
from data_manifests.files.csv import Cells, format_line, read_table, require_columns, write_table
from data_manifests.files.paths import as_path, is_remote
from data_manifests.manifest.schema import MARK_COLUMNS, Manifest, Mark

_PARQUET_BATCH = 100_000
_CHUNK = 1 << 20


def write_marks(path: str | Path, marks_of_images: Iterable[tuple[str, Iterable[Mark]]]) -> None:
    """Write the marks image by image in constant memory; the file is written atomically.

    Args:
        path: ``marks.csv``, or ``marks.parquet`` at a twelfth of the size.
        marks_of_images: Image ids with their marks, sorted by image id; marks are numbered from 0.

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
    """One line of ``marks.csv``; points are ``row col;row col``, widths ``5;5;3`` if they differ."""
    widths = ";".join(map(str, mark.widths if len(set(mark.widths)) > 1 else mark.widths[:1]))
    points = ";".join(f"{row} {col}" for row, col in mark.points)
    region = "" if mark.region < 0 else mark.region
    return image_id, number, mark.kind, mark.class_id, mark.row, mark.col, widths, region, points


def read_marks(path: str | Path) -> Iterator[tuple[str, list[Mark]]]:
    """Marks of each image, in file order.

    Args:
        path: ``marks.csv`` or ``marks.parquet``.

    Yields:
        Image id and its marks; images without marks are skipped.

    Raises:
        ManifestError: If the file is missing or a row cannot be read.
    """
    path = as_path(path)
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; the marks belong beside the manifest.")
    image_id, marks = None, list[Mark]()
    for number, cells in _read_rows(path):
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


def read_marks_of(manifest: Manifest) -> Iterator[tuple[str, list[Mark]]]:
    """The marks of a manifest; see ``read_marks``.

    Raises:
        ManifestError: As ``read_marks``, and if they are not those the manifest was written with.
    """
    if fault := marks_fault(manifest):
        raise ManifestError(fault)
    return read_marks(manifest.marks_path)


def marks_fault(manifest: Manifest) -> str:
    """Why the marks beside a manifest do not belong to it, as a sentence; empty if they do or it is unknown."""
    path, expected = manifest.marks_path, manifest.marks_sha256
    if not expected or not path.is_file():
        return ""
    if expected == (found := hash_marks(path)) or expected == _hash_of_cells(path):
        return ""
    return (
        f"{path}: the marks have changed since the manifest was written (SHA-256 is {found[:12]}..., its JSON says "
        f"{expected[:12]}...). Use files from the same run, or repeat the command that made them with --overwrite."
    )


def hash_marks(path: Path) -> str:
    """SHA-256 of marks in their ``marks.csv`` form, from either format."""
    if path.suffix == ".parquet":
        return _hash_of_cells(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _hash_of_cells(path: Path) -> str:
    """The same, independent of line ends and column order."""
    digest = hashlib.sha256(format_line(MARK_COLUMNS).encode())
    for _, cells in _read_rows(path):
        digest.update(format_line(cells).encode())
    return digest.hexdigest()


def _read_rows(path: Path) -> Iterator[tuple[int, Cells]]:
    return _read_parquet(path) if path.suffix == ".parquet" else read_table(path, MARK_COLUMNS)


def _cells_to_mark(cells: Cells) -> Mark:
    _, _, kind, class_id, row, col, width, region, text = cells
    if not text and not width:  # a click
        return Mark(kind, int(class_id), int(row), int(col), (), (), int(region) if region else -1)
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
        raise ManifestError(f"{path}: not a readable Parquet table ({error}).") from error


def _pyarrow(path: Path) -> ModuleType:
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError as error:
        raise ManifestError(f"{path}: parquet needs pyarrow: pip install 'sparsekit-agmm[parquet]'.") from error
