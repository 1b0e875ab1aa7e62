"""Import labelme: points, line strips, rectangles and polygons of JSON files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_manifests import Mark
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.shapes import mark_from_xy
from sparsekit.imports.files import damage_of, read_json
from sparsekit.imports.source import Imported, ImportSource, check_shape

#: Our kind of mark for each of labelme's shapes.
_KINDS = {
    "point": "click", "linestrip": "stroke", "line": "stroke", "rectangle": "box", "polygon": "polygon",
}  # fmt: skip


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
