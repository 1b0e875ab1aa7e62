"""Train and evaluate segmentation networks on sparse annotations.

The names below are loaded when they are first used: importing the package alone needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agmm.checkpoint import CheckpointInfo, LoadedRun, load_run
    from agmm.config import TrainConfig, load_config, recipe_names
    from agmm.dataset import ManifestDataset, Sample
    from agmm.errors import TrainingError
    from agmm.evaluate import EvalResult, evaluate_mixture, evaluate_rows
    from agmm.inference import Protocol
    from agmm.losses import AGMMLoss, LossOptions
    from agmm.metrics import ConfusionMatrix
    from agmm.mixture import mixture_probs
    from agmm.models import ModelConfig, build_model
    from agmm.stages import run_stages
    from agmm.train import TrainResult, train_network
    from agmm.transforms import Augmentation

__all__ = [
    "AGMMLoss",
    "Augmentation",
    "CheckpointInfo",
    "ConfusionMatrix",
    "EvalResult",
    "LoadedRun",
    "LossOptions",
    "ManifestDataset",
    "ModelConfig",
    "Protocol",
    "Sample",
    "TrainConfig",
    "TrainResult",
    "TrainingError",
    "build_model",
    "evaluate_mixture",
    "evaluate_rows",
    "load_config",
    "load_run",
    "mixture_probs",
    "recipe_names",
    "run_stages",
    "train_network",
]

_HOMES = {
    "checkpoint": ("CheckpointInfo", "LoadedRun", "load_run"),
    "config": ("TrainConfig", "load_config", "recipe_names"),
    "dataset": ("ManifestDataset", "Sample"),
    "errors": ("TrainingError",),
    "evaluate": ("EvalResult", "evaluate_mixture", "evaluate_rows"),
    "inference": ("Protocol",),
    "losses": ("AGMMLoss", "LossOptions"),
    "metrics": ("ConfusionMatrix",),
    "mixture": ("mixture_probs",),
    "models": ("ModelConfig", "build_model"),
    "stages": ("run_stages",),
    "train": ("TrainResult", "train_network"),
    "transforms": ("Augmentation",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"agmm.{home}"), name)
    raise AttributeError(f"module 'agmm' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
