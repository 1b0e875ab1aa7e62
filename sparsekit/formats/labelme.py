"""labelme: a JSON file beside each image, with points, line strips, rectangles and polygons."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_manifests import Mark
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.files import RefusedError, damage_of, is_hidden, read_json, read_small_image
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.shapes import XY, note, xy_points
from sparsekit.formats.shared.source import Drawn, Imported, ImportSource, check_shape, image_shape
from sparsekit.geometry.polylines import Ints

#: labelme's shape type for each kind of mark.
_SHAPE_TYPES = {"click": "point", "stroke": "linestrip", "box": "rectangle", "block": "polygon", "polygon": "polygon"}
#: Our kind of mark for each of labelme's shape types; X-AnyLabeling writes rotated boxes as "rotation".
_KINDS = {
    "point": "click", "linestrip": "stroke", "line": "stroke", "rectangle": "box", "polygon": "polygon",
    "rotation": "polygon",
}  # fmt: skip


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
            shapes = data["shapes"]
            # The file is beside its image and has its name; imagePath may be from another machine.
            below = path.relative_to(source.folder)
            image_path = str(data.get("imagePath") or below)
            own_name = below.as_posix().removesuffix(".json")
            if item := source.find(own_name, image_path, hint=f"{below.parent.as_posix()}/{image_path}"):
                size = data.get("imageHeight"), data.get("imageWidth")
                shape = image_shape(item) if None in size else check_shape(item, size, path)
                drawn = [_drawn(source, entry, shape) for entry in reversed(shapes)]
                yield Imported(item, shape, tuple(one for one in drawn if one))


def _drawn(source: ImportSource, entry: dict[str, Any], shape: tuple[int, int]) -> Drawn | None:
    kind = entry.get("shape_type") or "polygon"  # as in files of labelme 3
    if kind not in (*_KINDS, "points", "circle", "mask"):
        source.unsupported(f"a shape of type {kind!r}", (*_KINDS, "points", "circle", "mask"))
        return None
    if (class_id := source.class_id(entry["label"])) is None:
        return None
    points = [(float(x), float(y)) for x, y in entry["points"]]
    if kind == "rectangle" and len(points) == 4:  # X-AnyLabeling gives all corners
        kind = "polygon"
    if kind == "points":
        return Drawn(class_id, tuple(m for p in points for m in source.drawn("click", class_id, [p], "", shape).marks))
    if kind == "circle":
        centre, edge = points
        radius = math.dist(centre, edge)
        return source.ellipse(class_id, centre, (radius, radius), 0, shape)
    if kind == "mask":
        return Drawn(class_id, pixels=_mask_pixels(entry["mask"], points, shape))
    return source.drawn(_KINDS[kind], class_id, points, str(entry.get("description") or ""), shape)


def _mask_pixels(text: Any, points: list[XY], shape: tuple[int, int]) -> Ints:
    """Pixels of a mask: a PNG in Base64, whose upper left corner is at the first point."""
    try:
        mask = read_small_image(base64.b64decode(text, validate=True), shape) > 0
    except (binascii.Error, OSError) as error:
        raise RefusedError("contains a mask that is not a PNG in Base64, or is damaged") from error
    (left, top), *_ = points
    rows, cols = np.nonzero(mask)
    rows, cols = rows + round(top), cols + round(left)
    if len(rows) and not (0 <= rows.min() <= rows.max() < shape[0] and 0 <= cols.min() <= cols.max() < shape[1]):
        raise RefusedError(f"a mask at ({left}, {top}) lies outside the image of {shape[1]}x{shape[0]}")
    return np.asarray(rows * shape[1] + cols)


FORMAT = Format(write, read, needs_marks=True)
