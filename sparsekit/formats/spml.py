"""SPML: ``VOC2012/scribble/dilate_3/<id>.png`` and lists of image, label and over-segmentation."""

from __future__ import annotations

from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps, write_lists
from sparsekit.formats.shared.label_values import train_id_values


def write(job: ExportJob) -> None:
    """Write a data folder for its loader, with lists in ``datasets/voc12``.

    The third column names the over-segmentation ``VOC2012/hed/<id>.png`` from SPML's download; for evaluation, it names
    the label map itself, as in SPML's lists.
    """
    places = Places("VOC2012/JPEGImages/{name}", "VOC2012/scribble/dilate_3/{name}.png", "VOC2012/segcls/{name}.png")
    placed = write_label_maps(job, places)
    sparse = [p for p in placed if p.row.annotation]
    full = [p for p in placed if not p.row.annotation]
    write_lists(
        job, sparse, "datasets/voc12/scribble_{split}+_d3_hed.txt",
        lambda p: f"{p.image} {p.labels} VOC2012/hed/{p.name}.png",
    )  # fmt: skip
    write_lists(job, full, "datasets/voc12/panoptic_{split}.txt", lambda p: f"{p.image} {p.labels} {p.labels}")


FORMAT = Format(write, values=train_id_values)
