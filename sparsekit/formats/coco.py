"""COCO: ``annotations.json`` with a run-length mask for each mark, and the images."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.masks import shown_pixels
from sparsekit.formats.shared.rle import coco_counts
from sparsekit.formats.shared.shapes import describe
from sparsekit.geometry.polylines import Ints


def write(job: ExportJob) -> None:
    """Write ``annotations.json``, categories counted from 1, and ``images/``."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(job.annotated(with_marks=True), start=1):
        row = image.row
        name = job.put_image(image, f"images/{job.name(row)}").removeprefix("images/")
        images.append({"id": image_id, "file_name": name, "width": row.width, "height": row.height})
        shape = row.height, row.width
        for mark, pixels in zip(image.marks, shown_pixels(image.marks, shape), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": mark.class_id + 1,
                    "segmentation": {"size": list(shape), "counts": coco_counts(pixels, shape)},
                    "area": len(pixels),
                    "bbox": _box(pixels, row.width),
                    "iscrowd": 1,  # what run lengths mean in COCO
                    "attributes": describe(mark),
                }
            )
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(job.space.class_names, start=1)]
    info = {"description": f"{job.manifest.info.dataset} {job.budget}"}
    data = {"info": info, "licenses": [], "images": images, "categories": categories, "annotations": annotations}
    job.write("annotations.json", json.dumps(data, ensure_ascii=False) + "\n")


def _box(pixels: Ints, image_width: int) -> list[int]:
    """Left, top, width and height; zeros for a mark that earlier ones hide."""
    if not len(pixels):
        return [0, 0, 0, 0]
    rows, cols = np.divmod(pixels, image_width)
    left, top = int(cols.min()), int(rows.min())
    return [left, top, int(cols.max()) - left + 1, int(rows.max()) - top + 1]
