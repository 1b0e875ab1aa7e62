"""The decoders by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from agmm.config.model import ModelConfig
from agmm.models.deeplabv3plus import DeepLabV3PlusDecoder
from agmm.models.encoders import Encoder
from agmm.models.fpn import FPNDecoder
from agmm.models.fused import FusedDecoder

#: The names of ``agmm.config.model.DECODERS``, except ``auto``.
BUILDERS: dict[str, Callable[[Encoder, ModelConfig], nn.Module]] = {
    "deeplabv3plus": DeepLabV3PlusDecoder,
    "deeplabv3plus-separable": partial(DeepLabV3PlusDecoder, separable=True),
    "fused": FusedDecoder,
    "fpn": FPNDecoder,
}


def build_decoder(encoder: Encoder, config: ModelConfig) -> nn.Module:
    """Build the decoder that a configuration names; ``auto`` depends on whether the encoder is dilated."""
    name = config.decoder
    if name == "auto":
        name = "deeplabv3plus" if encoder.dilated else "fused"
    return BUILDERS[name](encoder, config)
