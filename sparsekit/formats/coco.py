"""COCO: ``annotations.json`` with a run-length mask for each mark, and the images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_manifests import DatasetItem, Mark
from sparsekit.formats import Format
from sparsekit.formats.shared.files import damage_of, only_file, read_json
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.masks import from_masks, shown_pixels
from sparsekit.formats.shared.rle import coco_counts, coco_pixels, coco_uncompress
from sparsekit.formats.shared.shapes import describe, mark_from_description
from sparsekit.formats.shared.source import Imported, ImportSource, check_shape
from sparsekit.geometry.polylines import Ints

Shape = tuple[int, int]


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


def read(source: ImportSource) -> Iterator[Imported]:
    """Annotations of the images that have one."""
    path = only_file(source.folder, ("annotations.json",), "*.json")
    data = read_json(path)
    by_image: dict[Any, list[dict[str, Any]]] = {}
    with damage_of(path, "annotations of COCO"):
        names = {category["id"]: str(category["name"]) for category in data["categories"]}
        for annotation in data["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        ids = Counter(image["id"] for image in data["images"])
        if twice := [image_id for image_id, count in ids.items() if count > 1]:
            raise ValueError(f"several images have the id {twice[0]!r}")
        source.unmatched += [f"image_id {image_id!r}" for image_id in by_image if image_id not in ids]
        for image in data["images"]:
            annotations = by_image.get(image["id"])
            if not annotations or (item := source.find(image["file_name"])) is None:
                continue
            where = f"{path}: image {image['file_name']!r}"
            shape = check_shape(item, (image["height"], image["width"]), where)
            with damage_of(where, "a list of masks"):
                yield _read_image(source, item, annotations, names, shape)


def _read_image(
    source: ImportSource, item: DatasetItem, annotations: list[dict[str, Any]], names: dict[Any, str], shape: Shape
) -> Imported:
    class_ids = [source.class_id(names[annotation["category_id"]]) for annotation in annotations]
    masks = [_pixels(annotation["segmentation"], shape) for annotation in annotations]
    marks = [_mark(*pair, shape) for pair in zip(annotations, class_ids, strict=True)]
    return from_masks(source, item, class_ids, marks, masks, shape)


def _mark(annotation: dict[str, Any], class_id: int, shape: Shape) -> Mark | None:
    attributes = annotation.get("attributes", {})
    return mark_from_description(attributes, class_id, shape) if "points" in attributes else None


def _pixels(segmentation: Any, shape: Shape) -> Ints:
    if not isinstance(segmentation, dict):
        raise TypeError("the segmentation is a polygon, which marks whole objects; only run lengths are read")
    if tuple(segmentation["size"]) != shape:
        raise ValueError(f"a mask is {segmentation['size']}, its image {list(shape)}")
    counts = segmentation["counts"]
    counts = coco_uncompress(counts) if isinstance(counts, str) else [int(count) for count in counts]
    return coco_pixels(counts, shape)


FORMAT = Format(write, read, needs_marks=True)
