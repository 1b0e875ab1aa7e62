"""Run folders as `agmm train` and `agmm evaluate` leave them, without the training."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from agmm.distributed import Ranks
from agmm.evaluation.evaluate import EvalResult
from agmm.evaluation.metrics import ConfusionMatrix
from agmm.report.published import official_images
from agmm.runs.checkpoint import WEIGHTS_NAME, load_checkpoint, read_checkpoint_info, save_checkpoint
from agmm.runs.files import LOG_NAME
from agmm.runs.folder import describe_run
from agmm.runs.scores import save_records
from data_manifests import LabelSpace, Manifest, ManifestInfo
from tests.helpers.tiny_run import tiny_run

SEG = {"use_self": False, "use_spar": False, "use_con": False}
LOG = (
    {"epoch": 1, "loss": 3.0, "val_miou": 0.1, "train_miou": 0.1, "gmm_miou": 0.3, "seconds": 2.0},
    {"epoch": 2, "loss": 2.0, "val_miou": "", "train_miou": "", "gmm_miou": "", "seconds": 1.0},
    {"epoch": 3, "loss": 1.0, "val_miou": 0.4, "train_miou": 0.5, "gmm_miou": 0.45, "seconds": 1.5},
)


def empty_manifest(folder: Path, space: LabelSpace, command: str = "points", **settings: Any) -> Manifest:
    """A manifest in memory alone, made by some annotation command."""
    return Manifest(folder / "manifest.csv", (), ManifestInfo(space, command=command, settings=settings))


def write_run(
    folder: Path, manifest: Manifest, *, log: Sequence[Mapping[str, Any]] = LOG, scores: float | None = 0.5, **more: Any
) -> Path:
    """Write the folder of a run.

    Args:
        folder: The run's.
        manifest: What it says it was trained on.
        log: Lines of log.csv.
        scores: Share of right pixels of each class on split ``val``, said to be of as many images as the official one
            has; None for a run without evaluation.
        more: Settings of the run.
    """
    tiny_run(folder, manifest, **{"preset": "paper", **more})
    config = read_checkpoint_info(folder / WEIGHTS_NAME).config
    describe_run(folder, manifest, "0" * 64, config, Ranks(0, 1, torch.device("cpu")))
    with (folder / LOG_NAME).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(log[0]))
        writer.writeheader()
        writer.writerows(log)
    if scores is not None:
        add_scores(folder, manifest.label_space, scores, num_images=official_images(manifest.label_space) or 6)
    return folder


def write_unloadable_run(folder: Path, manifest: Manifest, **more: Any) -> Path:
    """Write the folder of a run whose network cannot be built, as if by another version of timm."""
    path = write_run(folder, manifest, **more) / WEIGHTS_NAME
    tensors, info = load_checkpoint(path)
    save_checkpoint(path, tensors, replace(info, model=replace(info.model, encoder="resnet_of_tomorrow")))
    return folder


def add_scores(
    folder: Path,
    space: LabelSpace,
    right: float,
    *,
    protocol: str = "whole image, single scale",
    num_images: int = 6,
    split: str = "val",
) -> None:
    """Add scores in which ``right`` of each class's 1000 pixels are right and the others taken for the next class."""
    matrix = ConfusionMatrix(space.num_classes)
    hits = round(1000 * right)
    for c in range(space.num_classes):
        matrix.counts[c, c] += hits
        matrix.counts[c, (c + 1) % space.num_classes] += 1000 - hits
    result = EvalResult(protocol, num_images, space.class_names, matrix).to_dict()
    epoch = read_checkpoint_info(folder / WEIGHTS_NAME).best_epoch
    made = {"dataset": "town", "split": split, "manifest": "m", "weights": "w", "epoch": epoch}
    save_records(folder, [made | result])
