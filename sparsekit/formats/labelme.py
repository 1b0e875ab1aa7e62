"""labelme: a JSON file beside each image, with points, line strips, rectangles and polygons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from data_manifests import Mark
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.files import damage_of, read_json
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.shapes import mark_from_xy, note, xy_points
from sparsekit.formats.shared.source import Imported, ImportSource, check_shape

#: labelme's word for each kind of mark.
_SHAPE_TYPES = {"click": "point", "stroke": "linestrip", "box": "rectangle", "block": "polygon", "polygon": "polygon"}
#: Our kind of mark for each of labelme's shapes.
_KINDS = {
    "point": "click", "linestrip": "stroke", "line": "stroke", "rectangle": "box", "polygon": "polygon",
}  # fmt: skip


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
        "shape_type": _SHAPE_TYPES[mark.kind],
        "flags": {},
        "mask": None,
    }


def read(source: ImportSource) -> Iterator[Imported]:
    """Annotations of all JSON files in the folder."""
    paths = sorted(source.folder.rglob("*.json"))
    if not paths:
        raise AnnotationError(f"{source.folder}: no labelme files (.json) in it.")
    for path in paths:
        data = read_json(path)
        with damage_of(path, "a labelme file"):
            shapes = data["shapes"]
            # The file stands beside its image and has its name; imagePath may be of another machine.
            name = path.stem if source.knows(path.stem) else str(data["imagePath"])
            if item := source.find(name):
                shape = check_shape(item, (data["imageHeight"], data["imageWidth"]), path)
                yield Imported(item, tuple(_mark(source, entry, shape) for entry in reversed(shapes)))


def _mark(source: ImportSource, entry: dict[str, Any], shape: tuple[int, int]) -> Mark:
    kind = _KINDS.get(entry["shape_type"])
    if kind is None:
        raise ValueError(f"shape {entry['shape_type']!r}; expected one of: {', '.join(_KINDS)}")
    points = [(float(x), float(y)) for x, y in entry["points"]]
    text = str(entry.get("description") or "")
    return mark_from_xy(kind, source.class_id(entry["label"]), points, text, shape, source.stroke_width)


FORMAT = Format(write, read, needs_marks=True)
