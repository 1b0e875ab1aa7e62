"""CVAT for images 1.1: one ``annotations.xml`` with points, polylines, boxes and polygons, and the images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from xml.etree import ElementTree

from data_manifests import Mark
from sparsekit.formats import Format
from sparsekit.formats.shared.files import damage_of, only_file, parse_xml, read_bytes
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.shapes import XY, mark_from_xy, note, xy_points
from sparsekit.formats.shared.source import Imported, ImportSource, check_shape, check_upright

#: The attribute of every label that holds what a shape cannot say.
_NOTE = "note"
#: CVAT's element for each kind of mark.
_ELEMENTS = {"click": "points", "stroke": "polyline", "box": "box", "block": "polygon", "polygon": "polygon"}
_KINDS = {"points": "click", "polyline": "stroke", "box": "box", "polygon": "polygon"}
#: Says something of the whole image, not of pixels.
_PASSED_OVER = ("tag",)


def write(job: ExportJob) -> None:
    """Write ``annotations.xml``, ``images/`` and ``labels.json``, to be pasted into a new task's raw labels."""
    labels = [(c.name, f"#{bytes(c.color).hex()}") for c in job.space.classes]
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    root.append(_meta(job, labels))
    for number, image in enumerate(job.annotated(with_marks=True)):
        name = job.put_image(image, f"images/{job.name(image.row)}").removeprefix("images/")
        size = {"width": str(image.row.width), "height": str(image.row.height)}
        element = ElementTree.SubElement(root, "image", {"id": str(number), "name": name, **size})
        for mark in reversed(image.marks):
            _add_shape(element, mark, job.space.class_names[mark.class_id])
    ElementTree.indent(root)
    xml = ElementTree.tostring(root, "unicode")
    job.write("annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{xml}\n')
    attribute = {"name": _NOTE, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
    raw = [{"name": name, "color": color, "attributes": [attribute]} for name, color in labels]
    job.write("labels.json", json.dumps(raw, indent=2, ensure_ascii=False) + "\n")


def _meta(job: ExportJob, labels: list[tuple[str, str]]) -> ElementTree.Element:
    meta = ElementTree.Element("meta")
    task = ElementTree.SubElement(meta, "task")
    ElementTree.SubElement(task, "name").text = f"{job.manifest.info.dataset} {job.budget}"
    ElementTree.SubElement(task, "mode").text = "annotation"
    parent = ElementTree.SubElement(task, "labels")
    for name, color in labels:
        label = ElementTree.SubElement(parent, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "color").text = color
        attribute = ElementTree.SubElement(ElementTree.SubElement(label, "attributes"), "attribute")
        for key, value in (("name", _NOTE), ("mutable", "False"), ("input_type", "text"), ("values", "")):
            ElementTree.SubElement(attribute, key).text = value
    return meta


def _add_shape(image: ElementTree.Element, mark: Mark, label: str) -> None:
    points = xy_points(mark)
    if mark.kind == "box":
        (left, top), (right, bottom) = points
        where = {"xtl": f"{left}", "ytl": f"{top}", "xbr": f"{right}", "ybr": f"{bottom}"}
    else:
        where = {"points": ";".join(f"{x},{y}" for x, y in points)}
    shape = ElementTree.SubElement(
        image, _ELEMENTS[mark.kind], {"label": label, "source": "manual", "occluded": "0", **where, "z_order": "0"}
    )
    if text := note(mark):
        ElementTree.SubElement(shape, "attribute", {"name": _NOTE}).text = text


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


def _marks(source: ImportSource, element: ElementTree.Element, shape: tuple[int, int]) -> list[Mark]:
    kind = _KINDS.get(element.tag)
    if kind is None:
        raise ValueError(f"shape <{element.tag}>; expected one of: {', '.join(_KINDS)}")
    class_id = source.class_id(element.attrib["label"])
    text = next((a.text or "" for a in element.findall("attribute") if a.get("name") == _NOTE), "")
    points = _points(element)
    parts = [[point] for point in reversed(points)] if kind == "click" else [points]
    return [mark_from_xy(kind, class_id, part, text, shape, source.stroke_width) for part in parts]


def _points(element: ElementTree.Element) -> list[XY]:
    if element.tag == "box":
        left, top, right, bottom = (float(element.attrib[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        return [(left, top), (right, bottom)]
    pairs = [pair.split(",") for pair in element.attrib["points"].split(";")]
    return [(float(x), float(y)) for x, y in pairs]


FORMAT = Format(write, read, needs_marks=True)
