"""Label Studio: ``tasks.json`` with predictions (key points, brush strokes, rectangles, polygons) and the images."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from data_manifests import DatasetItem, Mark
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.files import damage_of, only_file, read_json
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.masks import from_masks, shown_pixels
from sparsekit.formats.shared.rle import label_studio_pixels, label_studio_rle
from sparsekit.formats.shared.shapes import XY, describe, mark_from_description, mark_from_xy, note, xy_points
from sparsekit.formats.shared.source import Imported, ImportSource, check_shape, check_upright
from sparsekit.geometry.polylines import Ints

#: Label Studio's type of result, and the tag of its control, for each kind of mark.
_TYPES = {
    "click": ("keypointlabels", "KeyPointLabels"),
    "stroke": ("brushlabels", "BrushLabels"),
    "box": ("rectanglelabels", "RectangleLabels"),
    "block": ("polygonlabels", "PolygonLabels"),
    "polygon": ("polygonlabels", "PolygonLabels"),
}
#: Where the server finds local files, below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
_LOCAL_FILES = "/data/local-files/?d="

Shape = tuple[int, int]

_KINDS = {"keypointlabels": "click", "rectanglelabels": "box", "polygonlabels": "polygon"}
_LABELS = {kind for kind, _ in _TYPES.values()}
#: Say something of the whole image, or of a region beside them, not of pixels.
_PASSED_OVER = (
    "choices", "datetime", "number", "pairwise", "ranker", "rating", "relation", "taxonomy", "textarea",
)  # fmt: skip
#: The server puts this before the names of uploaded files.
_UPLOAD = re.compile("^[0-9a-f]{8}-")


def write(job: ExportJob) -> None:
    """Write ``tasks.json``, ``config.xml`` (the labelling interface) and ``images/``."""
    tasks = []
    for image in job.annotated(with_marks=True):
        name = job.put_image(image, f"images/{job.name(image.row)}")
        predictions = [{"model_version": f"sparsekit {job.budget}", "result": _results(job, image)}]
        tasks.append({"data": {"image": _LOCAL_FILES + name}, "predictions": predictions})
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
    """What the place of a mark cannot say: how a brush stroke was drawn, or that a polygon is a block."""
    return json.dumps(describe(mark)) if mark.kind == "stroke" else note(mark)


def _value(mark: Mark, pixels: Ints, shape: tuple[int, int]) -> dict[str, Any]:
    """Place of a mark: brush strokes as bytes, others in per cent of the image."""
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
    """Annotations of the tasks that have one."""
    path = only_file(source.folder, ("tasks.json",), "*.json")
    tasks = read_json(path)
    with damage_of(path, "tasks of Label Studio"):
        if not isinstance(tasks, list):
            raise TypeError(f"expected a list, got a {type(tasks).__name__}")
        for task in tasks:
            results = _regions(task)
            if not results:
                continue
            image = str(task["data"]["image"])
            plain = _UPLOAD.sub("", re.split("[/=]", image)[-1])
            item = source.find(plain if source.knows(plain) else image)
            if item is None:
                continue
            where = f"{path}: image {image!r}"
            for result in results:
                _check_region(result, where)
                shape = check_shape(item, (result["original_height"], result["original_width"]), where)
            with damage_of(where, "a list of results"):
                yield _read_results(source, item, results[::-1], shape)  # later ones are drawn on top


def _regions(task: dict[str, Any]) -> list[dict[str, Any]]:
    """Regions of the first annotation that was not cancelled; without one, of the first prediction."""
    done = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    chosen = (done or task.get("predictions") or [{"result": []}])[0]
    return [result for result in chosen["result"] if result.get("type") not in _PASSED_OVER]


def _check_region(result: dict[str, Any], where: str) -> None:
    """Refuse what would be left out, or would land in another place."""
    if (kind := result.get("type")) not in _LABELS:
        raise AnnotationError(
            f"{where}: holds a region of type {kind!r}, which is not read; expected one of: "
            f"{', '.join(sorted(_LABELS))}. Draw it as one of these in Label Studio, or remove it."
        )
    if degrees := result.get("image_rotation"):  # all places are those of the turned image
        raise AnnotationError(f"{where}: was turned by {degrees} degrees in Label Studio. Turn it back there.")
    check_upright(result["value"].get("rotation"), where)


def _read_results(source: ImportSource, item: DatasetItem, results: list[dict[str, Any]], shape: Shape) -> Imported:
    class_ids = [source.class_id(_label(result)) for result in results]
    marks = [_mark(*pair, shape) for pair in zip(results, class_ids, strict=True)]
    masks = [
        label_studio_pixels(result["value"]["rle"], shape) if result["type"] == "brushlabels" else None
        for result in results
    ]
    return from_masks(source, item, class_ids, marks, masks, shape)


def _label(result: dict[str, Any]) -> str:
    names = result["value"][result["type"]]
    if len(names) != 1:
        raise ValueError(f"a region has the labels {names}; expected one")
    return str(names[0])


def _mark(result: dict[str, Any], class_id: int, shape: Shape) -> Mark | None:
    """A mark; None for a brush stroke that somebody has painted."""
    value, text = result["value"], next(iter(result.get("meta", {}).get("text") or ()), "")
    if result["type"] == "brushlabels":
        return mark_from_description(json.loads(text), class_id, shape) if text.startswith("{") else None
    return mark_from_xy(_KINDS[result["type"]], class_id, _points(result["type"], value, shape), text, shape, 1)


def _points(kind: str, value: dict[str, Any], shape: Shape) -> list[XY]:
    if kind == "polygonlabels":
        per_cent = [(float(x), float(y)) for x, y in value["points"]]
    else:
        per_cent = [(float(value["x"]), float(value["y"]))]
    if kind == "rectanglelabels":
        per_cent.append((per_cent[0][0] + float(value["width"]), per_cent[0][1] + float(value["height"])))
    # Per cents are not exact: an edge between two pixels must not fall into the next one.
    return [(round(x / 100 * shape[1], 6), round(y / 100 * shape[0], 6)) for x, y in per_cent]


FORMAT = Format(write, read, needs_marks=True)
