"""Segmentation networks: any timm encoder with a decoder whose features the mixture reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agmm.config.model import ModelConfig

if TYPE_CHECKING:
    from agmm.models.network import SegmentationModel


def build_model(config: ModelConfig, *, load_encoder_weights: bool = True) -> SegmentationModel:
    """Build the network that a configuration describes.

    Without a decoder by name, encoders that can trade stride for dilation get the DeepLabV3+ decoder, others (vision
    transformers, Swin, HRNet) a simple one that joins all their levels.

    Args:
        config: The network.
        load_encoder_weights: False leaves the encoder's weights random, for callers that load a checkpoint next.

    Returns:
        A network in training mode, on the CPU.

    Raises:
        TrainingError: If torch, torchvision or timm cannot be used, the encoder is unknown or fits no decoder, or its
            weights are unavailable.

    Example:
        >>> model = build_model(ModelConfig(num_classes=3))
    """
    from agmm.requirements import require_training_packages

    require_training_packages()
    # These import torch, which takes a second: a list of recipes needs ModelConfig alone.
    from agmm.models.decoders import build_decoder
    from agmm.models.encoders import build_encoder
    from agmm.models.network import SegmentationModel

    encoder = build_encoder(config, load_weights=load_encoder_weights)
    return SegmentationModel(encoder, build_decoder(encoder, config), config)
