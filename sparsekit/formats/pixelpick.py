"""PixelPick: SegNet's folder tree, and a pickle with the labelled pixels of each image."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from data_manifests import ManifestRow
from data_manifests.errors import counted
from data_manifests.manifest.rows import read_row_annotation
from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps
from sparsekit.formats.shared.label_values import train_id_values


def _losses(job: ExportJob) -> list[str]:
    """Strokes become separate pixels."""
    if job.only_clicks:
        return []
    if job.census is None:
        return ["without marks, strokes and clicks are indistinguishable, so each labelled pixel would become a point"]
    other = {kind: n for kind, n in sorted(job.census.kinds.items()) if kind != "click"}
    return [f"{counted(n, 'mark')} of kind {kind} would become separate pixels" for kind, n in other.items()]


def write(job: ExportJob) -> None:
    """Write images and ``0_query/queries.pkl``, which the loader for custom datasets matches by sorted path."""
    labels = "{split}annot/{name}.png"
    placed = write_label_maps(job, Places("{split}/{name}", labels, labels, ".png"))
    queries = {p.image: _query(job, p.row) for p in placed if p.row.annotation}
    job.write("0_query/queries.pkl", pickle.dumps(dict(sorted(queries.items())), protocol=4))


def _query(job: ExportJob, row: ManifestRow) -> dict[str, Any]:
    label_map = read_row_annotation(job.manifest, row)
    rows, cols = np.nonzero(label_map != job.space.unlabelled_value)
    class_ids = label_map[rows, cols].tolist()
    return {
        "height": row.height,
        "width": row.width,
        "x_coords": cols.tolist(),
        "y_coords": rows.tolist(),
        "category": [job.space.class_names[i] for i in class_ids],
        "category_id": class_ids,
    }


FORMAT = Format(write, values=train_id_values, losses=_losses)
