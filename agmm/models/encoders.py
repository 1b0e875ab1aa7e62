"""Encoders from timm: dilated where they can be, with weights from timm's hub, a file, or none."""

from __future__ import annotations

import difflib
import warnings
from pathlib import Path
from typing import Any, Self

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from agmm.errors import TrainingError
from agmm.given_files import require_encoder_weights
from agmm.models.config import ModelConfig
from data_manifests.errors import list_some

# What encoders without output_stride need in order to take pictures of any size, tried in this order: vision
# transformers resize their position embedding, Swin re-makes its windows, HRNet and PVT need nothing.
_FREE_SIZE_OPTIONS: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})


class Encoder(nn.Module):
    """A timm feature extractor.

    Args:
        backbone: Made by timm with ``features_only=True``.
        dilated: Whether its output stride could be set; others get pictures padded to whole steps of their coarsest
            level.
        freeze_batchnorm: Leave its BatchNorm as it is in training too.
    """

    def __init__(self, backbone: nn.Module, dilated: bool, freeze_batchnorm: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        self.dilated = dilated
        info: Any = backbone.feature_info
        self.channels: list[int] = info.channels()
        self.strides: list[int] = info.reduction()
        self._channels_last = "NHWC" in str(getattr(backbone, "output_fmt", ""))
        self._freeze_batchnorm = freeze_batchnorm
        if freeze_batchnorm:
            for norm in self._batchnorms():
                norm.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """As for any module, but BatchNorm that is to stay as it is goes on as in evaluation."""
        super().train(mode)
        if self._freeze_batchnorm:
            for norm in self._batchnorms():
                norm.eval()
        return self

    def _batchnorms(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features of each level, shapes (N, channels[i], about H / strides[i], about W / strides[i]).

        Args:
            images: Normalised, float32, shape (N, 3, H, W).
        """
        if self.dilated:
            return list(self.backbone(images))
        bottom, right = (padded - side for padded, side in zip(self._padded(images), images.shape[-2:], strict=True))
        levels = self.backbone(F.pad(images, (0, right, 0, bottom)))
        return [level.permute(0, 3, 1, 2) for level in levels] if self._channels_last else list(levels)

    def without_padding(self, features: Tensor, images: Tensor) -> Tensor:
        """Cut off what belongs to the padding, so that features keep their place in the picture.

        Args:
            features: Made from this encoder's features of ``images``, shape (N, D, h, w).
            images: As given to the encoder.
        """
        if self.dilated:
            return features
        sides = zip(features.shape[-2:], images.shape[-2:], self._padded(images), strict=True)
        height, width = (-(-steps * side // padded) for steps, side, padded in sides)  # rounded up
        return features[..., :height, :width]

    def _padded(self, images: Tensor) -> list[int]:
        step = max(self.strides)
        return [side + -side % step for side in images.shape[-2:]]


def build_encoder(config: ModelConfig, *, load_weights: bool = True) -> Encoder:
    """Build the encoder of a network; see ``ModelConfig`` for the settings.

    Args:
        config: The network.
        load_weights: False passes over ``config.encoder_weights``.

    Raises:
        TrainingError: If the encoder is unknown or takes pictures of one size only, its weights cannot be had, or
            ``multi_grid`` does not fit it.
    """
    _check_name(config.encoder)
    weights = config.encoder_weights if load_weights else "none"
    encoder = _create(config, pretrained=weights == "imagenet")
    if weights not in ("none", "imagenet"):
        _load_file(encoder.backbone, Path(weights), config.encoder)
    if config.multi_grid:
        _apply_multi_grid(encoder.backbone, config)
    return encoder


def image_statistics(config: ModelConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of red, green and blue (0..1) that the encoder expects."""
    if config.image_mean is not None and config.image_std is not None:
        return config.image_mean, config.image_std
    record: Any = timm.get_pretrained_cfg(config.encoder)
    return tuple(record.mean), tuple(record.std)


def _check_name(name: str) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=5, cutoff=0.5)
        hint = f"Did you mean {', '.join(near)}?" if near else "`timm.list_models()` lists them all."
        raise TrainingError(f"Unknown encoder '{name}'. {hint}")
    tags = [known.split(".")[1] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise TrainingError(f"Encoder '{architecture}' has no weights '{tag}'. Known: {', '.join(tags) or 'none'}.")


def _create(config: ModelConfig, pretrained: bool) -> Encoder:
    if pretrained and "." not in config.encoder:
        # A bare name's default changes between versions of timm.
        tagged = " or ".join(f"--encoder {name}" for name in timm.list_pretrained(f"{config.encoder}.*"))
        raise TrainingError(
            f"Encoder '{config.encoder}': say which of its weights is to be loaded: {tagged}."
            if tagged
            else f"timm knows no weights of encoder '{config.encoder}'. Give a file, or 'none' for random weights."
        )
    for options in ({"output_stride": config.output_stride}, *_FREE_SIZE_OPTIONS):
        try:
            backbone = timm.create_model(config.encoder, pretrained=pretrained, features_only=True, **options)
        except (TypeError, AssertionError, NotImplementedError):  # how timm's encoders refuse an option
            continue
        except OSError as error:
            raise TrainingError(
                f"The weights of '{config.encoder}' could not be downloaded ({type(error).__name__}). Check the "
                f"connection, or give a file of weights, or train from random weights ('none')."
            ) from error
        except RuntimeError as error:
            raise TrainingError(f"Encoder '{config.encoder}' cannot be used ({error}).") from error
        encoder = Encoder(backbone, "output_stride" in options, config.freeze_batchnorm)
        if encoder.dilated or _takes_any_size(encoder):
            return encoder
    raise TrainingError(
        f"Encoder '{config.encoder}' takes pictures of one size only. Choose one without a fixed window grid, such as "
        f"resnet50c.gluon_in1k, convnext_tiny.fb_in1k or vit_small_patch16_224.augreg_in1k."
    )


@torch.no_grad()
def _takes_any_size(encoder: Encoder) -> bool:
    was_training = encoder.training
    step = max(encoder.strides)
    try:
        encoder.eval()(torch.zeros(1, 3, 3 * step, 5 * step))
    except (RuntimeError, AssertionError, ValueError):
        return False
    finally:
        encoder.train(was_training)
    return True


def _load_file(backbone: nn.Module, path: Path, name: str) -> None:
    """Load weights under timm's names; each weight of the encoder must be there, a classifier's are passed over."""
    require_encoder_weights(str(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch wonders about pickles that it is about to refuse
            loaded: dict[str, Tensor] = timm.models.load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # safetensors, zip and unpickling errors share no base class
        if "weights_only" in str(error):  # torch's words advise to load it all the same
            reason = "a pickle of more than weights, which could run code when it is read"
        else:
            reason = str(error)
        raise TrainingError(f"{path}: not a file of weights that can be read ({reason}).") from error
    # timm flattens the names of a feature extractor: blocks.0 may become blocks_0, or model.blocks.0.
    found = {key.replace(".", "_"): value for key, value in loaded.items()}
    wanted = {key: key.replace(".", "_").removeprefix("model_") for key in backbone.state_dict()}
    missing = [key for key, flat in wanted.items() if flat not in found and not key.endswith("num_batches_tracked")]
    if missing:
        raise TrainingError(
            f"{path}: lacks {len(missing)} of the {len(wanted)} weights of encoder '{name}' ({list_some(missing, 3)}); "
            "is it for another encoder, or not under timm's names?"
        )
    try:
        backbone.load_state_dict({key: found[flat] for key, flat in wanted.items() if flat in found}, strict=False)
    except RuntimeError as error:
        raise TrainingError(f"{path}: the weights do not fit encoder '{name}' ({error}).") from error


def _apply_multi_grid(backbone: nn.Module, config: ModelConfig) -> None:
    info: Any = backbone.feature_info
    stage = backbone.get_submodule(info.module_name(-1).replace(".", "_"))
    blocks = list(stage.children())
    if len(blocks) != len(config.multi_grid):
        raise TrainingError(
            f"multi_grid {config.multi_grid} needs {len(config.multi_grid)} blocks in the last stage; that of "
            f"'{config.encoder}' has {len(blocks)}. It is meant for ResNets."
        )
    for block, factor in zip(blocks, config.multi_grid, strict=True):
        for module in block.modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.dilation = (module.dilation[0] * factor, module.dilation[1] * factor)
                module.padding = module.dilation
