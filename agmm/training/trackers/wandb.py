"""Weights & Biases, as its own environment variables say: ``WANDB_PROJECT``, ``WANDB_MODE=offline`` and others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import wandb
from numpy.typing import NDArray

from data_manifests.files.paths import absolute


class _WandB:
    def __init__(self, run_dir: Path, settings: Mapping[str, Any]) -> None:
        # A resumed run is a new one of the same group, whose steps go on.
        self._run = wandb.init(name=run_dir.name, group=str(absolute(run_dir)), config=dict(settings))

    def log_scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=epoch)

    def log_images(self, epoch: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        self._run.log({name: wandb.Image(image) for name, image in images.items()}, step=epoch)

    def close(self) -> None:
        self._run.finish()


def start(run_dir: Path, settings: Mapping[str, Any], first_epoch: int) -> _WandB:
    """Start a run of wandb."""
    return _WandB(run_dir, settings)
