"""CVAT for images 1.1: one ``annotations.xml`` with points, polylines, boxes and polygons, and the images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from data_manifests import Mark
from data_manifests.errors import list_some
from sparsekit.formats import Format
from sparsekit.formats.shared.areas import polygon_pixels, rotated_box
from sparsekit.formats.shared.files import RefusedError, SkippableError, damage_of, only_file, parse_xml, read_bytes
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.rle import run_pixels
from sparsekit.formats.shared.shapes import XY, note, xy_points
from sparsekit.formats.shared.source import Drawn, Imported, ImportSource, check_shape, image_shape, unsupported
from sparsekit.geometry.polylines import Ints

#: Attribute of every label, which stores what a shape cannot express.
_NOTE = "note"
#: CVAT's XML element for each kind of mark.
_ELEMENTS = {"click": "points", "stroke": "polyline", "box": "box", "block": "polygon", "polygon": "polygon"}
_KINDS = {"points": "click", "polyline": "stroke", "box": "box", "polygon": "polygon"}
#: Describes the whole image, not pixels.
_PASSED_OVER = ("tag",)

#: Of an image: name, subset of a project, height and width, shapes with their labels.
_Image = tuple[str, str, tuple[str | None, str | None], list[tuple[str | None, Element]]]


def write(job: ExportJob) -> None:
    """Write ``annotations.xml``, ``images/``, and ``labels.json`` to paste into the raw labels of a new task."""
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
    """Yield the annotation of each image that has shapes."""
    path = only_file(source.folder, ("annotations.xml",), "*.xml")
    root = parse_xml(read_bytes(path), path)
    with damage_of(path, "annotations of CVAT for images 1.1"):
        if root.tag != "annotations":
            raise ValueError(f"<{root.tag}> of something else")
        for name, subset, size, shapes in [*_images(root), *_frames(root)]:
            if not shapes or (item := source.find(name, hint=f"{subset}/{name}" if subset else "")) is None:
                continue
            where = f"{path}: image {name!r}"
            shape = (
                image_shape(item) if None in size else check_shape(item, (int(size[0] or 0), int(size[1] or 0)), where)
            )
            # At equal z-order, later shapes are drawn over earlier ones.
            ordered = sorted(shapes, key=lambda one: int(one[1].get("z_order", "0")))
            with damage_of(where, "a list of shapes"):
                yield Imported(item, shape, source.read_shapes(partial(_drawn, source, shape), reversed(ordered)))


def _images(root: Element) -> Iterator[_Image]:
    for image in root.findall("image"):
        size = image.attrib["height"], image.attrib["width"]
        shapes = [(element.get("label"), element) for element in image if element.tag not in _PASSED_OVER]
        yield image.attrib["name"], image.get("subset", ""), size, shapes


def _frames(root: Element) -> list[_Image]:
    """The frames of CVAT for video 1.1, named as CVAT names their images: ``frame_000000``.

    Raises:
        RefusedError: If the tracks are of several tasks of a project, whose frames have the same names.
    """
    tasks = {track.get("task_id", "") for track in root.findall("track")}
    if len(tasks) > 1:
        raise RefusedError(
            f"holds the tracks of the tasks {list_some(sorted(tasks))}, whose frames have the same names. Export each "
            "task by itself, or the project as CVAT for images 1.1."
        )
    shapes: dict[int, list[tuple[str | None, Element]]] = {}
    for track in root.findall("track"):
        for element in track:
            if element.get("outside") != "1":
                shapes.setdefault(int(element.attrib["frame"]), []).append((track.get("label"), element))
    if not shapes:
        return []
    size = root.findtext(".//original_size/height"), root.findtext(".//original_size/width")
    return [(f"frame_{frame:06d}", "", size, of_frame) for frame, of_frame in sorted(shapes.items())]


def _drawn(source: ImportSource, shape: tuple[int, int], labelled: tuple[str | None, Element]) -> Drawn | None:
    label, element = labelled
    kind = element.tag
    if kind not in (*_KINDS, "ellipse", "mask", "skeleton"):
        raise unsupported(f"a shape <{kind}>", (*_KINDS, "ellipse", "mask", "skeleton"))
    if label is None:
        raise KeyError("label")
    if (class_id := source.class_id(label)) is None:
        return None
    degrees = float(element.get("rotation", "0")) % 360
    if kind == "ellipse":
        cx, cy, rx, ry = _numbers(element, "cx", "cy", "rx", "ry")
        return source.ellipse(class_id, (cx, cy), (rx, ry), degrees, shape)
    if kind == "mask":
        return Drawn(class_id, pixels=_mask_pixels(element, shape))
    if kind == "box" and degrees:
        left, top, right, bottom = _numbers(element, "xtl", "ytl", "xbr", "ybr")
        middle = (left + right) / 2, (top + bottom) / 2
        corners = rotated_box((left, top), (right - left, bottom - top), degrees, middle)
        return source.area(class_id, polygon_pixels(corners, shape), shape)
    if kind == "skeleton":
        seen = [e for e in element.findall("points") if e.get("outside", "0") == e.get("occluded", "0") == "0"]
        return _clicks(source, class_id, [point for e in seen for point in _points(e)], shape)
    if kind == "points":
        return _clicks(source, class_id, _points(element), shape)
    text = next((a.text or "" for a in element.findall("attribute") if a.get("name") == _NOTE), "")
    return source.drawn(_KINDS[kind], class_id, _points(element), text, shape)


def _clicks(source: ImportSource, class_id: int, points: list[XY], shape: tuple[int, int]) -> Drawn | None:
    """Clicks, the last one on top; None if there are none."""
    marks = [m for p in reversed(points) for m in source.drawn("click", class_id, [p], "", shape).marks]
    return Drawn(class_id, tuple(marks)) if marks else None


def _points(element: Element) -> list[XY]:
    if element.tag == "box":
        left, top, right, bottom = _numbers(element, "xtl", "ytl", "xbr", "ybr")
        return [(left, top), (right, bottom)]
    pairs = [pair.split(",") for pair in element.attrib["points"].split(";")]
    return [(float(x), float(y)) for x, y in pairs]


def _numbers(element: Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def _mask_pixels(element: Element, shape: tuple[int, int]) -> Ints:
    """Pixels of a mask: run lengths along the rows of its box, starting with a run outside the mask."""
    left, top, width, height = (int(element.attrib[name]) for name in ("left", "top", "width", "height"))
    if not (left >= 0 and top >= 0 and 0 < width <= shape[1] - left and 0 < height <= shape[0] - top):
        raise SkippableError(
            f"a mask of {width}x{height} at ({left}, {top}) lies outside the image of {shape[1]}x{shape[0]}. Move it "
            "inside in CVAT",
            "shapes that reach outside the image",
        )
    counts = [int(n) for n in element.attrib["rle"].split(",")]
    counts += [0] * (len(counts) % 2) + [max(height * width - sum(counts), 0)]  # CVAT accepts a missing last run
    rows, cols = np.divmod(run_pixels(counts, height * width), width)
    return np.asarray((rows + top) * shape[1] + cols + left)


FORMAT = Format(write, read, needs_marks=True)
