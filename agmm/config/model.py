"""Configuration of a network."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from agmm.config.values import as_kind, check_kinds
from agmm.errors import TrainingError

#: Input pixels per step of the deepest features.
OUTPUT_STRIDES = (8, 16)

#: Decoders by name; ``auto`` is ``deeplabv3plus`` for encoders that can be dilated, and ``fused`` for others.
DECODERS = ("auto", "deeplabv3plus", "deeplabv3plus-separable", "fused", "fpn")
#: Decoders that join the levels of an encoder without dilation, so that ``output_stride`` does not apply.
PYRAMID_DECODERS = ("fused", "fpn")


@dataclass(frozen=True)
class ModelConfig:
    """A segmentation network.

    Args:
        num_classes: Number of classes, excluding void.
        encoder: A timm name with its weights' tag, such as ``resnet50s.gluon_in1k``.
        encoder_weights: ``none`` (random), ``imagenet`` (the tag's weights, downloaded by timm), or the path of a file
            of weights with timm's names (``.safetensors``, ``.pth``).
        output_stride: 8 or 16, image pixels per step of the deepest features; encoders that cannot be dilated keep
            their own.
        decoder: A name of ``DECODERS``: DeepLabV3+ with plain or with separable convolutions, all levels joined as in
            SegFormer, or a light feature pyramid.
        aspp_rates: Dilations of the 3x3 branches of the atrous pyramid; usually (6, 12, 18), or (12, 24, 36).
        multi_grid: Factors on the dilations of the last stage's blocks, one per block, such as (2, 2, 4), or empty.
        decoder_channels: Channels of the features that the mixture reads.
        dropout: Share of the pyramid's output channels dropped in training.
        freeze_batchnorm: Keep the statistics and scales of the encoder's BatchNorm fixed.
        presence_head: Predict which classes an image holds, and weight the probabilities of its pixels by that.
        image_mean: Mean of each input channel, 0..1; None means timm's value of red, green and blue.
        image_std: Standard deviation of each input channel; None means timm's value.

    Raises:
        ValueError: If a value is out of range.
    """

    num_classes: int
    encoder: str = "mobilenetv2_100.ra_in1k"
    encoder_weights: str = "none"
    output_stride: int = 16
    decoder: str = "auto"
    aspp_rates: tuple[int, ...] = (6, 12, 18)
    multi_grid: tuple[int, ...] = ()
    decoder_channels: int = 256
    dropout: float = 0.5
    freeze_batchnorm: bool = False
    presence_head: bool = False
    image_mean: tuple[float, ...] | None = None
    image_std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        as_kind(self.num_classes, 1, "num_classes")
        check_kinds(self)
        if self.num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {self.num_classes}.")
        if self.decoder not in DECODERS:
            raise ValueError(f"Unknown decoder '{self.decoder}'. Choose from: {', '.join(DECODERS)}.")
        if self.output_stride not in OUTPUT_STRIDES:
            raise ValueError(f"output_stride must be 8 or 16, got {self.output_stride}.")
        if not self.aspp_rates or min(self.aspp_rates) < 1:
            raise ValueError(f"aspp_rates must be one or more whole numbers from 1, got {self.aspp_rates}.")
        if self.multi_grid and min(self.multi_grid) < 1:
            raise ValueError(f"multi_grid must hold whole numbers from 1, got {self.multi_grid}.")
        if self.decoder_channels < 1:
            raise ValueError(f"decoder_channels must be at least 1, got {self.decoder_channels}.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}.")
        if self.freeze_batchnorm and self.encoder_weights == "none":
            raise ValueError(
                "freeze_batchnorm keeps the statistics that come with an encoder's weights, but encoder_weights is "
                "'none'. Give weights, or turn freeze_batchnorm off."
            )
        if (self.image_mean is None) != (self.image_std is None):
            raise ValueError("image_mean and image_std belong together: give both or neither.")
        if len(self.image_mean or ()) != len(self.image_std or ()):
            raise ValueError(
                "image_mean and image_std must have one value for each input channel, got "
                f"{len(self.image_mean or ())} and {len(self.image_std or ())}."
            )
        if self.image_std is not None and not min(self.image_std, default=0) > 0:
            raise ValueError(f"image_std must be positive, got {self.image_std}.")

    @property
    def in_channels(self) -> int:
        """Channels of the images: three, or as many as ``image_mean`` has."""
        return 3 if self.image_mean is None else len(self.image_mean)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``agmm.runs.checkpoint_info.model_from_dict`` restores the configuration."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def require_encoder_weights(weights: str) -> None:
    """Check that a file of encoder weights exists.

    Args:
        weights: ``imagenet``, ``none``, or the path of a file.

    Raises:
        TrainingError: If the file does not exist.
    """
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise TrainingError(f"{weights}: no such file of encoder weights (or write 'imagenet' or 'none').")
