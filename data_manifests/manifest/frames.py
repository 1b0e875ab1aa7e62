"""Manifests and marks as pandas tables, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from data_manifests.manifest.io import refuse, row_fault, row_reader
from data_manifests.manifest.marks import read_marks_of
from data_manifests.manifest.schema import MANIFEST_COLUMNS, Manifest, ManifestRow

if TYPE_CHECKING:
    import pandas as pd

_MARK_COLUMNS = (
    "image_id", "mark", "kind", "class_id", "class_name", "row", "col", "widths", "region", "points",
)  # fmt: skip


def rows_to_frame(manifest: Manifest) -> pd.DataFrame:
    """See :meth:`Manifest.to_pandas`."""
    import pandas as pd  # takes half a second

    extra = list(dict.fromkeys(name for row in manifest.rows for name, _ in row.extra))
    cells = (
        (*(getattr(row, name) for name in MANIFEST_COLUMNS), *(dict(row.extra).get(name, "") for name in extra))
        for row in manifest.rows
    )
    frame = pd.DataFrame(cells, columns=[*MANIFEST_COLUMNS, *extra])
    return frame.astype(dict.fromkeys(("height", "width", "num_labelled"), "int64")) if frame.empty else frame


def frame_to_manifest(frame: pd.DataFrame, like: Manifest) -> Manifest:
    """See :meth:`Manifest.from_pandas`."""
    to_row = row_reader(like.path, header := list(map(str, frame.columns)))
    rows: dict[str, ManifestRow] = {}
    problems = []
    for index, values in zip(frame.index, frame.itertuples(index=False, name=None), strict=True):
        cells = list(map(_cell, values))
        where = f"row {index!r} of the table ('{cells[header.index('image_id')]}')"
        try:
            row = to_row(cells)
        except ValueError as error:
            problems.append(f"{where}: {error}.")
            continue
        if row.image_id in rows:
            problems.append(f"{where}: image_id '{row.image_id}' occurs twice.")
        if fault := row_fault(like, row):
            problems.append(f"{where}: {fault}.")
        rows[row.image_id] = row
    made = replace(like, rows=tuple(rows[image_id] for image_id in sorted(rows)), edited=True)
    refuse([*problems, *([f"{made.split_fault}."] if made.split_fault else [])])
    return made


def _cell(value: Any) -> str:
    """A cell of ``manifest.csv``: pandas makes floats of whole numbers, and NaN or None of what is missing."""
    import pandas as pd

    if isinstance(value, str):
        return value
    if isinstance(value, Sequence | np.ndarray):
        return " ".join(map(str, value))
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float | np.floating) and float(value).is_integer() else str(value)


def marks_to_frame(manifest: Manifest) -> pd.DataFrame:
    """See :meth:`Manifest.marks_to_pandas`."""
    import pandas as pd

    frame = pd.DataFrame(_mark_cells(manifest), columns=_MARK_COLUMNS)
    return frame.astype(dict.fromkeys(("mark", "class_id", "row", "col", "region"), "int64"))


def _mark_cells(manifest: Manifest) -> Iterator[tuple[Any, ...]]:
    names, wanted = manifest.label_space.class_names, {row.image_id for row in manifest.rows}
    for image_id, marks in read_marks_of(manifest):
        for number, m in enumerate(marks if image_id in wanted else ()):
            class_name = names[m.class_id] if 0 <= m.class_id < len(names) else ""
            yield image_id, number, m.kind, m.class_id, class_name, m.row, m.col, m.widths, m.region, m.points
