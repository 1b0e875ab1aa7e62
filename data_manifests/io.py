"""Read and write ``manifest.csv``, ``manifest.json`` and the marks beside them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from data_manifests.errors import DataError, ManifestError
from data_manifests.image_io import atomic_path, write_atomically
from data_manifests.label_space import LabelSpace
from data_manifests.schema import (
    MANIFEST_COLUMNS,
    MARK_COLUMNS,
    SCHEMA_VERSION,
    Manifest,
    ManifestInfo,
    ManifestRow,
    Mark,
)


def write_manifest(manifest: Manifest) -> None:
    """Write ``manifest.csv`` and ``manifest.json``; equal manifests give equal bytes.

    Args:
        manifest: Its rows are sorted by image id before writing.
    """
    write_atomically(manifest.path.with_suffix(".json"), info_to_json(manifest.info).encode())
    rows = sorted(manifest.rows, key=lambda row: row.image_id)
    write_atomically(manifest.path, _to_csv(MANIFEST_COLUMNS, map(_row_to_cells, rows)).encode())


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and the ``manifest.json`` beside it.

    Args:
        path: The CSV file, or the folder that holds a ``manifest.csv``.

    Raises:
        ManifestError: If a file or column is missing, a value cannot be read, an image id occurs twice, or the
            manifest was written by a newer version.
    """
    path = path / "manifest.csv" if path.is_dir() else path
    if not path.is_file():
        raise ManifestError(f"{path}: no such manifest. `sparsekit points DATASET` makes one.")
    info = _read_info(path.with_suffix(".json"))
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: not a CSV table ({error}).") from error
    if missing := [c for c in MANIFEST_COLUMNS if c not in table.columns]:
        raise ManifestError(f"{path}: column {', '.join(missing)} missing; expected {', '.join(MANIFEST_COLUMNS)}.")
    records = table[list(MANIFEST_COLUMNS)].itertuples(index=False, name=None)
    rows = [_cells_to_row(cells, path, line) for line, cells in enumerate(records, start=2)]
    repeated = table["image_id"][table["image_id"].duplicated()]
    if len(repeated):
        raise ManifestError(f"{path}, row {repeated.index[0] + 2}: image_id '{repeated.iloc[0]}' occurs twice.")
    return Manifest(path, tuple(sorted(rows, key=lambda row: row.image_id)), info)


def info_to_json(info: ManifestInfo) -> str:
    """The text of ``manifest.json``."""
    data = {
        "schema_version": info.schema_version,
        "tool": "sparsekit",
        "tool_version": info.tool_version,
        "command": info.command,
        "settings": dict(info.settings),
        "dataset": info.dataset,
        "layout": info.layout,
        "mask_encoding": info.mask_encoding,
        "unlabelled_value": info.label_space.unlabelled_value,
        "label_space": info.label_space.to_dict(),
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _read_info(path: Path) -> ManifestInfo:
    if not path.is_file():
        raise ManifestError(
            f"{path}: missing; a manifest.csv needs its manifest.json (label space, settings) beside it."
        )
    try:
        data: dict[str, Any] = json.loads(path.read_bytes())
        version = int(data["schema_version"])
        if version > SCHEMA_VERSION:
            raise ManifestError(
                f"{path}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that this version of "
                f"sparsekit reads. Upgrade sparsekit (it was written by version {data.get('tool_version', '?')})."
            )
        if data["mask_encoding"] not in ("class_ids", "train_ids"):
            raise ManifestError(f"{path}: mask_encoding must be class_ids or train_ids, got {data['mask_encoding']!r}.")
        return ManifestInfo(
            label_space=LabelSpace.from_dict(data["label_space"]),
            mask_encoding=data["mask_encoding"],
            dataset=str(data["dataset"]),
            layout=str(data["layout"]),
            command=str(data["command"]),
            settings=dict(data["settings"]),
            tool_version=str(data["tool_version"]),
            schema_version=version,
        )
    except ManifestError:
        raise
    except (DataError, ValueError, KeyError, TypeError) as error:
        raise ManifestError(f"{path}: damaged ({type(error).__name__}: {error}).") from error


def write_marks(path: Path, marks_of_images: Iterable[tuple[str, Iterable[Mark]]]) -> None:
    """Write ``marks.csv`` image by image, so that memory stays flat; the file appears whole or not at all.

    Args:
        path: The CSV file.
        marks_of_images: Image id and its marks, sorted by image id; the marks are numbered from 0.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MARK_COLUMNS)
        for image_id, marks in marks_of_images:
            writer.writerows(mark_to_cells(image_id, number, mark) for number, mark in enumerate(marks))


def mark_to_cells(image_id: str, number: int, mark: Mark) -> tuple[str | int, ...]:
    """One line of ``marks.csv``; points read ``row col;row col`` and widths, where they differ, ``5;5;3``."""
    widths = ";".join(map(str, mark.widths if len(set(mark.widths)) > 1 else mark.widths[:1]))
    points = ";".join(f"{row} {col}" for row, col in mark.points)
    region = "" if mark.region < 0 else mark.region
    return image_id, number, mark.kind, mark.class_id, mark.row, mark.col, widths, region, points


def read_marks(path: Path) -> Iterator[tuple[str, list[Mark]]]:
    """Marks of each image, in the order of the file.

    Args:
        path: ``marks.csv`` or ``marks.parquet``.

    Yields:
        The image id and its marks; images without marks do not occur.

    Raises:
        ManifestError: If the file is missing, has other columns, or a value cannot be read.
    """
    if not path.is_file():
        raise ManifestError(f"{path}: no such file; the marks belong beside the manifest.")
    image_id, marks = None, list[Mark]()
    for line, cells in enumerate(_mark_cells(path), start=2):
        try:
            mark = _cells_to_mark(cells)
        except (ValueError, IndexError) as error:
            raise ManifestError(f"{path}, row {line}: {error}.") from error
        if cells[0] != image_id:
            if image_id is not None:
                yield image_id, marks
            image_id, marks = cells[0], []
        marks.append(mark)
    if image_id is not None:
        yield image_id, marks


def _mark_cells(path: Path) -> Iterator[tuple[str, ...]]:
    if path.suffix == ".parquet":
        tables: Iterable[pd.DataFrame] = [pd.read_parquet(path).astype(str)]
    else:
        tables = pd.read_csv(path, dtype=str, keep_default_na=False, chunksize=100_000)
    for table in tables:
        if missing := [c for c in MARK_COLUMNS if c not in table.columns]:
            raise ManifestError(f"{path}: column {', '.join(missing)} missing; expected {', '.join(MARK_COLUMNS)}.")
        yield from table[list(MARK_COLUMNS)].itertuples(index=False, name=None)


def _cells_to_mark(cells: tuple[str, ...]) -> Mark:
    _, _, kind, class_id, row, col, width, region, text = cells
    pairs = [pair.split(" ") for pair in text.split(";")] if text else []
    points = tuple((int(r), int(c)) for r, c in pairs)
    widths = tuple(int(w) for w in width.split(";")) if width else ()
    widths = widths * len(points) if len(widths) == 1 else widths
    return Mark(kind, int(class_id), int(row), int(col), points, widths, int(region) if region else -1)


def _row_to_cells(row: ManifestRow) -> tuple[str | int, ...]:
    classes = " ".join(map(str, row.classes_labelled))
    return (row.image_id, row.split, row.image, row.full_mask, row.annotation, row.height, row.width,
            row.num_labelled, classes, row.full_mask_sha256, row.annotation_sha256)  # fmt: skip


def _cells_to_row(cells: tuple[str, ...], path: Path, line: int) -> ManifestRow:
    image_id, split, image, full_mask, annotation, height, width, num_labelled, classes, mask_hash, hash_ = cells
    try:
        return ManifestRow(
            image_id, split, image, full_mask, annotation, int(height), int(width), int(num_labelled),
            tuple(int(c) for c in classes.split()), mask_hash, hash_,
        )  # fmt: skip
    except ValueError as error:
        raise ManifestError(f"{path}, row {line} ('{image_id}'): {error}.") from error


def _to_csv(columns: Iterable[str], rows: Iterable[Iterable[str | int]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return buffer.getvalue()
