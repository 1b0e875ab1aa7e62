"""URSS, and with it CC4S, CDSP and rloss: ``pascal_2012_scribble/<id>.png`` beside ``JPEGImages`` and the lists."""

from __future__ import annotations

from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps, write_lists

_SPARSE = "pascal_2012_scribble"
#: Where annotations lie, as patterns.
PLACES = (_SPARSE,)


def write(job: ExportJob) -> None:
    """Write a root folder for its loader: images ``.jpg``, label maps ``.png``, lists of bare names."""
    placed = write_label_maps(
        job,
        Places("JPEGImages/{name}", f"{_SPARSE}/{{name}}.png", "SegmentationClassAug/{name}.png", ".jpg"),
    )
    write_lists(job, placed, "ImageSets/SegmentationAug/{split}.txt", lambda p: p.name)
