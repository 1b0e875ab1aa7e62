"""labelme: a JSON file beside each image, with points, line strips, rectangles and polygons."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from data_manifests import Mark
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.areas import polygon_pixels
from sparsekit.formats.shared.files import RefusedError, damage_of, is_hidden, read_json, read_small_image
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.shapes import XY, clip_points, note, xy_points
from sparsekit.formats.shared.source import Drawn, Imported, ImportSource, check_shape, image_shape, unsupported
from sparsekit.geometry.polylines import Ints

#: labelme's shape type for each kind of mark.
_SHAPE_TYPES = {"click": "point", "stroke": "linestrip", "box": "rectangle", "block": "polygon", "polygon": "polygon"}
#: Our kind of mark for each of labelme's shape types.
_KINDS = {
    "point": "click", "linestrip": "stroke", "line": "stroke", "rectangle": "box", "polygon": "polygon",
}  # fmt: skip
#: Rotated boxes of labelme, and of X-AnyLabeling.
_ROTATED = ("oriented_rectangle", "rotation")
_READ = (*_KINDS, *_ROTATED, "points", "circle", "mask")


def write(job: ExportJob) -> None:
    """Write each image with its ``<name>.json``, and ``labels.txt`` for ``labelme --labels``."""
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
        "shape_type": _SHAPE_TYPES[mark.kind],
        "flags": {},
        "mask": None,
    }


def read(source: ImportSource) -> Iterator[Imported]:
    """Yield the annotations of all JSON files in the folder, except hidden ones."""
    paths = sorted(path for path in source.folder.rglob("*.json") if not is_hidden(path, source.folder))
    if not paths:
        raise AnnotationError(f"{source.folder}: contains no labelme files (.json).")
    for path in paths:
        data = read_json(path)
        with damage_of(path, "a labelme file"):
            if isinstance(data, dict) and "shapes" not in data:
                raise RefusedError("not a labelme file: 'shapes' is missing. Move other JSON files to another folder.")
            shapes = data["shapes"]
            # The file is beside its image and has its name; imagePath may be from another machine.
            below = path.relative_to(source.folder)
            image_path = str(data.get("imagePath") or below)
            own_name = below.as_posix().removesuffix(".json")
            if item := source.find(own_name, image_path, hint=f"{below.parent.as_posix()}/{image_path}"):
                size = data.get("imageHeight"), data.get("imageWidth")
                shape = image_shape(item) if None in size else check_shape(item, size, path)
                drawn = source.read_shapes(partial(_drawn, source, shape), reversed(shapes))
                yield Imported(item, shape, drawn)


def _drawn(source: ImportSource, shape: tuple[int, int], entry: dict[str, Any]) -> Drawn | None:
    kind = entry.get("shape_type") or "polygon"  # as in files of labelme 3
    if kind not in _READ:
        raise unsupported(f"a shape of type {kind!r}", _READ)
    if (class_id := source.class_id(entry["label"])) is None:
        return None
    points = [(float(x), float(y)) for x, y in entry["points"]]
    if kind in _ROTATED or (kind == "rectangle" and len(points) == 4):  # X-AnyLabeling gives all corners
        return source.area(class_id, polygon_pixels(points, shape), shape)
    if kind == "points":
        return Drawn(class_id, tuple(m for p in points for m in source.drawn("click", class_id, [p], "", shape).marks))
    if kind == "circle":
        centre, edge = points
        radius = math.dist(centre, edge)
        return source.ellipse(class_id, centre, (radius, radius), 0, shape)
    if kind == "mask":
        return Drawn(class_id, pixels=_mask_pixels(source, entry["mask"], points, shape))
    return source.drawn(_KINDS[kind], class_id, points, str(entry.get("description") or ""), shape)


def _mask_pixels(source: ImportSource, text: Any, points: list[XY], shape: tuple[int, int]) -> Ints:
    """Pixels of a mask: a PNG in Base64, whose upper left corner is at the first point."""
    try:
        mask = read_small_image(base64.b64decode(text, validate=True), shape) > 0
    except (binascii.Error, OSError) as error:
        raise RefusedError("contains a mask that is not a PNG in Base64, or is damaged") from error
    (left, top), *_ = points
    rows, cols = np.nonzero(mask)
    rows, cols = rows + round(top), cols + round(left)
    if len(rows):  # dragged by a part of a pixel, a mask can end just outside
        clip_points([(cols.min(), rows.min()), (cols.max() + 1, rows.max() + 1)], shape)
    inside = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    if outside := int(np.count_nonzero(~inside)):
        source.notes["pixels of masks just outside the image, left out"] += outside
    return np.asarray(rows[inside] * shape[1] + cols[inside])


FORMAT = Format(write, read, needs_marks=True)
