"""Tree Energy Loss, SASFormer and GatedCRF: label maps by split, or for VOC their own JSON and XML files."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from data_manifests import DatasetItem, LabelSpace, Mark
from data_manifests.errors import counted
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.errors import AnnotationError
from sparsekit.formats import Format
from sparsekit.formats.shared.files import damage_of, is_hidden, parse_xml, read_json
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, read_label_maps, write_label_maps
from sparsekit.formats.shared.label_values import LabelValues, class_id_values, train_id_values
from sparsekit.formats.shared.source import Drawn, Imported, ImportSource, check_shape, image_shape

#: The reader's names of the VOC classes, by id.
VOC_NAMES = (
    "background", "plane", "bike", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "table", "dog",
    "horse", "motorbike", "person", "plant", "sheep", "sofa", "train", "monitor",
)  # fmt: skip
_POINTS = "voc_whats_the_point.json"
_BACKGROUND_POINTS = "voc_whats_the_point_bg_from_scribbles.json"
_SCRIBBLES = "voc_scribbles.zip"
_SPARSE = "sparse_label"
#: Folders of label maps, as patterns.
_PLACES = (f"*/{_SPARSE}/*",)
#: Width at which the reader draws all clicks and strokes of VOC.
_READER_WIDTH = 3
#: Largest XML file of one image, in bytes.
_MAX_XML = 16 << 20


def _losses(job: ExportJob) -> list[str]:
    """Describe the marks that the VOC files cannot store; label maps store all."""
    if not _is_voc(job) or job.census is None:
        return []
    kinds, widths = job.census.kinds, job.census.stroke_widths
    lost = [f"{counted(n, 'mark')} of kind {kind} would be left out" for kind, n in kinds.items() if kind not in _KINDS]
    if both := min(kinds["click"], kinds["stroke"]):
        lost.append(f"the reader takes either clicks or strokes, never both, so at least {both} of them are not read")
    if other := kinds["stroke"] - widths[_READER_WIDTH]:
        lost.append(f"the width of {counted(other, 'stroke')}: the reader draws each {_READER_WIDTH} pixels wide")
    return lost


def write(job: ExportJob) -> None:
    """Write a data root for its loaders: two files of clicks and an archive of strokes for VOC, or else label maps."""
    if _is_voc(job) and job.census is not None:
        _write_voc(job)
        return
    end = "_leftImg8bit" if job.is_cityscapes else ""
    stem = f"{{name}}{end}"
    sparse = f"{{split}}/{_SPARSE}/{job.annotation_folder}/{stem}.png"
    write_label_maps(job, Places(f"{{split}}/image/{stem}", sparse, f"{{split}}/label/{stem}.png"))


_KINDS = ("click", "stroke")


def _is_voc(job: ExportJob) -> bool:
    return job.space.name == "pascal_voc" and job.space.num_classes == len(VOC_NAMES)


def _write_voc(job: ExportJob) -> None:
    points: dict[str, list[dict[str, int]]] = {}
    background: dict[str, list[dict[str, int]]] = {}
    with zipfile.ZipFile(job.folder / _SCRIBBLES, "w") as archive:
        for image in job.annotated(with_marks=True):
            name = job.name(image.row)
            clicks = [_click(number, m) for number, m in enumerate(image.marks) if m.kind == "click"]
            points[name] = [click for click in clicks if click["cls"]]
            background[name] = [click for click in clicks if not click["cls"]]
            # The reader draws later strokes over earlier ones.
            if strokes := [m for m in reversed(image.marks) if m.kind == "stroke"]:
                archive.writestr(_entry(f"{name}.xml"), _xml(image, strokes))
    for image in job.evaluated():  # the reader looks up every image of VOC in both files
        points[job.name(image.row)] = background[job.name(image.row)] = []
    job.write(_POINTS, json.dumps(points) + "\n")
    job.write(_BACKGROUND_POINTS, json.dumps(background) + "\n")


def _entry(name: str) -> zipfile.ZipInfo:
    """An uncompressed archive entry without time and platform, so that equal marks give equal bytes."""
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    return entry


def _click(number: int, mark: Mark) -> dict[str, int]:
    return {"x": mark.col, "y": mark.row, "cls": mark.class_id, "rank": number}


def _xml(image: AnnotatedImage, strokes: list[Mark]) -> bytes:
    root = ElementTree.Element("annotation")
    size = ElementTree.SubElement(root, "size")
    ElementTree.SubElement(size, "width").text = str(image.row.width)
    ElementTree.SubElement(size, "height").text = str(image.row.height)
    for stroke in strokes:
        polygon = ElementTree.SubElement(root, "polygon")
        ElementTree.SubElement(polygon, "tag").text = VOC_NAMES[stroke.class_id]
        for row, col in stroke.points:
            point = ElementTree.SubElement(polygon, "point")
            ElementTree.SubElement(point, "X").text = str(col)
            ElementTree.SubElement(point, "Y").text = str(row)
    return ElementTree.tostring(root)


def read(source: ImportSource) -> Iterator[Imported]:
    """Yield the annotation of each annotated image."""
    if not any((source.folder / name).is_file() for name in (_POINTS, _BACKGROUND_POINTS, _SCRIBBLES)):
        yield from read_label_maps(source, _values(source.space), _PLACES)
        return
    if source.space.num_classes != len(VOC_NAMES):
        raise AnnotationError(
            f"{source.folder}: holds annotations of the {len(VOC_NAMES)} classes of VOC, but the dataset has "
            f"{source.space.num_classes}. Give the dataset that they belong to."
        )
    clicks = _read_clicks(source)
    strokes = dict(_read_strokes(source, source.folder / _SCRIBBLES))
    items = {item.image_id: item for item in [*clicks, *strokes]}
    for item in items.values():
        marks = [*clicks.get(item, []), *strokes.get(item, ())]
        if marks:  # the files must name every image, annotated or not
            yield Imported(item, image_shape(item), tuple(marks))


def _read_clicks(source: ImportSource) -> dict[DatasetItem, list[Drawn]]:
    ranked: dict[DatasetItem, list[tuple[int, Drawn]]] = {}
    for name in (_POINTS, _BACKGROUND_POINTS):
        if not (path := source.folder / name).is_file():
            continue
        with damage_of(path, "clicks by image id"):
            for image_id, clicks in read_json(path).items():
                if item := source.find(image_id):
                    for click in clicks:
                        for one in source.read_shapes(partial(_read_click, source, item), [click]):
                            ranked.setdefault(item, []).append((int(click.get("rank", 0)), one))
    return {item: [mark for _, mark in sorted(marks, key=lambda m: m[0])] for item, marks in ranked.items()}


def _read_click(source: ImportSource, item: DatasetItem, click: dict[str, Any]) -> Drawn:
    class_id = int(click["cls"])
    if not 0 <= class_id < len(VOC_NAMES):
        raise ValueError(f"class {class_id} of image '{item.image_id}' is not between 0 and {len(VOC_NAMES) - 1}")
    xy = int(click["x"]) + 0.5, int(click["y"]) + 0.5
    return source.drawn("click", class_id, [xy], "", image_shape(item))


def _read_strokes(source: ImportSource, path: Path) -> Iterator[tuple[DatasetItem, tuple[Drawn, ...]]]:
    if not path.is_file():
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if not entry.filename.endswith(".xml") or is_hidden(Path(entry.filename), Path()):
                    continue
                where = f"{path}: {entry.filename}"
                if (item := source.find(entry.filename.removesuffix(".xml"))) is None:
                    continue
                with archive.open(entry) as file:
                    data = file.read(_MAX_XML + 1)  # the size stated in the archive may be false
                if len(data) > _MAX_XML:
                    raise AnnotationError(f"{where}: unpacks to more than {_MAX_XML} bytes.")
                yield item, _read_strokes_of(source, item, data, where)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise AnnotationError(f"{path}: the archive is damaged or truncated ({error}).") from error


def _read_strokes_of(source: ImportSource, item: DatasetItem, data: bytes, where: str) -> tuple[Drawn, ...]:
    root = parse_xml(data, where)
    with damage_of(where, "strokes of one image"):
        size = int(root.findtext("size/height", "")), int(root.findtext("size/width", ""))
        read = partial(_read_stroke, source, check_shape(item, size, where))
        return source.read_shapes(read, reversed(root.findall("polygon")))  # the reader draws later ones on top


def _read_stroke(source: ImportSource, shape: tuple[int, int], polygon: ElementTree.Element) -> Drawn:
    name = polygon.findtext("tag", "")
    if name not in VOC_NAMES:
        raise ValueError(f"unknown class {name!r}; expected one of: {', '.join(VOC_NAMES)}")
    points = [(int(p.findtext("X", "")) + 0.5, int(p.findtext("Y", "")) + 0.5) for p in polygon.findall("point")]
    return source.drawn("stroke", VOC_NAMES.index(name), points, "", shape)


def _values(space: LabelSpace) -> LabelValues:
    if space.name == "cityscapes":
        return class_id_values(space, 255)
    if space.name == "ade20k":
        # Its loader subtracts 1 from every 8-bit value: only 0 becomes 255, and 255 would become class 254.
        return class_id_values(space, 0)
    return train_id_values(space)


FORMAT = Format(write, read, _values, losses=_losses)
