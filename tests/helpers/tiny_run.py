"""A run folder as a training leaves it, with an untrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from agmm.config.training import TrainConfig
from agmm.models import build_model
from agmm.runs.checkpoint import WEIGHTS_NAME, CheckpointInfo, save_checkpoint
from data_manifests import Manifest


def tiny_run(folder: Path, manifest: Manifest, **settings: Any) -> Path:
    """Write the weights of an untrained network for the classes of a manifest; returns the folder."""
    values = {"encoder": "mobilenetv3_small_050.lamb_in1k", "crop_size": (48, 32), "preset": "released"} | settings
    config = TrainConfig(**values)
    torch.manual_seed(0)
    model = build_model(config.model(manifest.label_space.num_classes))
    info = CheckpointInfo(model.config, manifest.label_space, config, "0" * 64, epoch=3, best_miou=0.5, best_epoch=2)
    save_checkpoint(folder / WEIGHTS_NAME, model.state_dict(), info)
    return folder
