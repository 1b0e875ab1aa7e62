"""Import Label Studio: annotations, or else predictions, of tasks as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from data_manifests import DatasetItem, Mark
from sparsekit.errors import AnnotationError
from sparsekit.formats.label_studio import TYPES
from sparsekit.formats.shared.rle import label_studio_pixels
from sparsekit.formats.shared.shapes import XY, mark_from_description, mark_from_xy
from sparsekit.imports.files import damage_of, only_file, read_json
from sparsekit.imports.painted import from_masks
from sparsekit.imports.source import Imported, ImportSource, check_shape, check_upright

Shape = tuple[int, int]

_KINDS = {"keypointlabels": "click", "rectanglelabels": "box", "polygonlabels": "polygon"}
_LABELS = {kind for kind, _ in TYPES.values()}
#: Say something of the whole image, or of a region beside them, not of pixels.
_PASSED_OVER = (
    "choices", "datetime", "number", "pairwise", "ranker", "rating", "relation", "taxonomy", "textarea",
)  # fmt: skip
#: The server puts this before the names of uploaded files.
_UPLOAD = re.compile("^[0-9a-f]{8}-")


def read(source: ImportSource) -> Iterator[Imported]:
    """Annotations of the tasks that have one."""
    path = only_file(source.folder, ("tasks.json",), "*.json")
    tasks = read_json(path)
    with damage_of(path, "tasks of Label Studio"):
        if not isinstance(tasks, list):
            raise TypeError(f"expected a list, got a {type(tasks).__name__}")
        for task in tasks:
            results = _results(task)
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


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
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
