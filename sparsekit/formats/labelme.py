"""labelme: a JSON file beside each image, with points, line strips, rectangles and polygons."""

from __future__ import annotations

import json
from typing import Any

from data_manifests import Mark
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.shapes import note, xy_points

#: labelme's word for each kind of mark.
SHAPE_TYPES = {"click": "point", "stroke": "linestrip", "box": "rectangle", "block": "polygon", "polygon": "polygon"}


def write(job: ExportJob) -> None:
    """Write ``<name>.json`` and the image beside it, and ``labels.txt`` for ``labelme --labels``."""
    for image in job.annotated(with_marks=True):
        name = job.name(image.row)
        data: dict[str, Any] = {
            "version": "5.5.0",
            "flags": {},
            "shapes": [_shape(mark, job.space.class_names[mark.class_id]) for mark in reversed(image.marks)],
            "imagePath": job.put_image(image, name),
            "imageData": None,
            "imageHeight": image.row.height,
            "imageWidth": image.row.width,
        }
        job.write(f"{name}.json", json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    job.write("labels.txt", "".join(f"{name}\n" for name in job.space.class_names))


def _shape(mark: Mark, label: str) -> dict[str, Any]:
    return {
        "label": label,
        "points": xy_points(mark),
        "group_id": None,
        "description": note(mark),
        "shape_type": SHAPE_TYPES[mark.kind],
        "flags": {},
        "mask": None,
    }
