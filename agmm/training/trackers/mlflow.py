"""MLflow, as its own environment variables say: ``MLFLOW_TRACKING_URI``, ``MLFLOW_EXPERIMENT_NAME`` and others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from numpy.typing import NDArray


class _MLflow:
    def __init__(self, run_dir: Path, settings: Mapping[str, Any]) -> None:
        mlflow.start_run(run_name=run_dir.name, nested=True)  # within a script's own run, if there is one
        mlflow.log_params(dict(settings))

    def log_scalars(self, epoch: int, values: Mapping[str, float]) -> None:
        mlflow.log_metrics({_key(name): value for name, value in values.items()}, step=epoch)

    def log_images(self, epoch: int, images: Mapping[str, NDArray[np.uint8]]) -> None:
        for name, image in images.items():
            mlflow.log_image(image, key=_key(name), step=epoch)

    def close(self) -> None:
        mlflow.end_run()


def _key(name: str) -> str:
    """A name without the characters that MLflow refuses, such as those of class names."""
    return re.sub(r"[^\w./ -]", "_", name)


def start(run_dir: Path, settings: Mapping[str, Any], first_epoch: int) -> _MLflow:
    """Start a run of MLflow."""
    return _MLflow(run_dir, settings)
