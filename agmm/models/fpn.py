"""A feature pyramid (FPN): deep features are added to shallow ones from the top down; light on memory and time."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.model import ModelConfig
from agmm.models.deeplabv3plus import conv_bn_relu
from agmm.models.encoders import Encoder


class FPNDecoder(nn.Module):
    """Maps encoder levels to features at a quarter of the image's size.

    Each level is projected to half the channels of the result and added to the upsampled sum of the deeper ones. One
    3x3 convolution smooths each sum; their mean at the finest level is projected to the features.

    Args:
        encoder: Defines the channels and strides of its levels.
        config: Defines channels and dropout.

    References:
        Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, with one convolution for each level.
    """

    def __init__(self, encoder: Encoder, config: ModelConfig) -> None:
        super().__init__()
        width = max(1, config.decoder_channels // 2)
        self.first, self.scale = encoder.finest_level()
        channels = encoder.channels[self.first :]
        self.project = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(conv_bn_relu(width, width, 3) for _ in channels)
        self.fuse = nn.Sequential(nn.Dropout2d(config.dropout), conv_bn_relu(width, config.decoder_channels, 1))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Features after ReLU, shape (N, decoder_channels, about H / 4, about W / 4)."""
        height, width = levels[self.first].shape[-2:]
        size = (height * self.scale, width * self.scale)
        projected = [project(level) for project, level in zip(self.project, levels[self.first :], strict=True)]
        for i in range(len(projected) - 2, -1, -1):
            projected[i] = projected[i] + F.interpolate(projected[i + 1], size=projected[i].shape[-2:])  # nearest
        smoothed = [
            F.interpolate(smooth(one), size=size, mode="bilinear", align_corners=False)
            for smooth, one in zip(self.smooth, projected, strict=True)
        ]
        # The mean of a stack is equal, but not channels-last.
        fused: Tensor = self.fuse(sum(smoothed[1:], smoothed[0]) / len(smoothed))
        return fused
