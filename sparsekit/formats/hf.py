"""Hugging Face ``datasets``: an imagefolder whose ``metadata.csv`` names image and annotation."""

from __future__ import annotations

import json

from data_manifests.files.csv import write_table
from data_manifests.files.paths import inside
from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Placed, Places, write_label_maps
from sparsekit.formats.shared.label_values import train_id_values

# The reader guesses the type of each column separately in each split. `key` (split/image id) and `classes_labelled`
# ([0, 3]) are written so that it never guesses a number in one split and text in another.
_COLUMNS = ("file_name", "annotation_file_name", "key", "sparse", "num_labelled", "classes_labelled")


def write(job: ExportJob) -> None:
    """Write a folder for ``load_dataset("imagefolder", data_dir=...)``: columns ``image``, ``annotation`` and more."""
    labels = "{split}/annotations/{name}.png"
    placed = write_label_maps(job, Places("{split}/images/{name}", labels, labels))
    for split in sorted({p.row.split for p in placed}):
        table = inside(job.folder, f"{split}/metadata.csv")
        write_table(table, _COLUMNS, (_cells(p) for p in placed if p.row.split == split))
    job.write("README.md", _card(job))


def _cells(one: Placed) -> tuple[object, ...]:
    row, below = one.row, f"{one.row.split}/"
    return (
        one.image.removeprefix(below), one.labels.removeprefix(below), below + row.image_id, bool(row.annotation),
        row.num_labelled, list(row.classes_labelled),
    )  # fmt: skip


def _card(job: ExportJob) -> str:
    names = "\n".join(f"| {i} | {name} |" for i, name in enumerate(job.space.class_names))
    return (
        "---\ntask_categories:\n- image-segmentation\n"
        f"pretty_name: {json.dumps(f'{job.manifest.info.dataset} with sparse annotations ({job.budget})')}\n---\n\n"
        "Images with label maps. Where `sparse` is true the label map holds a few annotated pixels, else it is the "
        "full mask. Value 255 means no label.\n\n"
        f"| value | class |\n| --- | --- |\n{names}\n"
    )


FORMAT = Format(write, values=train_id_values)
