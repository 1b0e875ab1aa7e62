"""Run by torchrun from test_train.py: trains with two processes, then with two manifests.

Usage: two_ranks.py MANIFEST OTHER_MANIFEST OUT
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

import agmm.training.state
import agmm.training.train
from agmm.config.model import ModelConfig
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.models import build_model
from agmm.models.network import SegmentationModel
from agmm.training.run_log import RunLog
from agmm.training.state import TrainingState
from agmm.training.train import train_epoch, train_network
from data_manifests import read_manifest

# What each term of these losses is for a batch is the mean of what it is for the halves of the batch.
SETTINGS = {
    "encoder": "mobilenetv3_small_050.lamb_in1k", "aspp_rates": [1], "decoder_channels": 32,
    "dropout": 0.0, "crop_size": [64, 96], "scale": [1.0, 1.0],
    "loss": {"use_con": False, "variance": "fixed"}, "learning_rate": 0.01, "epochs": 2, "device": "cpu", "workers": 0,
}  # fmt: skip


def without_batch_norm(config: ModelConfig, *, load_encoder_weights: bool) -> SegmentationModel:
    """Batch normalisation is what two ranks cannot share on a CPU; the test leaves it out."""
    model = build_model(config, load_encoder_weights=load_encoder_weights)
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.ReLU() if isinstance(getattr(child, "act", None), nn.ReLU) else nn.Identity())
    return model


def train_both(manifest: Path, out: Path, batch_size: int, accumulate: int) -> None:
    """Train the network with and without batch normalisation."""
    config = TrainConfig.from_dict({**SETTINGS, "batch_size": batch_size, "accumulate": accumulate})
    for name, build in (("plain", without_batch_norm), ("normed", build_model)):
        with patch.object(agmm.training.state, "build_model", build):
            train_network(read_manifest(manifest), config, out / name, quiet=True)


def train_with_a_teacher(manifest: Path, out: Path) -> None:
    """Train in one go, and again with a break after an epoch that is not validated."""
    loss = {"loss_kind": "mean_teacher", "loss": {"start": 0.0, "threshold": 0.0, "soft": True, "classes": "all"}}
    config = TrainConfig.from_dict({**SETTINGS, **loss, "batch_size": 2, "ema_decay": 0.9, "val_every": 2})
    train_network(read_manifest(manifest), config, out / "whole", quiet=True)

    def first_epoch_only(state: TrainingState, epoch: int, log: RunLog) -> dict[str, float | None]:
        if epoch == 2:
            raise KeyboardInterrupt
        return train_epoch(state, epoch, log)

    with patch.object(agmm.training.train, "train_epoch", first_epoch_only), suppress(KeyboardInterrupt):
        train_network(read_manifest(manifest), config, out / "in-parts", quiet=True)
    train_network(read_manifest(manifest), config, out / "in-parts", resume=True, quiet=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    manifest, other, out = map(Path, sys.argv[1:])
    train_both(manifest, out, batch_size=2, accumulate=1)
    train_with_a_teacher(manifest, out)
    rank = os.environ["RANK"]
    try:
        train_network(
            read_manifest(other if rank == "1" else manifest), TrainConfig(device="cpu"), out / "mixed", quiet=True
        )
    except TrainingError as error:
        (out / f"error{rank}.txt").write_text(str(error))
