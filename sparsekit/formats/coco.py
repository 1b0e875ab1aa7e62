"""COCO: ``annotations/instances_<split>.json`` with a run-length mask for each mark, and the images."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from sparsekit.formats import Format
from sparsekit.formats.shared.addresses import without_upload_prefix
from sparsekit.formats.shared.areas import polygon_pixels, rotated_box
from sparsekit.formats.shared.files import RefusedError, damage_of, only_file, read_json
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.masks import shown_pixels
from sparsekit.formats.shared.rle import coco_counts, coco_pixels, coco_uncompress
from sparsekit.formats.shared.shapes import MARK_KINDS, XY, describe, mark_from_description
from sparsekit.formats.shared.source import Drawn, Imported, ImportSource, check_shape, image_shape, unsupported
from sparsekit.geometry.polylines import Ints

Shape = tuple[int, int]


def write(job: ExportJob) -> None:
    """Write ``annotations/instances_<split>.json``, categories counted from 1, and ``images/``."""
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(job.space.class_names, start=1)]
    info = {"description": f"{job.manifest.info.dataset} {job.budget}"}
    splits: dict[str, dict[str, Any]] = {}
    ids = count(1)
    for image_id, image in enumerate(job.annotated(with_marks=True), start=1):
        row, shape = image.row, (image.row.height, image.row.width)
        data = splits.setdefault(row.split, {
            "info": info, "licenses": [], "images": [], "categories": categories, "annotations": [],
        })  # fmt: skip
        name = job.put_image(image, f"images/{job.name(row)}").removeprefix("images/")
        data["images"].append({"id": image_id, "file_name": name, "width": row.width, "height": row.height})
        for mark, pixels in zip(image.marks, shown_pixels(image.marks, shape), strict=True):
            data["annotations"].append(
                {
                    "id": next(ids),
                    "image_id": image_id,
                    "category_id": mark.class_id + 1,
                    "segmentation": {"size": list(shape), "counts": coco_counts(pixels, shape)},
                    "area": len(pixels),
                    "bbox": _box(pixels, row.width),
                    "iscrowd": 1,  # COCO marks run-length masks this way
                    "attributes": describe(mark),
                }
            )
    for split, data in splits.items():
        # The name by which Datumaro recognises COCO, even without a split.
        job.write(f"annotations/instances_{split or 'default'}.json", json.dumps(data, ensure_ascii=False) + "\n")


def _box(pixels: Ints, image_width: int) -> list[int]:
    """Left, top, width and height; zeros for a mark hidden by earlier ones."""
    if not len(pixels):
        return [0, 0, 0, 0]
    rows, cols = np.divmod(pixels, image_width)
    left, top = int(cols.min()), int(rows.min())
    return [left, top, int(cols.max()) - left + 1, int(rows.max()) - top + 1]


def read(source: ImportSource) -> Iterator[Imported]:
    """Yield the annotation of each annotated image."""
    file_of: dict[Path, Path] = {}  # by the folder of images
    for path in _files(source.folder):
        for one in _read_file(source, path):
            if file_of.setdefault(one.item.image_or_mask.parent, path) != path:
                source.notes["images of several files in one folder; splits are those of the folders of images"] += 1
            yield one


def _files(folder: Path) -> list[Path]:
    """``annotations.json``; or all ``instances*.json`` as in COCO's own downloads, or one for each split as in
    Roboflow's; or the only JSON file.
    """
    if not any(folder.glob("*.json")) and (folder / "annotations").is_dir():
        folder = folder / "annotations"
    instances = sorted(folder.glob("instances*.json")) or sorted(folder.glob("*/_annotations.coco.json"))
    if instances and not (folder / "annotations.json").is_file():
        return instances
    return [only_file(folder, ("annotations.json",), "*.json")]


def _read_file(source: ImportSource, path: Path) -> Iterator[Imported]:
    data = read_json(path)
    by_image: dict[Any, list[dict[str, Any]]] = {}
    with damage_of(path, "annotations of COCO"):
        if any("segments_info" in annotation for annotation in data["annotations"]):
            raise RefusedError(
                "holds panoptic annotations, whose masks are in PNG files. Give the instances of the same images, or a "
                "dataset of their label maps."
            )
        names = {category["id"]: str(category["name"]) for category in data["categories"]}
        for annotation in data["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        ids = Counter(image["id"] for image in data["images"])
        if twice := [image_id for image_id, count in ids.items() if count > 1]:
            raise ValueError(f"several images have the id {twice[0]!r}")
        source.unmatched += [f"image_id {image_id!r}" for image_id in by_image if image_id not in ids]
        info = data.get("info")
        uploaded = isinstance(info, dict) and info.get("contributor") == "Label Studio"
        for image in data["images"]:
            annotations = by_image.get(image["id"])
            name = image["file_name"]
            own = without_upload_prefix(name) if uploaded else name
            if not annotations or (item := source.find(name, own, name, hint=f"{_split(path)}/{own}")) is None:
                continue
            where = f"{path}: image {name!r}"
            size = image.get("height"), image.get("width")
            shape = image_shape(item) if None in size else check_shape(item, size, where)
            with damage_of(where, "a list of masks"):
                yield Imported(item, shape, _read_image(source, annotations, names, shape))


def _split(path: Path) -> str:
    """The split whose images a file describes, to choose among images of one name."""
    return path.stem.removeprefix("instances_") if path.stem.startswith("instances_") else path.parent.name


def _read_image(
    source: ImportSource, annotations: list[dict[str, Any]], names: dict[Any, str], shape: Shape
) -> tuple[Drawn, ...]:
    """Annotations from top to bottom: ours in the order written, others with later ones on top."""

    def read(annotation: dict[str, Any]) -> Drawn | None:
        if (class_id := source.class_id(names[annotation["category_id"]])) is None:
            return None
        if _is_ours(annotation):
            mark = mark_from_description(annotation["attributes"], class_id, shape)
            return Drawn(class_id, (mark,), _mask_pixels(annotation["segmentation"], shape))
        return _shape(source, annotation, class_id, shape)

    others = [one for one in annotations if not _is_ours(one)]
    others.sort(key=lambda one: not one.get("iscrowd"))  # crowds lie below
    return source.read_shapes(read, [*filter(_is_ours, annotations), *reversed(others)])


def _is_ours(annotation: dict[str, Any]) -> bool:
    attributes = annotation.get("attributes")
    is_mark = isinstance(attributes, dict) and attributes.get("kind") in MARK_KINDS
    return is_mark and isinstance(annotation.get("segmentation"), dict)


def _shape(source: ImportSource, annotation: dict[str, Any], class_id: int, shape: Shape) -> Drawn | None:
    if any(annotation.get("keypoints") or ()):
        source.notes["keypoints of annotations: left out"] += 1
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return Drawn(class_id, pixels=_mask_pixels(segmentation, shape))
    if segmentation and any(segmentation):  # boxes of some tools have one empty polygon
        parts = [source.drawn("polygon", class_id, _corners(ring), "", shape) for ring in segmentation if ring]
        return Drawn(class_id, tuple(m for p in parts for m in p.marks), rings=tuple(r for p in parts for r in p.rings))
    left, top, width, height = annotation.get("bbox") or (0, 0, 0, 0)
    if not width * height:
        raise unsupported("an annotation without segmentation or bbox", ("polygons", "run lengths", "boxes"))
    drawn: Drawn | None
    if degrees := _rotation(annotation):
        middle = left + width / 2, top + height / 2
        turned = rotated_box((left, top), (width, height), degrees, middle)
        drawn = source.area(class_id, polygon_pixels(turned, shape), shape)
    else:
        drawn = source.drawn("box", class_id, _corners([left, top, left + width, top + height]), "", shape)
    source.notes["annotations without segmentation, taken as boxes"] += 1
    return drawn


def _rotation(annotation: dict[str, Any]) -> float:
    """Degrees by which a box is rotated about its centre, as CVAT writes them."""
    attributes = annotation.get("attributes")
    degrees = attributes.get("rotation") if isinstance(attributes, dict) else None
    return float(degrees) % 360 if isinstance(degrees, int | float) else 0.0


def _corners(ring: Any) -> list[XY]:
    """Corners of a polygon or box, given as x, y, x, y, ..."""
    if not isinstance(ring, list) or len(ring) % 2:
        raise RefusedError(
            "contains a segmentation that is neither a list of polygons, each of them a list x, y, x, y, ..., nor run "
            "lengths with size and counts. Export it again as one of these."
        )
    return [(float(x), float(y)) for x, y in zip(ring[::2], ring[1::2], strict=True)]


def _mask_pixels(segmentation: Any, shape: Shape) -> Ints:
    if tuple(segmentation["size"]) != shape:
        raise ValueError(f"a mask has the size {segmentation['size']}, but its image {list(shape)}")
    counts = segmentation["counts"]
    counts = coco_uncompress(counts) if isinstance(counts, str) else [int(count) for count in counts]
    return coco_pixels(counts, shape)


FORMAT = Format(write, read, needs_marks=True)
