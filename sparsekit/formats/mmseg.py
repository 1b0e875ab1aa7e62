"""mmsegmentation: ``img_dir/<split>`` and ``ann_dir/<split>`` with files of the same stem."""

from __future__ import annotations

import json

from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps
from sparsekit.formats.shared.label_values import train_id_values


def write(job: ExportJob) -> None:
    """Write a data root for ``BaseSegDataset``, and ``metainfo.json`` with its class names and colours."""
    write_label_maps(job, Places("img_dir/{split}/{name}", "ann_dir/{split}/{name}.png", "ann_dir/{split}/{name}.png"))
    metainfo = {"classes": job.space.class_names, "palette": job.space.palette.tolist()}
    job.write("metainfo.json", json.dumps(metainfo, ensure_ascii=False) + "\n")


FORMAT = Format(write, values=train_id_values)
