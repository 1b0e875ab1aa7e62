"""A simple decoder for encoders without dilation: vision transformers, Swin, PVT, HRNet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.model import ModelConfig
from agmm.models.deeplabv3plus import conv_bn_relu
from agmm.models.encoders import Encoder


class FusedDecoder(nn.Module):
    """Projects all levels to the same width and size, concatenates them, and fuses them with one convolution.

    Plain vision transformers have a single stride, 14 or 16: their features are upsampled to about a quarter of the
    image's size, where the mixture reads them.

    Args:
        encoder: Defines the channels and strides of its levels.
        config: Defines channels and dropout.

    References:
        Xie et al., "SegFormer", NeurIPS 2021: its all-MLP decoder, with BatchNorm on each level.
    """

    def __init__(self, encoder: Encoder, config: ModelConfig) -> None:
        super().__init__()
        channels = config.decoder_channels
        self.first, self.scale = encoder.finest_level()
        self.reduce = nn.ModuleList(conv_bn_relu(c, channels, 1) for c in encoder.channels[self.first :])
        self.fuse = nn.Sequential(
            conv_bn_relu(channels * len(self.reduce), channels, 1),
            nn.Dropout2d(config.dropout),
            conv_bn_relu(channels, channels, 3),
        )

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Features after ReLU, shape (N, decoder_channels, about H / 4, about W / 4)."""
        height, width = levels[self.first].shape[-2:]
        size = (height * self.scale, width * self.scale)
        reduced = [
            F.interpolate(reduce(level), size=size, mode="bilinear", align_corners=False)
            for reduce, level in zip(self.reduce, levels[self.first :], strict=True)
        ]
        fused: Tensor = self.fuse(torch.cat(reduced, dim=1))
        return fused
