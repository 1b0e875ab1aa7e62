"""TensorBoard: event files in the run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from agmm.runs.folder import TENSORBOARD_NAME


class _TensorBoard:
    def __init__(self, run_dir: Path, first_epoch: int) -> None:
        # Later events of an interrupted epoch are hidden.
        self._writer = SummaryWriter(str(run_dir / TENSORBOARD_NAME), purge_step=first_epoch + 1)

    def log_scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def log_images(self, epoch: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        for name, image in images.items():
            self._writer.add_image(name, image, epoch, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


def start(run_dir: Path, settings: Mapping[str, Any], first_epoch: int) -> _TensorBoard:
    """Open the event file."""
    return _TensorBoard(run_dir, first_epoch)
