"""mmsegmentation: ``img_dir/<split>`` and ``ann_dir/<split>`` with matching file names."""

from __future__ import annotations

import json
from typing import Any

from sparsekit.formats import Format
from sparsekit.formats.shared.job import ExportJob
from sparsekit.formats.shared.label_maps import Places, write_label_maps
from sparsekit.formats.shared.label_values import train_id_values


def write(job: ExportJob) -> None:
    """Write a data root for ``BaseSegDataset``, its class names and colours, and a config for mmengine."""
    placed = write_label_maps(
        job, Places("img_dir/{split}/{name}", "ann_dir/{split}/{name}.png", "ann_dir/{split}/{name}.png")
    )
    metainfo = {"classes": job.space.class_names, "palette": job.space.palette.tolist()}
    job.write("metainfo.json", json.dumps(metainfo, ensure_ascii=False) + "\n")
    job.write("config.py", _config(job, metainfo, {one.row.split for one in placed}))


def _config(job: ExportJob, metainfo: dict[str, Any], splits: set[str]) -> str:
    """Return the datasets as a config, for ``_base_`` beside a model and a schedule; mmengine fills in the folder."""
    lines = [
        "data_root = '{{ fileDirname }}'",
        f"num_classes = {job.space.num_classes}",
        f"metainfo = {metainfo!r}",
        "train_pipeline = [  # no resizing, which loses or multiplies sparse labels",
        "    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),",
        "    dict(type='RandomCrop', crop_size=(512, 512)), dict(type='RandomFlip', prob=0.5),",
        "    dict(type='PackSegInputs'),",
        "]",
        "test_pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]",
    ]
    for split in sorted(splits & {"train", "val", "test"}):
        training = split == "train"
        prefix = {"img_path": f"img_dir/{split}", "seg_map_path": f"ann_dir/{split}"}
        lines += [
            f"{split}_dataloader = dict(",
            f"    batch_size={4 if training else 1}, num_workers=2,",
            f"    sampler=dict(type={'InfiniteSampler' if training else 'DefaultSampler'!r}, shuffle={training}),",
            "    dataset=dict(",
            "        type='BaseSegDataset', data_root=data_root, metainfo=metainfo, ignore_index=255,",
            f"        reduce_zero_label=False, img_suffix={job.image_suffix!r}, seg_map_suffix='.png',",
            f"        data_prefix={prefix!r}, pipeline={'train' if training else 'test'}_pipeline))",
        ]
        lines += [] if training else [f"{split}_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])"]
    return "\n".join(lines) + "\n"


FORMAT = Format(write, values=train_id_values)
