"""Import Tree Energy Loss: its JSON and XML files of VOC, or label maps."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_manifests import DatasetItem, Mark
from sparsekit.errors import AnnotationError
from sparsekit.formats.shared.shapes import mark_from_xy
from sparsekit.formats.tel import BACKGROUND_POINTS, POINTS, SCRIBBLES, VOC_NAMES
from sparsekit.imports.files import damage_of, parse_xml, read_json
from sparsekit.imports.label_maps import read_label_maps
from sparsekit.imports.source import Imported, ImportSource, check_shape, image_shape

#: Longest XML file of one image that is read.
_MAX_XML = 16 << 20


def read(source: ImportSource) -> Iterator[Imported]:
    """Annotations of the images that have one."""
    if not any((source.folder / name).is_file() for name in (POINTS, BACKGROUND_POINTS, SCRIBBLES)):
        yield from read_label_maps(source, "tel")
        return
    if source.space.num_classes != len(VOC_NAMES):
        raise AnnotationError(
            f"{source.folder}: holds annotations of the {len(VOC_NAMES)} classes of VOC, but the dataset has "
            f"{source.space.num_classes}. Give the dataset that they belong to."
        )
    clicks = _read_clicks(source)
    strokes = dict(_read_strokes(source, source.folder / SCRIBBLES))
    items = {item.image_id: item for item in [*clicks, *strokes]}
    for item in items.values():
        marks = [*clicks.get(item, []), *strokes.get(item, [])]
        if marks:  # the files must name every image, annotated or not
            yield Imported(item, tuple(marks))


def _read_clicks(source: ImportSource) -> dict[DatasetItem, list[Mark]]:
    ranked: dict[DatasetItem, list[tuple[int, Mark]]] = {}
    for name in (POINTS, BACKGROUND_POINTS):
        if not (path := source.folder / name).is_file():
            continue
        with damage_of(path, "clicks by image id"):
            for image_id, clicks in read_json(path).items():
                if item := source.find(image_id):
                    marks = [_click(click, item) for click in clicks]
                    ranked.setdefault(item, []).extend(marks)
    return {item: [mark for _, mark in sorted(marks, key=lambda m: m[0])] for item, marks in ranked.items()}


def _click(click: dict[str, Any], item: DatasetItem) -> tuple[int, Mark]:
    class_id = int(click["cls"])
    if not 0 <= class_id < len(VOC_NAMES):
        raise ValueError(f"class {class_id} of image '{item.image_id}' is not between 0 and {len(VOC_NAMES) - 1}")
    xy = int(click["x"]) + 0.5, int(click["y"]) + 0.5
    return int(click.get("rank", 0)), mark_from_xy("click", class_id, [xy], "", image_shape(item), 1)


def _read_strokes(source: ImportSource, path: Path) -> Iterator[tuple[DatasetItem, list[Mark]]]:
    if not path.is_file():
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".xml"):
                    continue
                where = f"{path}: {entry.filename}"
                if (item := source.find(entry.filename.removesuffix(".xml"))) is None:
                    continue
                with archive.open(entry) as file:
                    data = file.read(_MAX_XML + 1)  # not what the archive says, which may be a lie
                if len(data) > _MAX_XML:
                    raise AnnotationError(f"{where}: unpacks to more than {_MAX_XML} bytes.")
                yield item, _strokes(source, item, data, where)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise AnnotationError(f"{path}: the archive is damaged or cut off ({error}).") from error


def _strokes(source: ImportSource, item: DatasetItem, data: bytes, where: str) -> list[Mark]:
    root = parse_xml(data, where)
    marks = []
    with damage_of(where, "strokes of one image"):
        size = int(root.findtext("size/height", "")), int(root.findtext("size/width", ""))
        shape = check_shape(item, size, where)
        for polygon in root.findall("polygon"):
            name = polygon.findtext("tag", "")
            if name not in VOC_NAMES:
                raise ValueError(f"unknown class {name!r}; expected one of: {', '.join(VOC_NAMES)}")
            points = [
                (int(p.findtext("X", "")) + 0.5, int(p.findtext("Y", "")) + 0.5) for p in polygon.findall("point")
            ]
            marks.append(mark_from_xy("stroke", VOC_NAMES.index(name), points, "", shape, source.stroke_width))
    return marks[::-1]  # the reader draws later ones on top
