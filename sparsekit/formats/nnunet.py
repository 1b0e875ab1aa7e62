"""nnU-Net v2: ``imagesTr``, ``labelsTr`` and ``dataset.json`` with an ignore label, the highest of all."""

from __future__ import annotations

import json

from data_manifests import LabelSpace
from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps
from sparsekit.formats.shared.label_values import LabelValues, train_id_values

_FOLDER = "Dataset001"
_RESERVED = ("background", "ignore")


def write(job: ExportJob) -> None:
    """Write a folder to give as ``nnUNet_raw``: one dataset of RGB images as PNG.

    Images to validate on are among the training cases; ``splits_final.json``, to be copied to the preprocessed data,
    tells them apart. Images to test on are in ``imagesTs``, their full masks in ``labelsTs``.
    """
    dataset = f"{_FOLDER}_{''.join(c if c.isalnum() else '-' for c in job.manifest.info.dataset) or 'sparse'}"
    images, labels = f"{dataset}/images{{part}}/{{name}}_0000", f"{dataset}/labels{{part}}/{{name}}.png"
    placed = write_label_maps(job, Places(images, labels, labels, ".png", rgb=True))
    training = [p for p in placed if p.row.annotation]
    evaluated = [p for p in placed if not p.row.annotation and p.row.split != "test"]
    # Class 0 must be called so; what it is in truth stands in class_names.
    names = ["background", *(name if name not in _RESERVED else f"{name}_" for name in job.space.class_names[1:])]
    described = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {name: i for i, name in enumerate([*names, "ignore"])},
        "numTraining": len(training) + len(evaluated),
        "file_ending": ".png",
        "overwrite_image_reader_writer": "NaturalImage2DIO",
        "class_names": job.space.class_names,
    }
    job.write(f"{dataset}/dataset.json", json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    if evaluated:
        split = {"train": [p.name for p in training], "val": [p.name for p in evaluated]}
        job.write(f"{dataset}/splits_final.json", json.dumps([split], indent=2) + "\n")


def _values(space: LabelSpace) -> LabelValues:
    return train_id_values(space, space.num_classes)


FORMAT = Format(write, values=_values)
