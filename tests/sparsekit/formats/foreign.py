"""Annotations of other tools on images of one size, and the pixels that they mean, worked out one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data_manifests import Dataset, LabelMap, read_manifest
from data_manifests.manifest.rows import read_row_annotation
from sparsekit.formats.import_ import ImportOptions, ImportSummary, import_annotations

HEIGHT, WIDTH = SHAPE = 20, 30
IDS = ("a", "sub/a", "grün", "a+b c", "frame_000007")


def put(tmp_path: Path, name: str, data: Any) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


def labelme(*shapes: dict[str, Any], name: str = "a.png") -> dict[str, Any]:
    return {"shapes": list(shapes), "imagePath": name, "imageHeight": HEIGHT, "imageWidth": WIDTH}


def shape(kind: str, *points: tuple[float, float], label: str = "tree", **more: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": [list(point) for point in points], **more}


def cvat(body: str, name: str = "a.png") -> str:
    return f'<annotations><image name="{name}" width="{WIDTH}" height="{HEIGHT}">{body}</image></annotations>'


def region(kind: str, label: str | None = "tree", **value: Any) -> dict[str, Any]:
    labels = {} if label is None else {kind: [label]}
    return {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": {**value, **labels}}


def task(*results: dict[str, Any], image: str = "/data/local-files/?d=images/a.png") -> dict[str, Any]:
    return {"data": {"image": image}, "annotations": [{"result": list(results)}]}


def coco(*annotations: dict[str, Any], name: str = "a.png") -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": name, "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 3, "name": "tree"}, {"id": 90, "name": "ground"}],
        "annotations": [{"image_id": 7, "category_id": 3, **annotation} for annotation in annotations],
    }


def bring(tmp_path: Path, dataset: Dataset, format_: str, **options: Any) -> ImportSummary:
    return import_annotations(
        tmp_path / "in", format_, dataset, tmp_path / "out", options=ImportOptions(**options), overwrite=True
    )


def annotation(summary: ImportSummary, image_id: str = "a") -> LabelMap:
    manifest = read_manifest(summary.folder)
    (row,) = (row for row in manifest.rows if row.image_id == image_id)
    return read_row_annotation(manifest, row)


def where(inside: Callable[[float, float], bool], class_id: int = 1) -> np.ndarray:
    """The label map of the pixels whose centres (x, y) are inside."""
    expected = np.full(SHAPE, 255)
    for row, col in np.ndindex(*SHAPE):
        if inside(col + 0.5, row + 0.5):
            expected[row, col] = class_id
    return expected


def in_ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float) -> Callable[[float, float], bool]:
    """Turned clockwise as one looks at it, with y downwards."""

    def inside(x: float, y: float) -> bool:
        turned = complex(x - cx, y - cy) * complex(math.cos(math.radians(degrees)), -math.sin(math.radians(degrees)))
        return (turned.real / rx) ** 2 + (turned.imag / ry) ** 2 <= 1

    return inside


def in_box(x: float, y: float, w: float, h: float, degrees: float, about: complex) -> Callable[[float, float], bool]:
    def inside(px: float, py: float) -> bool:
        turn = complex(math.cos(math.radians(degrees)), -math.sin(math.radians(degrees)))
        back = (complex(px, py) - about) * turn + about
        return x < back.real < x + w and y < back.imag < y + h

    return inside
