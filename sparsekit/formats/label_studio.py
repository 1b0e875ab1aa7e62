"""Label Studio: ``tasks.json`` with predictions (key points, brush strokes, rectangles, polygons) and the images."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import quote

import numpy as np

from data_manifests import Mark
from data_manifests.files.text import parse_json
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.formats import Format
from sparsekit.formats.shared.addresses import file_names, image_address
from sparsekit.formats.shared.areas import polygon_pixels, rotated_box
from sparsekit.formats.shared.files import RefusedError, damage_of, only_file, read_json, read_small_image
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.masks import shown_pixels
from sparsekit.formats.shared.rle import label_studio_pixels, label_studio_rle
from sparsekit.formats.shared.shapes import XY, describe, mark_from_description, note, xy_points
from sparsekit.formats.shared.source import Drawn, Imported, ImportSource, check_shape, image_shape, unsupported
from sparsekit.geometry.polylines import Ints

#: For each kind of mark, Label Studio's result type and the tag of its control.
_TYPES = {
    "click": ("keypointlabels", "KeyPointLabels"),
    "stroke": ("brushlabels", "BrushLabels"),
    "box": ("rectanglelabels", "RectangleLabels"),
    "block": ("polygonlabels", "PolygonLabels"),
    "polygon": ("polygonlabels", "PolygonLabels"),
}
#: Address of the server for local files, relative to LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
_LOCAL_FILES = "/data/local-files/?d="

Shape = tuple[int, int]

_LABELS = {*(kind for kind, _ in _TYPES.values()), "ellipselabels", "bitmasklabels"}
#: Region types without a label.
_SHAPES = {kind.removesuffix("labels") for kind in _LABELS}
#: Describe the whole image, or annotate another region, but no pixels.
_PASSED_OVER = (
    "choices", "datetime", "number", "pairwise", "ranker", "rating", "relation", "taxonomy", "textarea",
)  # fmt: skip
#: Their values in JSON-MIN.
_NO_REGION = {*_PASSED_OVER, "text"}


def write(job: ExportJob) -> None:
    """Write ``tasks.json``, ``config.xml`` (the labelling interface) and ``images/``."""
    tasks = []
    for image in job.annotated(with_marks=True):
        name = job.put_image(image, f"images/{job.name(image.row)}")
        predictions = [{"model_version": f"sparsekit {job.budget}", "result": _results(job, image)}]
        tasks.append({"data": {"image": _LOCAL_FILES + quote(name)}, "predictions": predictions})
    job.write("tasks.json", json.dumps(tasks, ensure_ascii=False) + "\n")
    job.write("config.xml", _config(job))


def _results(job: ExportJob, image: AnnotatedImage) -> list[dict[str, Any]]:
    row, shape = image.row, (image.row.height, image.row.width)
    results = []
    for number, (mark, pixels) in enumerate(zip(image.marks, shown_pixels(image.marks, shape), strict=True)):
        kind = _TYPES[mark.kind][0]
        value = {**_value(mark, pixels, shape), kind: [job.space.class_names[mark.class_id]]}
        result = {
            "id": f"mark{number}", "type": kind, "from_name": kind, "to_name": "image",
            "original_width": row.width, "original_height": row.height, "image_rotation": 0,
            "value": value, "meta": {"text": [text] if (text := _meta(mark)) else []},
        }  # fmt: skip
        results.append(result)
    return results[::-1]


def _meta(mark: Mark) -> str:
    """Return the properties of a mark beyond its position: how a stroke was drawn, or that a polygon is a block."""
    return json.dumps(describe(mark)) if mark.kind == "stroke" else note(mark)


def _value(mark: Mark, pixels: Ints, shape: tuple[int, int]) -> dict[str, Any]:
    """Position of a mark: brush strokes as bytes, others as percentages of the image."""
    height, width = shape
    if mark.kind == "stroke":
        return {"format": "rle", "rle": label_studio_rle(pixels, shape)}
    points = [(x / width * 100, y / height * 100) for x, y in xy_points(mark)]
    if mark.kind == "click":
        return {"x": points[0][0], "y": points[0][1], "width": 100 / width}
    if mark.kind == "box":
        (left, top), (right, bottom) = points
        return {"x": left, "y": top, "width": right - left, "height": bottom - top, "rotation": 0}
    return {"points": points, "closed": True}


def _config(job: ExportJob) -> str:
    from xml.sax.saxutils import quoteattr  # slow to import, with all of HTTP

    lines = ["<View>", '  <Image name="image" value="$image"/>']
    for name, tag in sorted(set(_TYPES.values())):
        lines.append(f'  <{tag} name="{name}" toName="image">')
        for c in job.space.classes:
            lines.append(f'    <Label value={quoteattr(c.name)} background="#{bytes(c.color).hex()}"/>')
        lines.append(f"  </{tag}>")
    return "\n".join([*lines, "</View>"]) + "\n"


def read(source: ImportSource) -> Iterator[Imported]:
    """Yield the annotation of each annotated task."""
    path = only_file(source.folder, ("tasks.json",), "*.json")
    tasks = read_json(path)
    with damage_of(path, "tasks of Label Studio"):
        if not isinstance(tasks, list):
            raise TypeError(f"expected a list, got a {type(tasks).__name__}")
        for task in tasks:
            results = _regions(source, task)
            if not results:
                continue
            address = image_address(task.get("data", task), source.options.image_key)
            if (item := source.find(*file_names(address), address)) is None:
                continue
            where = f"{path}: image {address!r}"
            with damage_of(where, "a list of results"):
                sizes = [(result.get("original_height"), result.get("original_width")) for result in results]
                # Predictions may have no size; their percentages are of the image.
                shapes = {image_shape(item) if None in size else check_shape(item, size, where) for size in sizes}
                shape, *others = shapes
                if others:
                    raise ValueError(
                        f"its regions were drawn on images of {shape[1]}x{shape[0]} and {others[0][1]}x{others[0][0]} "
                        "(width x height)"
                    )
                # Later ones are drawn on top.
                yield Imported(item, shape, source.read_shapes(partial(_drawn, source, shape), reversed(results)))


def _regions(source: ImportSource, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Regions of the first annotation that has any and was not cancelled; if nobody annotated, of the first prediction.

    Other annotations and skipped tasks are noted.
    """
    if "data" not in task:  # JSON-MIN: a list of values by control
        values = [value for values in task.values() if isinstance(values, list) for value in values]
        return [_full_result(value) for value in values if isinstance(value, dict) and not _NO_REGION & value.keys()]
    annotations = task.get("annotations") or task.get("completions") or []
    done = [one for one in annotations if not one.get("was_cancelled")]
    if annotations and not done:
        source.notes["tasks skipped in Label Studio: left out"] += 1
        return []
    first, *others = [
        regions for one in done or (task.get("predictions") or [])[:1] if (regions := _regions_of(one))
    ] or [[]]
    if others:
        source.notes["further annotations of the same task: left out"] += len(others)
    return first


def _regions_of(annotation: dict[str, Any]) -> list[dict[str, Any]]:
    results = [result for result in annotation["result"] if result.get("type") not in _PASSED_OVER]
    labelled = {result.get("id") for result in results if result.get("type") == "labels"}
    # With the control Labels, each region occurs twice: as a shape, and as a shape with its label.
    return [r for r in results if not (r.get("id") in labelled and r.get("type") in _SHAPES)]


def _full_result(value: dict[str, Any]) -> dict[str, Any]:
    """Convert a region of JSON-MIN to the form of the other exports."""
    kind = next((key for key in value if key.endswith("labels")), None)
    if kind is None:
        raise RefusedError("contains a region without a type; export as JSON instead of JSON-MIN")
    return {"type": kind, "value": value, **{k: value.get(k) for k in ("original_height", "original_width")}}


def _drawn(source: ImportSource, shape: Shape, result: dict[str, Any]) -> Drawn | None:
    kind, value = result.get("type"), result["value"]
    labels = value.get(kind) if isinstance(kind, str) else None
    if kind == "labels":
        kind = _kind_of(value)
    if kind not in _LABELS:
        what = f"a region of type {kind!r}" + (" without a label" if kind in _SHAPES else "")
        raise unsupported(what, sorted(_LABELS), "Draw it as one of these in Label Studio, or remove it")
    if not labels or len(labels) != 1:
        what = f"a region with the labels {', '.join(map(str, labels))}" if labels else "a region without a label"
        raise unsupported(what, [], "Give it one label in Label Studio")
    if degrees := result.get("image_rotation"):  # all coordinates refer to the rotated image
        raise RefusedError(f"was rotated by {degrees} degrees in Label Studio. Rotate it back there.")
    if (class_id := source.class_id(str(labels[0]))) is None:
        return None
    text = next(iter((result.get("meta") or {}).get("text") or ()), "")
    if kind == "brushlabels":
        pixels = label_studio_pixels(value["rle"], shape)
        # The mark is known unless somebody edited its pixels.
        marks = (mark_from_description(parse_json(text), class_id, shape),) if text.startswith("{") else ()
        return Drawn(class_id, marks, pixels)
    if kind == "bitmasklabels":
        return Drawn(class_id, pixels=_bitmask_pixels(value["imageDataURL"], shape))
    return _placed(source, str(kind), value, class_id, text, shape)


def _bitmask_pixels(url: str, shape: Shape) -> Ints:
    """Pixels of a bitmask: those of a PNG in Base64 that are not transparent."""
    try:
        alpha = read_small_image(base64.b64decode(url.partition(",")[2], validate=True), shape, "RGBA")[:, :, 3]
    except (binascii.Error, OSError) as error:
        raise RefusedError("contains a bitmask that is not a PNG in Base64, or is damaged") from error
    if alpha.shape != shape:
        raise RefusedError(f"contains a bitmask of {alpha.shape[1]}x{alpha.shape[0]}, not as large as the image")
    return np.flatnonzero(alpha)


def _kind_of(value: dict[str, Any]) -> str:
    """Type of a region whose label is in a separate control."""
    kinds = {
        "points": "polygon", "rle": "brush", "imageDataURL": "bitmask", "radiusX": "ellipse", "height": "rectangle",
    }  # fmt: skip
    for key, kind in kinds.items():
        if key in value:
            return f"{kind}labels"
    return "keypointlabels"


def _placed(
    source: ImportSource, kind: str, value: dict[str, Any], class_id: int, text: str, shape: Shape
) -> Drawn | None:
    """A region whose coordinates are percentages of the image's width and height."""

    def xy(x: Any, y: Any) -> XY:
        # Percentages are not exact: an edge between two pixels must not move into the next pixel.
        return round(float(x) / 100 * shape[1], 6), round(float(y) / 100 * shape[0], 6)

    if kind == "polygonlabels":
        return source.drawn("polygon", class_id, [xy(x, y) for x, y in value["points"]], text, shape)
    corner, degrees = xy(value["x"], value["y"]), float(value.get("rotation") or 0) % 360
    if kind == "ellipselabels":
        return source.ellipse(class_id, corner, xy(value["radiusX"], value["radiusY"]), degrees, shape)
    if kind == "keypointlabels":
        return source.drawn("click", class_id, [corner], text, shape)
    if degrees:
        turned = rotated_box(corner, xy(value["width"], value["height"]), degrees, corner)
        return source.area(class_id, polygon_pixels(turned, shape), shape)
    opposite = xy(float(value["x"]) + float(value["width"]), float(value["y"]) + float(value["height"]))
    return source.drawn("box", class_id, [corner, opposite], text, shape)


FORMAT = Format(write, read, needs_marks=True)
