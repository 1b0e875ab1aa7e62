"""Tree Energy Loss, and with it SASFormer and GatedCRF: label maps by split, or for VOC its own JSON and XML files."""

from __future__ import annotations

import json
import zipfile
from xml.etree import ElementTree

from data_manifests import Mark
from data_manifests.errors import counted
from sparsekit.annotated_images import AnnotatedImage
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps

#: What the reader calls the classes of VOC, by id.
VOC_NAMES = (
    "background", "plane", "bike", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "table", "dog",
    "horse", "motorbike", "person", "plant", "sheep", "sofa", "train", "monitor",
)  # fmt: skip
POINTS = "voc_whats_the_point.json"
BACKGROUND_POINTS = "voc_whats_the_point_bg_from_scribbles.json"
SCRIBBLES = "voc_scribbles.zip"
_SPARSE = "sparse_label"
#: Where label maps lie, as patterns.
PLACES = (f"*/{_SPARSE}/*",)
#: The reader draws clicks and strokes of VOC this wide, whatever they were.
READER_WIDTH = 3


def losses(job: ExportJob) -> list[str]:
    """What the files of VOC cannot hold; label maps hold all."""
    if not _is_voc(job) or job.census is None:
        return []
    kinds, widths = job.census.kinds, job.census.stroke_widths
    lost = [f"{counted(n, 'mark')} of kind {kind} would be left out" for kind, n in kinds.items() if kind not in _KINDS]
    if both := min(kinds["click"], kinds["stroke"]):
        lost.append(f"the reader takes either clicks or strokes, never both, so at least {both} of them go unread")
    if other := kinds["stroke"] - widths[READER_WIDTH]:
        lost.append(f"the width of {counted(other, 'stroke')}: the reader draws each {READER_WIDTH} pixels wide")
    return lost


def write(job: ExportJob) -> None:
    """Write a data root for its loaders: for VOC two files of clicks and an archive of strokes, else label maps."""
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
    with zipfile.ZipFile(job.folder / SCRIBBLES, "w") as archive:
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
    job.write(POINTS, json.dumps(points) + "\n")
    job.write(BACKGROUND_POINTS, json.dumps(background) + "\n")


def _entry(name: str) -> zipfile.ZipInfo:
    """An archive's entry without time and platform, and not compressed, so that equal marks give equal bytes."""
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
