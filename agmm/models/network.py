"""The segmentation network: normalise, encode, decode, classify."""

from __future__ import annotations

from typing import NamedTuple

import torch
from timm.layers.norm_act import convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.model import ModelConfig
from agmm.models.encoders import Encoder, image_statistics


class SegmentationOutput(NamedTuple):
    """Output of the network.

    Args:
        logits: Raw scores at the image's size, shape (N, num_classes, H, W).
        features: Input of the classifier, after ReLU, shape (N, decoder_channels, h, w).
    """

    logits: Tensor
    features: Tensor


class SegmentationModel(nn.Module):
    """An encoder, a decoder and a linear classifier.

    Args:
        encoder: Encoder from timm.
        decoder: Fuses the encoder's levels into one feature map.
        config: The configuration of both, with the number of classes and the image statistics.
    """

    image_mean: Tensor
    image_std: Tensor

    def __init__(self, encoder: Encoder, decoder: nn.Module, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        mean, std = image_statistics(config)
        # Buffers are part of the checkpoint, so a later timm with other statistics cannot change a trained network.
        self.register_buffer("image_mean", torch.tensor(mean).reshape(1, -1, 1, 1))
        self.register_buffer("image_std", torch.tensor(std).reshape(1, -1, 1, 1))
        self.encoder = encoder
        self.decoder = decoder
        self.classifier = nn.Conv2d(config.decoder_channels, config.num_classes, 1)

    def forward(self, images: Tensor) -> SegmentationOutput:
        """Segment images.

        Args:
            images: In 0..1, float32, shape (N, in_channels, H, W), of any size; RGB unless the run names bands.

        Raises:
            ValueError: If they are not of a floating type, because pixels of 0..255 would give wrong results.
        """
        if not images.is_floating_point():
            raise ValueError(f"images must be float32 in 0..1, got {images.dtype}; give images.float() / 255.")
        normalised = (images - self.image_mean) / self.image_std
        features = self.encoder.without_padding(self.decoder(self.encoder(normalised)), images)
        logits = self.classifier(features)
        return SegmentationOutput(
            F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False), features
        )

    def split_parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the encoder, and those of the new layers (decoder, classifier)."""
        return list(self.encoder.parameters()), [*self.decoder.parameters(), *self.classifier.parameters()]


def sync_batchnorm(model: SegmentationModel) -> SegmentationModel:
    """Synchronise BatchNorm over the images of all processes; parameters are shared, not copied."""
    # timm's, not torch's: many encoders keep their activations inside BatchNorm, and torch's would lose them.
    synced: SegmentationModel = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return synced
