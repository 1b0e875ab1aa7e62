"""AGMM's released code: VOC with ``point/segcls`` or ``scribble/seginst``, Cityscapes with a flat ``<n>clicks``."""

from __future__ import annotations

from collections.abc import Iterator

from data_manifests import LabelSpace
from sparsekit.formats import Format
from sparsekit.formats.shared.job import ANNOTATION_FOLDERS, ExportJob, file_name
from sparsekit.formats.shared.label_maps import Places, read_label_maps, write_label_maps, write_lists
from sparsekit.formats.shared.label_values import LabelValues
from sparsekit.formats.shared.source import Imported, ImportSource

_VOC_CLICKS, _VOC_OTHERS = "point/segcls", "scribble/seginst"
#: Folders of annotations, as patterns; the last ones are those of Cityscapes.
_PLACES = (_VOC_CLICKS, _VOC_OTHERS, *ANNOTATION_FOLDERS)


def write(job: ExportJob) -> None:
    """Write a root folder for its loaders, with lists of ``image mask`` lines in ``splits/``."""
    if job.is_cityscapes:
        # The loader finds a sparse mask by the file name of the full mask in the list.
        end = "gtFine/{split}/{city}/{name}_gtFine_labelTrainIds.png"
        sparse = f"{job.annotation_folder}/{{name}}_gtFine_labelTrainIds.png"
        places = Places("leftImg8bit/{split}/{city}/{name}_leftImg8bit", sparse, end)
        placed = write_label_maps(job, places)
        write_lists(
            job,
            placed,
            "splits/cityscapes/{split}.txt",
            lambda p: f"{p.image} gtFine/{p.row.split}/{p.name.partition('_')[0]}/{p.labels.rpartition('/')[2]}",
        )
        return
    folder = _VOC_CLICKS if job.only_clicks else _VOC_OTHERS
    placed = write_label_maps(
        job, Places("JPEGImages/{name}", f"{folder}/{{name}}.png", "SegmentationClass/{name}.png")
    )
    name = "pascal" if job.manifest.info.layout == "pascal_voc" else file_name(job.manifest.info.dataset or "custom")
    write_lists(job, placed, f"splits/{name}/{{split}}.txt", lambda p: f"{p.image.rpartition('/')[2]} {p.name}.png")


def read(source: ImportSource) -> Iterator[Imported]:
    """Yield the annotation of each annotated image."""
    return read_label_maps(source, _values(source.space), _PLACES)


def _values(space: LabelSpace) -> LabelValues:
    # The reader treats 255 in annotations as padding and excludes it from all losses.
    return LabelValues(tuple(range(space.num_classes)), space.num_classes, void=255)


FORMAT = Format(write, read, _values)
