"""Encoders from timm: dilated if possible, with weights from timm's hub, from a file, or at random."""

from __future__ import annotations

import difflib
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import timm
import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.config.model import PYRAMID_DECODERS, ModelConfig, require_encoder_weights
from agmm.errors import TrainingError
from agmm.models.hub import one_try
from data_manifests.errors import list_some

# Options that let encoders without output_stride accept images of any size, tried in this order: vision transformers
# resize their position embedding, Swin re-makes its windows, HRNet and PVT need no option.
_FREE_SIZE_OPTIONS: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})

# Stride of the deepest features of most encoders, where nothing is dilated.
_UNDILATED = 32


class Encoder(nn.Module):
    """A timm feature extractor.

    Args:
        backbone: Made by timm with ``features_only=True``.
        dilated: Whether its output stride could be set.
        pads: Whether images are padded to multiples of its coarsest stride, because it accepts no other sizes or
            ignores the remaining pixels.
        freeze_batchnorm: Keep BatchNorm fixed in training too.
    """

    def __init__(self, backbone: nn.Module, dilated: bool, pads: bool, freeze_batchnorm: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.dilated = dilated
        self.pads = pads
        info: Any = backbone.feature_info
        self.channels: list[int] = info.channels()
        self.strides: list[int] = info.reduction()
        self._channels_last = "NHWC" in str(getattr(backbone, "output_fmt", ""))
        self._freeze_batchnorm = freeze_batchnorm
        if freeze_batchnorm:
            for norm in self._batchnorms():
                norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """Set the mode as usual, but keep frozen BatchNorm in evaluation mode."""
        super().train(mode)
        if self._freeze_batchnorm:
            for norm in self._batchnorms():
                norm.eval()
        return self

    def _batchnorms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the features of each level, shapes (N, channels[i], about H / strides[i], about W / strides[i]).

        Args:
            images: Normalised, float32, shape (N, in_channels, H, W).
        """
        if not self.pads:
            return list(self.backbone(images))
        bottom, right = (padded - side for padded, side in zip(self._padded(images), images.shape[-2:], strict=True))
        levels = self.backbone(F.pad(images, (0, right, 0, bottom)))
        return [level.permute(0, 3, 1, 2) for level in levels] if self._channels_last else list(levels)

    def finest_level(self) -> tuple[int, int]:
        """Return the first level that is worth decoding, and the factor by which it is coarser than a quarter.

        Levels finer than a quarter of the image's size are expensive and add little.
        """
        first = max((i for i, stride in enumerate(self.strides) if stride <= 4), default=0)
        return first, max(1, round(self.strides[first] / 4))

    def without_padding(self, features: Tensor, images: Tensor) -> Tensor:
        """Crop the padding, so that features keep their position in the image.

        Args:
            features: Made from this encoder's features of ``images``, shape (N, D, h, w).
            images: As given to the encoder.
        """
        if not self.pads:
            return features
        sides = zip(features.shape[-2:], images.shape[-2:], self._padded(images), strict=True)
        # Round up with positive numbers only: ONNX divides negative numbers towards 0.
        height, width = ((steps * side + padded - 1) // padded for steps, side, padded in sides)
        return features[..., :height, :width]

    def _padded(self, images: Tensor) -> list[int]:
        step = max(self.strides)
        return [(side + step - 1) // step * step for side in images.shape[-2:]]


def build_encoder(config: ModelConfig, *, load_weights: bool = True) -> Encoder:
    """Build the encoder of a network; see ``ModelConfig`` for the settings.

    Args:
        config: The network.
        load_weights: False ignores ``config.encoder_weights``.

    Raises:
        TrainingError: If the encoder is unknown or accepts only one image size, its weights are unavailable, or
            ``multi_grid`` does not fit it.
    """
    _check_name(config.encoder)
    weights = config.encoder_weights if load_weights else "none"
    with one_try() if weights == "imagenet" else nullcontext():
        encoder = _create(config, pretrained=weights == "imagenet")
    if weights not in ("none", "imagenet"):
        _load_file(encoder.backbone, Path(weights), config.encoder)
    if config.multi_grid:
        _apply_multi_grid(encoder.backbone, config)
    return encoder


def image_statistics(config: ModelConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and standard deviation of each input channel (0..1) that the encoder expects."""
    if config.image_mean is not None and config.image_std is not None:
        return config.image_mean, config.image_std
    record: Any = timm.get_pretrained_cfg(config.encoder)
    return tuple(record.mean), tuple(record.std)


def _check_name(name: str) -> None:
    architecture, dot, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=5, cutoff=0.5)
        hint = f"Did you mean {', '.join(near)}?" if near else "`timm.list_models()` lists them all."
        raise TrainingError(f"Unknown encoder '{name}'. {hint}")
    tags = [known.split(".")[1] for known in timm.list_pretrained(f"{architecture}.*")]
    if dot and tag not in tags:
        raise TrainingError(f"Encoder '{architecture}' has no weights '{tag}'. Known: {', '.join(tags) or 'none'}.")


def _create(config: ModelConfig, pretrained: bool) -> Encoder:
    if pretrained and "." not in config.encoder:
        # A bare name's default changes between versions of timm.
        tagged = " or ".join(f"--encoder {name}" for name in timm.list_pretrained(f"{config.encoder}.*"))
        raise TrainingError(
            f"Encoder '{config.encoder}': name the weights to load: {tagged}."
            if tagged
            else f"timm knows no weights of encoder '{config.encoder}'. Give a file, or 'none' for random weights."
        )
    stride = _UNDILATED if config.decoder in PYRAMID_DECODERS else config.output_stride
    for options in ({"output_stride": stride}, *_FREE_SIZE_OPTIONS):
        try:
            backbone = timm.create_model(
                config.encoder, pretrained=pretrained, features_only=True, in_chans=config.in_channels, **options
            )
        except (TypeError, AssertionError, NotImplementedError):  # raised by timm's encoders for unsupported options
            continue
        except OSError as error:
            raise TrainingError(
                f"The weights of '{config.encoder}' could not be downloaded, and are not in the cache of the Hugging "
                f"Face hub ({type(error).__name__}). Check the connection, or give a file of weights "
                "(--encoder-weights FILE), or train from random weights (--encoder-weights none)."
            ) from error
        except RuntimeError as error:
            raise TrainingError(f"Encoder '{config.encoder}' cannot be used ({error}).") from error
        dilated = "output_stride" in options
        if dilated and _reads_every_pixel(
            encoder := Encoder(backbone, dilated, False, config.freeze_batchnorm), config.in_channels
        ):
            return encoder
        encoder = Encoder(backbone, dilated, True, config.freeze_batchnorm)
        step = max(encoder.strides)
        if _sizes_of_levels(encoder, config.in_channels, (3 * step, 5 * step)) is not None:
            return encoder
    raise TrainingError(
        f"Encoder '{config.encoder}' accepts images of one size only. Choose one without a fixed window grid, such as "
        "resnet50s.gluon_in1k, convnext_tiny.fb_in1k or vit_small_patch16_224.augreg_in1k."
    )


def _reads_every_pixel(encoder: Encoder, channels: int) -> bool:
    """Whether the levels cover images of any size; patch encoders without padding drop the remainder at the edge."""
    side = max(encoder.strides) + 1
    covered = [(-(-side // stride), -(-side // stride)) for stride in encoder.strides]
    return _sizes_of_levels(encoder, channels, (side, side)) == covered


@torch.no_grad()
def _sizes_of_levels(encoder: Encoder, channels: int, size: tuple[int, int]) -> list[tuple[int, ...]] | None:
    """Return height and width of the levels for an image size; None if the encoder rejects it."""
    was_training = encoder.training
    try:
        return [tuple(level.shape[-2:]) for level in encoder.eval()(torch.zeros(1, channels, *size))]
    except (RuntimeError, AssertionError, ValueError):
        return None
    finally:
        encoder.train(was_training)


def _load_file(backbone: nn.Module, path: Path, name: str) -> None:
    """Load weights with timm's names; every weight of the encoder must exist, those of a classifier are ignored."""
    require_encoder_weights(str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch warns of pickles that it then rejects
            loaded: dict[str, Tensor] = timm.models.load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # safetensors, zip and unpickling errors share no base class
        if "weights_only" in str(error):  # torch's message advises to load it anyway
            reason = "a pickle of more than weights, which could run code when loaded"
        else:
            reason = str(error)
        raise TrainingError(f"{path}: not a file of weights that can be read ({reason}).") from error
    # timm flattens the names of a feature extractor: blocks.0 may become blocks_0 or model.blocks.0.
    found = {key.replace(".", "_"): value for key, value in loaded.items() if isinstance(value, Tensor)}
    wanted = {key: key.replace(".", "_").removeprefix("model_") for key in backbone.state_dict()}
    missing = [key for key, flat in wanted.items() if flat not in found and not key.endswith("num_batches_tracked")]
    if missing:
        raise TrainingError(
            f"{path}: lacks {len(missing)} of the {len(wanted)} weights of encoder '{name}' ({list_some(missing, 3)}); "
            "is it for another encoder, or not under timm's names?"
        )
    fitting = {key: found[flat] for key, flat in wanted.items() if flat in found}
    own = backbone.state_dict()
    for key, value in fitting.items():
        if value.ndim == 4 and value.shape[1] == 3 != own[key].shape[1] and value.shape[2:] == own[key].shape[2:]:
            fitting[key] = adapt_input_conv(own[key].shape[1], value)  # the first layer, as timm does
    if other := [
        f"{key} is {tuple(value.shape)}, expected {tuple(own[key].shape)}"
        for key, value in fitting.items()
        if value.shape != own[key].shape
    ]:
        raise TrainingError(f"{path}: the weights do not fit encoder '{name}' ({list_some(other, 3)}).")
    backbone.load_state_dict(fitting, strict=False)


def _apply_multi_grid(backbone: nn.Module, config: ModelConfig) -> None:
    info: Any = backbone.feature_info
    stage = dict(backbone.named_modules()).get(info.module_name(-1).replace(".", "_"))
    blocks = [
        [m for m in block.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        for block in (stage.children() if stage is not None else ())
    ]
    if len(blocks) != len(config.multi_grid) or not all(blocks):
        raise TrainingError(
            f"multi_grid {list(config.multi_grid)} needs {len(config.multi_grid)} blocks of 3x3 convolutions in the "
            f"last stage; that of '{config.encoder}' has {sum(map(bool, blocks)) or 'none'}. It is meant for ResNets; "
            "turn it off for other encoders: --set multi_grid=[]."
        )
    for convs, factor in zip(blocks, config.multi_grid, strict=True):
        for conv in convs:
            conv.dilation = (conv.dilation[0] * factor, conv.dilation[1] * factor)
            conv.padding = conv.dilation
