"""Read and write ``manifest.csv`` and ``manifest.json``; the marks beside them are in ``marks.py``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

from data_manifests.encodings import ENCODINGS
from data_manifests.errors import DataError, ManifestError, list_some
from data_manifests.files.atomic import write_atomically
from data_manifests.files.csv import Cells, read_records, require_columns, write_table
from data_manifests.files.paths import as_path, folders_with, is_remote, reaching
from data_manifests.files.text import read_json
from data_manifests.files.view import ImageView
from data_manifests.label_space import LabelSpace
from data_manifests.manifest.marks import hash_marks
from data_manifests.manifest.schema import MANIFEST_COLUMNS, SCHEMA_VERSION, Manifest, ManifestInfo, ManifestRow

#: Parsers for cells of optional columns, by type of the default; an empty cell means the default.
_PARSERS: dict[type, Callable[[str], Any]] = {str: str, int: int, float: float}


def aside(folder: Path) -> Path:
    """Staging folder for a manifest's files; object stores cannot move files, so there it is ``folder`` itself."""
    return folder if is_remote(folder) else folder / ".manifest.partial"


def write_manifest(manifest: Manifest) -> None:
    """Write ``manifest.csv`` and ``manifest.json``; equal manifests give equal bytes.

    Args:
        manifest: Rows are sorted by image id before writing. Its marks, if any, must already be beside it.

    Raises:
        ManifestError: If ``read_manifest`` would refuse an image id or split.
    """
    faults = [row.name_fault for row in manifest.rows] + [manifest.split_fault]
    refuse(f"{manifest.path}, {fault}." for fault in faults if fault)
    text = info_to_json(manifest.info, hash_marks(manifest.marks_path) if manifest.marks_path.is_file() else "")
    write_atomically(manifest.path.with_suffix(".json"), text.encode())
    rows = sorted(manifest.rows, key=lambda row: row.image_id)
    optional = [f.name for f in _optional_columns() if any(getattr(row, f.name) != f.default for row in rows)]
    extra = list(dict.fromkeys(name for row in rows for name, _ in row.extra))
    cells = (_row_to_cells(row, optional, extra) for row in rows)
    write_table(manifest.path, [*MANIFEST_COLUMNS, *optional, *extra], cells)


def read_manifest(path: str | Path) -> Manifest:
    """Read a manifest and the ``manifest.json`` beside it.

    Args:
        path: The CSV file, or the folder that holds a ``manifest.csv``.

    Raises:
        ManifestError: If a file or column is missing, a value cannot be read, an image id is duplicate or not a plain
            name, a split is empty or differs from another in letter case only, or the manifest was written by a newer
            version.
    """
    manifest, problems = load_manifest(path)
    problems += [
        f"{manifest.path}, image '{row.image_id}': {p}." for row in manifest.rows if (p := row_fault(manifest, row))
    ]
    problems += [f"{manifest.path}: {manifest.split_fault}."] if manifest.split_fault else []
    refuse(problems)
    return manifest


def refuse(problems: Iterable[str]) -> None:
    """Raise a ``ManifestError`` of the first ten problems, if there are any."""
    if problems := list(problems):
        raise ManifestError("\n".join(problems[:10]) + (f"\nand {len(problems) - 10} more" if problems[10:] else ""))


def row_fault(manifest: Manifest, row: ManifestRow) -> str:
    """Why a row is invalid, independent of its files; empty if it is valid."""
    if row.height < 1 or row.width < 1:
        return f"height and width must be at least 1, got {row.height} and {row.width}"
    num_classes = manifest.label_space.num_classes
    if row.classes_labelled and not 0 <= min(row.classes_labelled) <= max(row.classes_labelled) < num_classes:
        return (
            f"classes_labelled must lie between 0 and {num_classes - 1}, got {' '.join(map(str, row.classes_labelled))}"
        )
    return row.name_fault


def load_manifest(path: str | Path) -> tuple[Manifest, list[str]]:
    """Read a manifest and collect the problems of invalid rows.

    Args:
        path: The CSV file, or the folder that holds a ``manifest.csv``.

    Returns:
        The manifest with its valid rows, and the problems of the others.

    Raises:
        ManifestError: If a file or column is missing, a file is not a table, or a newer version wrote it.
    """
    path = as_path(path)
    with reaching(path):
        path = path / "manifest.csv" if path.is_dir() else path
    if not path.is_file():
        if (made := aside(path.parent)) != path.parent and (made / path.name).is_file():
            raise ManifestError(
                f"{path}: a command was killed while it replaced this manifest. Run it again, or move the files of "
                f"{made} into its parent folder."
            )
        there = folders_with("manifest.csv", path.parent)
        advice = f"Folders that have one: {list_some(there)}." if there else "`sparsekit points DATASET` makes one."
        if (run := path.with_name("run.json")).is_file():
            advice = f"This is the folder of a run: give the manifest that {run} names."
        raise ManifestError(f"{path}: no such manifest. {advice}")
    if path.suffix.lower() == ".json" or path.name in ("marks.csv", "marks.parquet"):
        raise ManifestError(f"{path}: belongs to a manifest, but is not one. Give manifest.csv, or their folder.")
    info, marks_sha256 = _read_info(path.with_suffix(".json"))
    records = read_records(path)
    _, header = next(records)
    to_row = row_reader(path, header)
    rows: dict[str, ManifestRow] = {}
    problems = []
    for number, cells in records:
        try:
            row = to_row(cells)
        except ValueError as error:
            name = cells[header.index("image_id")]
            problems.append(f"{path}, row {number} ('{name}'): {error}.")
            continue
        if row.image_id in rows:
            problems.append(f"{path}, row {number}: image_id '{row.image_id}' occurs twice.")
        rows[row.image_id] = row
    return Manifest(path, tuple(rows[image_id] for image_id in sorted(rows)), info, marks_sha256), problems


def info_to_json(info: ManifestInfo, marks_sha256: str = "") -> str:
    """The text of ``manifest.json``, with the hash of the marks if there are any."""
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
        **({"images": shown} if (shown := info.images.to_dict()) else {}),
        **({"marks_sha256": marks_sha256} if marks_sha256 else {}),
    }
    return _to_json(data) + "\n"


def _to_json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)


def _read_info(path: Path) -> tuple[ManifestInfo, str]:
    """The settings for all rows, and the hash of the marks."""
    if not path.is_file():
        raise ManifestError(
            f"{path}: missing; a manifest.csv needs its manifest.json (label space, settings) beside it."
        )
    try:
        data: dict[str, Any] = read_json(path)
        _to_json(data).encode()  # fails on text and numbers that cannot be written back
        version = int(data["schema_version"])
        if version > SCHEMA_VERSION:
            raise ManifestError(
                f"{path}: schema version {version} is newer than {SCHEMA_VERSION}, the newest that this version of "
                f"sparsekit reads. Upgrade sparsekit (it was written by version {data.get('tool_version', '?')})."
            )
        if version < 1:
            raise ManifestError(f"{path}: damaged (schema version {version}; the first one is 1).")
        if data["mask_encoding"] not in ENCODINGS:
            known = ", ".join(ENCODINGS)
            raise ManifestError(f"{path}: mask_encoding must be one of {known}; got {data['mask_encoding']!r}.")
        info = ManifestInfo(
            label_space=LabelSpace.from_dict(data["label_space"]),
            mask_encoding=data["mask_encoding"],
            images=_rgb_view(data.get("images", {})),
            dataset=str(data["dataset"]),
            layout=str(data["layout"]),
            command=str(data["command"]),
            settings=dict(data["settings"]),
            tool_version=str(data["tool_version"]),
        )
        return info, str(data.get("marks_sha256", ""))
    except ManifestError:
        raise
    except DataError as error:
        raise ManifestError(f"{path}: damaged ({str(error).removesuffix('.')}).") from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ManifestError(f"{path}: damaged ({type(error).__name__}: {error}).") from error


def _rgb_view(data: dict[str, Any]) -> ImageView:
    view = ImageView.from_dict(data)
    if not view.is_rgb:
        raise DataError(f"images are shown by one or three bands, got {len(view.bands or ())}")
    return view


def _optional_columns() -> list[Any]:
    """Fields of ``ManifestRow`` that are optional columns."""
    return [field for field in fields(ManifestRow) if field.name not in (*MANIFEST_COLUMNS, "extra")]


def _row_to_cells(row: ManifestRow, optional: Sequence[str], extra: Sequence[str]) -> tuple[object, ...]:
    classes = " ".join(map(str, row.classes_labelled))
    cells = dict(row.extra)
    return (row.image_id, row.split, row.image, row.full_mask, row.annotation, row.height, row.width,
            row.num_labelled, classes, row.full_mask_sha256, row.annotation_sha256,
            *(getattr(row, name) for name in optional), *(cells.get(name, "") for name in extra))  # fmt: skip


def row_reader(path: Path, header: Sequence[str]) -> Callable[[Sequence[str]], ManifestRow]:
    """Return a function that converts the cells of a line to a row."""
    require_columns(path, header, MANIFEST_COLUMNS)
    if twice := sorted({name for name in header if name and header.count(name) > 1}):
        raise ManifestError(f"{path}: column '{twice[0]}' occurs twice; remove or rename one.")
    required: Callable[[Sequence[str]], Cells] = itemgetter(*map(header.index, MANIFEST_COLUMNS))
    optional = [(f.name, header.index(f.name), f.default) for f in _optional_columns() if f.name in header]
    known = {*MANIFEST_COLUMNS, *(name for name, _, _ in optional)}
    extra = [(name, index) for index, name in enumerate(header) if name not in known]

    def to_row(cells: Sequence[str]) -> ManifestRow:
        row = _cells_to_row(required(cells))
        if not (optional or extra):
            return row
        given = {name: _PARSERS[type(default)](cells[i]) for name, i, default in optional if cells[i]}
        return replace(row, **given, extra=tuple((name, cells[i]) for name, i in extra))

    return to_row


def _cells_to_row(cells: Cells) -> ManifestRow:
    image_id, split, image, full_mask, annotation, height, width, num_labelled, classes, mask_hash, hash_ = cells
    return ManifestRow(
        image_id, sys.intern(split), image, full_mask, annotation, int(height), int(width), int(num_labelled),
        _class_ids(classes), mask_hash, hash_,
    )  # fmt: skip


@lru_cache(maxsize=65536)
def _class_ids(text: str) -> tuple[int, ...]:
    """Many images have the same classes; they share one tuple."""
    return tuple(map(int, text.split()))
