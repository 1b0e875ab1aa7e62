"""PixelPick: SegNet's tree of folders, and a pickle of the labelled pixels of each picture."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from sparsekit.export.job import ExportJob
from sparsekit.export.label_maps import Places, write_label_maps


def losses(job: ExportJob) -> list[str]:
    """Strokes become separate pixels."""
    if job.only_clicks:
        return []
    if job.census is None:
        return ["without marks nothing tells strokes from clicks, so each labelled pixel would become a point"]
    other = {kind: n for kind, n in sorted(job.census.kinds.items()) if kind != "click"}
    return [f"{n} marks of kind {kind} would fall into separate pixels" for kind, n in other.items()]


def write(job: ExportJob) -> None:
    """Write pictures and ``0_query/queries.pkl``, which the loader of custom data sets joins by their sorted paths."""
    queries: dict[str, dict[str, Any]] = {}
    placed = write_label_maps(
        job, Places("{split}/{name}", "{split}annot/{name}.png", "{split}annot/{name}.png", ".png")
    )
    by_id = {p.row.image_id: p for p in placed}
    for image in job.annotated():
        label_map = image.read_annotation()
        rows, cols = np.nonzero(label_map != job.space.unlabelled_value)
        class_ids = label_map[rows, cols].tolist()
        queries[by_id[image.row.image_id].image] = {
            "height": image.row.height,
            "width": image.row.width,
            "x_coords": cols.tolist(),
            "y_coords": rows.tolist(),
            "category": [job.space.class_names[i] for i in class_ids],
            "category_id": class_ids,
        }
    job.write("0_query/queries.pkl", pickle.dumps(dict(sorted(queries.items())), protocol=4))
