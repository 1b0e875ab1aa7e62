"""URSS, CC4S, CDSP and rloss: ``pascal_2012_scribble/<id>.png`` beside ``JPEGImages`` and the lists."""

from __future__ import annotations

from collections.abc import Iterator

from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, read_label_maps, write_label_maps, write_lists
from sparsekit.formats.shared.label_values import train_id_values
from sparsekit.formats.shared.source import Imported, ImportSource

_SPARSE = "pascal_2012_scribble"
#: Folders of annotations, as patterns.
_PLACES = (_SPARSE,)


def write(job: ExportJob) -> None:
    """Write a root folder for its loader: images ``.jpg``, label maps ``.png``, lists of bare names."""
    placed = write_label_maps(
        job,
        Places("JPEGImages/{name}", f"{_SPARSE}/{{name}}.png", "SegmentationClassAug/{name}.png", ".jpg"),
    )
    write_lists(job, placed, "ImageSets/SegmentationAug/{split}.txt", lambda p: p.name)


def read(source: ImportSource) -> Iterator[Imported]:
    """Yield the annotation of each annotated image."""
    return read_label_maps(source, train_id_values(source.space), _PLACES)


FORMAT = Format(write, read, train_id_values)
