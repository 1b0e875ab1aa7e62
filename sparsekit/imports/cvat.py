"""Import CVAT for images 1.1: points, polylines, boxes and polygons of ``annotations.xml``."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from data_manifests import Mark
from sparsekit.formats.cvat import NOTE
from sparsekit.formats.shared.shapes import XY, mark_from_xy
from sparsekit.imports.files import damage_of, only_file, parse_xml, read_bytes
from sparsekit.imports.source import Imported, ImportSource, check_shape, check_upright

_KINDS = {"points": "click", "polyline": "stroke", "box": "box", "polygon": "polygon"}
#: Says something of the whole image, not of pixels.
_PASSED_OVER = ("tag",)


def read(source: ImportSource) -> Iterator[Imported]:
    """Annotations of the images that have one; an image without shapes has none."""
    path = only_file(source.folder, ("annotations.xml",), "*.xml")
    root = parse_xml(read_bytes(path), path)
    with damage_of(path, "annotations of CVAT for images 1.1"):
        if root.tag != "annotations" or root.find("track") is not None:
            raise ValueError(f"<{root.tag}> of {'tracks' if root.find('track') is not None else 'something else'}")
        for image in root.findall("image"):
            shapes = [shape for shape in image if shape.tag not in _PASSED_OVER]
            if not shapes or (item := source.find(image.attrib["name"])) is None:
                continue
            where = f"{path}: image {image.attrib['name']!r}"
            shape = check_shape(item, (int(image.attrib["height"]), int(image.attrib["width"])), where)
            for box in image.findall("box"):
                check_upright(float(box.get("rotation", "0")), where)
            # Of equal height, later shapes are drawn over earlier ones.
            drawn = sorted(shapes, key=lambda element: int(element.get("z_order", "0")))
            with damage_of(where, "a list of shapes"):
                yield Imported(item, tuple(m for element in reversed(drawn) for m in _marks(source, element, shape)))


def _marks(source: ImportSource, element: Element, shape: tuple[int, int]) -> list[Mark]:
    kind = _KINDS.get(element.tag)
    if kind is None:
        raise ValueError(f"shape <{element.tag}>; expected one of: {', '.join(_KINDS)}")
    class_id = source.class_id(element.attrib["label"])
    text = next((a.text or "" for a in element.findall("attribute") if a.get("name") == NOTE), "")
    points = _points(element)
    parts = [[point] for point in reversed(points)] if kind == "click" else [points]
    return [mark_from_xy(kind, class_id, part, text, shape, source.stroke_width) for part in parts]


def _points(element: Element) -> list[XY]:
    if element.tag == "box":
        left, top, right, bottom = (float(element.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return [(left, top), (right, bottom)]
    pairs = [pair.split(",") for pair in element.attrib["points"].split(";")]
    return [(float(x), float(y)) for x, y in pairs]
