"""Train and evaluate segmentation networks on sparse annotations.

The names below are loaded when they are first used: importing the package alone needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_manifests.lazy_names import load_when_used

if TYPE_CHECKING:
    from agmm.checkpoint import CheckpointInfo, LoadedRun, load_run
    from agmm.config import TrainConfig, load_config, recipe_names
    from agmm.dataset import EpochSampler, ManifestDataset, Sample, batches, make_loader, to_network_input
    from agmm.errors import TrainingError
    from agmm.evaluate import EvalResult, evaluate_mixture, evaluate_rows
    from agmm.inference import Protocol
    from agmm.losses import AGMMLoss, LossOptions
    from agmm.metrics import ConfusionMatrix
    from agmm.mixture import mixture_probs
    from agmm.models import ModelConfig, build_model
    from agmm.models.network import SegmentationOutput
    from agmm.stages import run_stages
    from agmm.train import TrainResult, train_network
    from agmm.transforms import Augmentation

__all__ = [
    "AGMMLoss",
    "Augmentation",
    "CheckpointInfo",
    "ConfusionMatrix",
    "EpochSampler",
    "EvalResult",
    "LoadedRun",
    "LossOptions",
    "ManifestDataset",
    "ModelConfig",
    "Protocol",
    "Sample",
    "SegmentationOutput",
    "TrainConfig",
    "TrainResult",
    "TrainingError",
    "batches",
    "build_model",
    "evaluate_mixture",
    "evaluate_rows",
    "load_config",
    "load_run",
    "make_loader",
    "mixture_probs",
    "recipe_names",
    "run_stages",
    "to_network_input",
    "train_network",
]

_HOMES = {
    "checkpoint": ("CheckpointInfo", "LoadedRun", "load_run"),
    "config": ("TrainConfig", "load_config", "recipe_names"),
    "dataset": ("EpochSampler", "ManifestDataset", "Sample", "batches", "make_loader", "to_network_input"),
    "errors": ("TrainingError",),
    "evaluate": ("EvalResult", "evaluate_mixture", "evaluate_rows"),
    "inference": ("Protocol",),
    "losses": ("AGMMLoss", "LossOptions"),
    "metrics": ("ConfusionMatrix",),
    "mixture": ("mixture_probs",),
    "models": ("ModelConfig", "build_model"),
    "models.network": ("SegmentationOutput",),
    "stages": ("run_stages",),
    "train": ("TrainResult", "train_network"),
    "transforms": ("Augmentation",),
}

__getattr__, __dir__ = load_when_used(__name__, _HOMES)
