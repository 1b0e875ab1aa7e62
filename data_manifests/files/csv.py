r"""CSV in one dialect, byte for byte: UTF-8, ``,`` as separator, ``\n`` line ends, quotes only where needed."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from data_manifests.errors import ManifestError
from data_manifests.files.atomic import atomic_path
from data_manifests.files.text import MAX_LINE, bounded_lines, open_file, read_text

Cells = tuple[str, ...]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NEEDS_QUOTES, _NEEDS_QUOTES_BESIDES_COMMAS = re.compile('[,"\r\n]'), re.compile('["\r\n]')


def format_line(cells: Iterable[object]) -> str:
    """One line of a table.

    Python's own writer quotes a lone carriage return in some versions only; bytes must not depend on that.

    Example:
        >>> format_line(["a,b", 1, ""]).rstrip()
        '"a,b",1,'
    """
    texts = list(map(str, cells))
    line = ",".join(texts)
    if line.count(",") < len(texts) and not _NEEDS_QUOTES_BESIDES_COMMAS.search(line):
        return line + "\n"
    return ",".join('"' + t.replace('"', '""') + '"' if _NEEDS_QUOTES.search(t) else t for t in texts) + "\n"


def text_cell(value: object) -> object:
    """Escape a cell for spreadsheets: text that would be read as a formula gets a leading ``'``.

    Do not use it for tables that programs read back, such as a manifest.

    Example:
        >>> text_cell("=1+1"), text_cell("car"), text_cell(-0.5)
        ("'=1+1", 'car', -0.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def read_text_cell(cell: str) -> str:
    """Undo ``text_cell`` when a program reads such a table back."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Iterable[object]], *, to_streams: bool = False
) -> None:
    """Write a table line by line, atomically; creates its folder. Arguments and errors as of ``atomic_path``."""
    with atomic_path(path, to_streams=to_streams) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.write(format_line(columns))
        file.writelines(map(format_line, rows))


def read_table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Cells]]:
    """Read some columns of a table, line by line.

    Args:
        path: The file. Columns may come in any order; others are ignored.
        columns: Columns to read.

    Yields:
        Row number (the header is row 1) and its cells in the order of ``columns``.

    Raises:
        ManifestError: If the file is not a table, a column is missing, or a row's length differs from the header's.
    """
    records = read_records(path)
    _, header = next(records)
    require_columns(path, header, columns)
    pick = itemgetter(*map(header.index, columns))
    for number, record in records:
        yield number, pick(record)


def read_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Read all columns of a table, line by line.

    Yields:
        Row number and cells; row 1 is the header, which has no cells if the file is empty.

    Raises:
        ManifestError: If the file is not a table, or a row's length differs from the header's.
    """
    csv.field_size_limit(MAX_LINE)  # a long polygon is one cell
    try:
        with io.TextIOWrapper(open_file(path), encoding="utf-8-sig", newline="") as file:
            records = csv.reader(bounded_lines(file), strict=True)
            header = next(records, [])
            yield 1, header
            for number, record in enumerate(records, start=2):
                if len(record) != len(header):
                    if not record:
                        continue  # an empty line
                    raise ManifestError(
                        f"{path}, row {number}: expected {len(header)} cells, got {len(record)}; is the file "
                        "truncated, or does a name contain an unquoted comma?"
                    )
                yield number, record
    except (csv.Error, ValueError) as error:
        raise ManifestError(f"{path}: not a CSV table in UTF-8 ({error}). Save it as CSV in UTF-8.") from error


def read_whole_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a small table, such as a log, with all its columns.

    Returns:
        The header (empty for an empty file) and the rows as dicts keyed by column.

    Raises:
        ValueError: If it is not a UTF-8 table, is too large, or a row's length differs from the header's.
        OSError: If it cannot be read.
    """
    csv.field_size_limit(MAX_LINE)
    try:
        lines = [cells for cells in csv.reader(io.StringIO(read_text(path), newline=""), strict=True) if cells]
    except csv.Error as error:
        raise ValueError(str(error)) from error
    header = lines[0] if lines else []
    if wrong := [number for number, cells in enumerate(lines, start=1) if len(cells) != len(header)]:
        raise ValueError(f"row {wrong[0]} has {len(lines[wrong[0] - 1])} cells, the header {len(header)}")
    return header, [dict(zip(header, cells, strict=True)) for cells in lines[1:]]


def require_columns(path: Path, there: Iterable[str], columns: Sequence[str]) -> None:
    """Check that a table has the required columns.

    Raises:
        ManifestError: If a column is missing.
    """
    names = set(there)
    if not (missing := [column for column in columns if column not in names]):
        return
    for separator, called in ((";", "';'"), ("\t", "tabs")):  # spreadsheets of many languages write these
        if any(separator in name and not set(columns).isdisjoint(name.split(separator)) for name in names):
            raise ManifestError(
                f"{path}: its cells seem to be separated by {called}; expected commas. Save it as CSV with commas."
            )
    raise ManifestError(f"{path}: column {', '.join(missing)} missing; expected {', '.join(columns)}.")
