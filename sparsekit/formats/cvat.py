"""CVAT for images 1.1: one ``annotations.xml`` with points, polylines, boxes and polygons, and the images."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from data_manifests import Mark
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.shapes import note, xy_points

#: The attribute of every label that holds what a shape cannot say.
NOTE = "note"
#: CVAT's element for each kind of mark.
ELEMENTS = {"click": "points", "stroke": "polyline", "box": "box", "block": "polygon", "polygon": "polygon"}


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
    attribute = {"name": NOTE, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
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
        for key, value in (("name", NOTE), ("mutable", "False"), ("input_type", "text"), ("values", "")):
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
        image, ELEMENTS[mark.kind], {"label": label, "source": "manual", "occluded": "0", **where, "z_order": "0"}
    )
    if text := note(mark):
        ElementTree.SubElement(shape, "attribute", {"name": NOTE}).text = text
