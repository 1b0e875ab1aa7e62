"""nnU-Net v2: ``imagesTr``, ``labelsTr`` and ``dataset.json`` with an ignore label, the highest of all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from data_manifests import LabelSpace
from data_manifests.files.paths import inside
from data_manifests.files.volumes import write_volume
from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps
from sparsekit.formats.shared.label_values import LabelValues, train_id_values
from sparsekit.formats.shared.volumes import of_volumes, volumes_of

_FOLDER = "Dataset001"
_RESERVED = ("background", "ignore")


def write(job: ExportJob) -> None:
    """Write a folder to give as ``nnUNet_raw``: one dataset of RGB images as PNG, or of volumes as NIfTI.

    Validation images are among the training cases; copy ``splits_final.json`` to the preprocessed data to separate
    them. Test images are in ``imagesTs``, their full masks in ``labelsTs``.
    """
    dataset = f"{_FOLDER}_{''.join(c if c.isalnum() else '-' for c in job.manifest.info.dataset) or 'sparse'}"
    if of_volumes(job):
        _write_volumes(job, dataset)
        return
    images, labels = f"{dataset}/images{{part}}/{{name}}_0000", f"{dataset}/labels{{part}}/{{name}}.png"
    placed = write_label_maps(job, Places(images, labels, labels, ".png", rgb=True))
    cases = [(p.name, p.row.split, bool(p.row.annotation)) for p in placed]
    _describe(job, dataset, cases, ("R", "G", "B"), ".png", {"overwrite_image_reader_writer": "NaturalImage2DIO"})


def _write_volumes(job: ExportJob, dataset: str) -> None:
    """Put slices together again: labels with the ignore label where there are none, images with their own values."""
    cases: list[tuple[str, str, bool]] = []
    num_channels = 1
    for volume in volumes_of(job):
        part = "Ts" if volume.split == "test" and not volume.annotated else "Tr"
        write_volume(inside(job.folder, f"{dataset}/labels{part}/{volume.name}.nii.gz"), volume.labels, volume.grid)
        if volume.images is not None:
            num_channels = volume.images.shape[3]
            for channel in range(num_channels):
                path = inside(job.folder, f"{dataset}/images{part}/{volume.name}_{channel:04d}.nii.gz")
                write_volume(path, volume.images[..., channel], volume.grid)
        cases.append((volume.name, volume.split, volume.annotated))
    _describe(job, dataset, cases, [f"channel {number}" for number in range(num_channels)], ".nii.gz", {})


def _describe(
    job: ExportJob,
    dataset: str,
    cases: Sequence[tuple[str, str, bool]],
    channels: Sequence[str],
    ending: str,
    more: Mapping[str, str],
) -> None:
    """Write ``dataset.json``, and ``splits_final.json`` where cases serve evaluation.

    Args:
        job: The export.
        dataset: Folder of the dataset.
        cases: Name, split, and whether annotated.
        channels: Their names.
        ending: Of all files.
        more: Further entries.
    """
    training = [name for name, _, annotated in cases if annotated]
    evaluated = [name for name, split, annotated in cases if not annotated and split != "test"]
    # Class 0 must be called so; what it is in truth stands in class_names.
    names = ["background", *(name if name not in _RESERVED else f"{name}_" for name in job.space.class_names[1:])]
    described = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {name: i for i, name in enumerate([*names, "ignore"])},
        "numTraining": len(training) + len(evaluated),
        "file_ending": ending,
        **more,
        "class_names": job.space.class_names,
    }
    job.write(f"{dataset}/dataset.json", json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    if evaluated:
        job.write(f"{dataset}/splits_final.json", json.dumps([{"train": training, "val": evaluated}], indent=2) + "\n")


def _values(space: LabelSpace) -> LabelValues:
    return train_id_values(space, space.num_classes)


FORMAT = Format(write, values=_values)
