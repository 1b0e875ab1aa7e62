"""Settings of a small training, and how to compare what two left."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from agmm.config.training import TrainConfig
from agmm.runs.checkpoint import load_checkpoint

#: Small, and with everything in it that a resumed training could forget.
SETTINGS: dict[str, Any] = {
    "encoder": "mobilenetv3_small_050.lamb_in1k", "aspp_rates": [1], "decoder_channels": 32,
    "dropout": 0.3, "crop_size": [48, 48], "photometric": True,
    "batch_size": 2, "accumulate": 2, "epochs": 3, "clip_norm": 1.0, "ema_decay": 0.5, "device": "cpu", "workers": 0,
}  # fmt: skip
CONFIG = TrainConfig.from_dict(SETTINGS)


def log_of(run_dir: Path) -> list[dict[str, str]]:
    """Lines of the log, but for the time they took."""
    with (run_dir / "log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_state(one: Path, other: Path) -> None:
    """Both runs came to the same, bit by bit, whatever settings they were resumed with."""
    for name in ("state.safetensors", "weights.safetensors"):
        (ours, info), (theirs, other_info) = load_checkpoint(one / name), load_checkpoint(other / name)
        assert ours.keys() == theirs.keys()
        assert not [key for key in ours if not torch.equal(ours[key], theirs[key])]
        assert replace(info, config=CONFIG) == replace(other_info, config=CONFIG)
    assert log_of(one) == log_of(other)
