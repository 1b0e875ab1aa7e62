"""The segmentation network: normalise, encode, decode, classify."""

from __future__ import annotations

from pathlib import Path
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
        presence: Raw scores of the classes that the image holds, shape (N, num_classes); None without such a head.
    """

    logits: Tensor
    features: Tensor
    presence: Tensor | None = None


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
        self.presence = PresenceHead(encoder.channels[-1], config) if config.presence_head else None

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
        levels = self.encoder(normalised)
        features = self.encoder.without_padding(self.decoder(levels), images)
        presence = None if self.presence is None else self.presence(levels[-1])
        logits = self.classifier(features)
        if presence is not None and not self.training:
            # Pixels learn without it: on training images it is surer of the classes than on others.
            logits = logits + F.logsigmoid(presence)[:, :, None, None]
        return SegmentationOutput(
            F.interpolate(logits, size=images.shape[-2:], mode="bilinear", align_corners=False), features, presence
        )

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``config.json`` to a folder, for ``from_pretrained`` anywhere.

        ``huggingface_hub.upload_folder`` publishes it.
        """
        from agmm.runs.pretrained import save_pretrained

        save_pretrained(self, folder)

    @classmethod
    def from_pretrained(cls, name: str | Path, *, revision: str | None = None) -> SegmentationModel:
        """Load a network that ``save_pretrained`` wrote.

        Args:
            name: A folder, or a repository of the Hugging Face hub, such as ``me/town``.
            revision: Branch, tag or commit of the repository.

        Returns:
            The network in evaluation mode, on the CPU.

        Raises:
            TrainingError: If there is no such network, or its files do not fit each other.
        """
        from agmm.runs.pretrained import load_pretrained

        return load_pretrained(name, revision)

    def split_parameters(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Return the parameters of the encoder, and those of the new layers (decoder, classifier)."""
        encoder = list(self.encoder.parameters())
        known = {id(parameter) for parameter in encoder}
        return encoder, [parameter for parameter in self.parameters() if id(parameter) not in known]


class PresenceHead(nn.Module):
    """Predicts from the deepest features which classes an image holds.

    Args:
        in_channels: Channels of the features.
        config: Defines the classes and dropout.
    """

    def __init__(self, in_channels: int, config: ModelConfig) -> None:
        super().__init__()
        self.classify = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(in_channels, config.num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """Map features, shape (N, in_channels, h, w), to a raw score per class, shape (N, num_classes)."""
        scores: Tensor = self.classify(features.mean((2, 3)))
        return scores


def sync_batchnorm(model: SegmentationModel) -> SegmentationModel:
    """Synchronise BatchNorm over the images of all processes; parameters are shared, not copied."""
    # timm's, not torch's: many encoders keep their activations inside BatchNorm, and torch's would lose them.
    synced: SegmentationModel = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return synced
