"""Label Studio: ``tasks.json`` with predictions (key points, brush strokes, rectangles, polygons) and the images."""

from __future__ import annotations

import json
from typing import Any

from data_manifests import Mark
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.masks import shown_pixels
from sparsekit.formats.shared.rle import label_studio_rle
from sparsekit.formats.shared.shapes import describe, note, xy_points
from sparsekit.geometry.polylines import Ints

#: Label Studio's type of result, and the tag of its control, for each kind of mark.
TYPES = {
    "click": ("keypointlabels", "KeyPointLabels"),
    "stroke": ("brushlabels", "BrushLabels"),
    "box": ("rectanglelabels", "RectangleLabels"),
    "block": ("polygonlabels", "PolygonLabels"),
    "polygon": ("polygonlabels", "PolygonLabels"),
}
#: Where the server finds local files, below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT.
_LOCAL_FILES = "/data/local-files/?d="


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
        kind = TYPES[mark.kind][0]
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
    for name, tag in sorted(set(TYPES.values())):
        lines.append(f'  <{tag} name="{name}" toName="image">')
        for c in job.space.classes:
            lines.append(f'    <Label value={quoteattr(c.name)} background="#{bytes(c.color).hex()}"/>')
        lines.append(f"  </{tag}>")
    return "\n".join([*lines, "</View>"]) + "\n"
