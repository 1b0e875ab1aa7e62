"""Build the loss from the settings of a run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agmm.config.loss import LOSSES
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.losses.soft_cross_entropy import SoftCrossEntropy

if TYPE_CHECKING:
    from agmm.losses.base import SparseLoss


def build_loss(config: TrainConfig, ignore_index: int = 255, *, soft: bool = False) -> SparseLoss:
    """Build the loss that the settings name.

    Args:
        config: ``loss_kind`` names the loss, ``loss`` holds its options.
        ignore_index: The value of targets where there is no class.
        soft: Whether labels are soft, which only cross-entropy supports.

    Raises:
        ValueError: If an option is unknown or has a wrong value, or the loss is still ``auto``.
        TrainingError: If the labels are soft and the loss is more than cross-entropy.
    """
    if config.loss_kind == "auto":
        raise ValueError("loss_kind 'auto' depends on the annotation: call agmm.training.regime.resolve_loss first.")
    module, _, name = LOSSES[config.loss_kind].where.partition(":")
    loss: SparseLoss = getattr(import_module(module), name).from_config(config, ignore_index)
    if loss.uses_teacher and not config.ema_decay:
        raise ValueError(f"Loss '{config.loss_kind}' needs the averaged network: give --ema-decay, such as 0.99.")
    if not soft:
        return loss
    if not loss.only_cross_entropy:
        raise TrainingError("Soft pseudo-labels train with cross-entropy alone. Give --loss-kind seg.")
    return SoftCrossEntropy(ignore_index=ignore_index)
