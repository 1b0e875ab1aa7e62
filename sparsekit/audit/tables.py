"""Format rows of numbers as text for a terminal and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_manifests.files.csv import text_cell, write_table


def format_table(rows: Sequence[Mapping[str, str]]) -> str:
    """Align rows of text under their column names: the first column to the left, the others to the right.

    Example:
        >>> print(format_table([{"class": "road", "pixels": "1,200"}, {"class": "sky", "pixels": "7"}]))
        class  pixels
        road    1,200
        sky         7
    """
    columns = list(rows[0])
    cells = [columns, *([row[c] for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        "  ".join(c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))).rstrip()
        for line in cells
    )


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows with equal keys as a CSV table, atomically, or to a pipe; ``None`` becomes an empty cell."""
    cells = (["" if c is None else text_cell(c) for c in row.values()] for row in rows)
    write_table(path, list(rows[0]), cells, to_streams=True)


def share(part: float, whole: float) -> float | None:
    """Return ``part / whole``, or None if the whole is zero."""
    return part / whole if whole else None


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share as percent, such as ``12.3``; ``-`` for None."""
    return "-" if value is None else f"{100 * value:.{digits}f}"


def number(value: float | None, digits: int = 1) -> str:
    """Format a number with thousands separators; ``-`` for None."""
    return "-" if value is None else f"{value:,.{digits}f}"
