"""Experiment trackers: one module for each, whose ``start`` is its constructor; ``log.csv`` needs none."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agmm.errors import TrainingError


class Tracker(Protocol):
    """Receives what a run reports after each epoch."""

    def log_scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        """Report numbers by name."""
        ...

    def log_images(self, epoch: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Report images by name, RGB, shape (H, W, 3)."""
        ...

    def close(self) -> None:
        """Finish writing."""
        ...


def require_tracker(name: str) -> None:
    """Check that the package of a tracker is installed.

    Args:
        name: A name of ``agmm.config.training.LOGS``.

    Raises:
        TrainingError: If it is not.
    """
    if name != "csv" and find_spec(name) is None:
        raise TrainingError(f"--log {name} needs a package that is missing: pip install 'sparsekit-agmm[{name}]'.")


def start_tracker(name: str, run_dir: Path, settings: Mapping[str, Any], first_epoch: int) -> Tracker | None:
    """Start a tracker; None for ``csv``.

    Args:
        name: A name of ``agmm.config.training.LOGS``.
        run_dir: The run folder, whose name the tracker shows.
        settings: All settings of the run.
        first_epoch: Number of finished epochs.
    """
    if name == "csv":
        return None
    started: Tracker = import_module(f"agmm.training.trackers.{name}").start(run_dir, settings, first_epoch)
    return started
