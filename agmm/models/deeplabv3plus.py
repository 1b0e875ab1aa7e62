"""The DeepLabV3+ decoder: an atrous pyramid over the deepest features, concatenated with shallow ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.model import ModelConfig
from agmm.models.encoders import Encoder

_LOW_LEVEL_CHANNELS = 48


class DeepLabV3PlusDecoder(nn.Module):
    """Maps encoder levels to features at a quarter of the image's size.

    Args:
        encoder: Defines the channels and strides of its levels.
        config: Defines rates, channels and dropout.
        separable: Split 3x3 convolutions into one per channel and one over channels, as the paper does.

    References:
        Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018;
        by default with plain instead of separable convolutions, as in the released code of AGMM.
    """

    def __init__(self, encoder: Encoder, config: ModelConfig, separable: bool = False) -> None:
        super().__init__()
        # The deepest level at stride 4, or the first level of encoders that start coarser.
        self.low_level = max((i for i, stride in enumerate(encoder.strides) if stride <= 4), default=0)
        channels = config.decoder_channels
        conv = separable_conv_bn_relu if separable else conv_bn_relu
        self.pyramid = AtrousPyramid(encoder.channels[-1], channels, config.aspp_rates, config.dropout, separable)
        self.reduce = conv_bn_relu(encoder.channels[self.low_level], _LOW_LEVEL_CHANNELS, 1)
        self.fuse = nn.Sequential(conv(channels + _LOW_LEVEL_CHANNELS, channels, 3), conv(channels, channels, 3))

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Features after ReLU, shape (N, decoder_channels, h, w) of the shallow level."""
        low = self.reduce(levels[self.low_level])
        high = F.interpolate(self.pyramid(levels[-1]), size=low.shape[-2:], mode="bilinear", align_corners=False)
        fused: Tensor = self.fuse(torch.cat([low, high], dim=1))
        return fused


class AtrousPyramid(nn.Module):
    """Parallel convolutions with increasing dilation, and global pooling, over the same features (ASPP).

    Args:
        in_channels: Channels of the features.
        channels: Channels of each branch and of the output.
        rates: Dilations of the 3x3 branches.
        dropout: Share of output channels dropped in training.
        separable: Whether the 3x3 branches are depthwise separable.
    """

    def __init__(
        self, in_channels: int, channels: int, rates: Sequence[int], dropout: float, separable: bool = False
    ) -> None:
        super().__init__()
        conv = separable_conv_bn_relu if separable else conv_bn_relu
        self.branches = nn.ModuleList(
            [conv_bn_relu(in_channels, channels, 1), *(conv(in_channels, channels, 3, rate) for rate in rates)]
        )
        self.image_conv = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.image_norm = _OneValueBatchNorm(channels)
        self.project = nn.Sequential(conv_bn_relu(channels * (len(rates) + 2), channels, 1), nn.Dropout2d(dropout))

    def forward(self, features: Tensor) -> Tensor:
        """Map (N, in_channels, h, w) to (N, channels, h, w)."""
        pooled = F.relu(self.image_norm(self.image_conv(features.mean((2, 3), keepdim=True))))
        outputs = [branch(features) for branch in self.branches]
        # Expanded instead, it would take the joined features out of channels-last memory.
        pooled = pooled + torch.zeros_like(outputs[0])
        projected: Tensor = self.project(torch.cat([*outputs, pooled], dim=1))
        return projected


class _OneValueBatchNorm(nn.BatchNorm2d):
    """BatchNorm that also trains on a single image.

    The pooled branch has one value per image and channel, so a batch of one has no variance. The running statistics
    normalise such a batch, as in evaluation, and do not change. Under SyncBN, which replaces this module, the batch is
    that of all ranks.
    """

    def forward(self, input: Tensor) -> Tensor:
        if self.training and len(input) == 1:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(input)


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, BatchNorm, ReLU."""
    padding = dilation * (kernel_size // 2)
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def separable_conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Sequential:
    """Convolution of each channel that keeps the size, 1x1 convolution over channels, BatchNorm, ReLU."""
    padding = dilation * (kernel_size // 2)
    return nn.Sequential(
        nn.Conv2d(
            in_channels, in_channels, kernel_size, padding=padding, dilation=dilation, groups=in_channels, bias=False
        ),
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
