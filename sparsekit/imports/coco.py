"""Import COCO: run-length masks, and the marks in their attributes where they come from an export of ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from data_manifests import DatasetItem, Mark
from sparsekit.formats.shared.rle import coco_pixels, coco_uncompress
from sparsekit.formats.shared.shapes import mark_from_description
from sparsekit.geometry.polylines import Ints
from sparsekit.imports.files import damage_of, only_file, read_json
from sparsekit.imports.painted import from_masks
from sparsekit.imports.source import Imported, ImportSource, check_shape

Shape = tuple[int, int]


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
