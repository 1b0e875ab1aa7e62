"""All settings of a run, and their TOML form."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

from agmm.config.data import SUPERVISIONS, Augmentation, Supervision
from agmm.config.loss import LOSSES, PRESETS, LossOptions, MixtureOptions, resolve_options
from agmm.config.model import ModelConfig
from agmm.config.protocol import PROTOCOLS, ProtocolName
from agmm.config.values import LARGEST, as_kind, check_kinds

#: Classes of the pseudo-labels between stages: those of the image's true labels, or all.
PseudoClasses = Literal["labelled", "all"]

#: Initial weights of later stages: as in stage 1, or those of the previous stage.
Start = Literal["fresh", "warm"]

#: Loss of stage 1: AGMM as configured, or cross-entropy alone.
FirstLoss = Literal["agmm", "seg"]

#: How pseudo-labels are refined: not at all, or by a dense CRF.
Refinement = Literal["none", "crf"]

OPTIMIZERS = ("sgd", "adamw")
SCHEDULE_NAMES = ("poly", "cosine")
#: Where a run is logged besides ``log.csv``, each a module of ``agmm.training.trackers``; ``csv`` is nowhere else.
LOGS = ("csv", "tensorboard", "wandb", "mlflow")

# In TOML, lambda needs no trailing underscore.
_SPELLINGS = {"lambda": "lambda_"}


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run.

    Args:
        encoder: A timm encoder, such as ``resnet50s.gluon_in1k``.
        encoder_weights: ``imagenet`` (timm downloads them), ``none``, or the path of a file.
        init: Run folder or weights file of an earlier run whose network this one starts from; empty for none. A network
            of other classes gets a new classifier.
        image_mean: Mean of each input channel, 0..1, if timm's value for the encoder does not fit the weights file. Of
            ``bands`` it is measured on the images to train on.
        image_std: Standard deviation of each input channel; required together with ``image_mean``.
        output_stride: Pixels of the image per step of the deepest features, 8 or 16.
        decoder: ``auto``, ``deeplabv3plus``, ``deeplabv3plus-separable``, ``fused`` or ``fpn``; see ``ModelConfig``.
        aspp_rates: Dilations of the atrous pyramid.
        multi_grid: Factors on the dilations of the last stage's blocks, or empty.
        decoder_channels: Channels of the features that the mixture reads.
        dropout: Share of the pyramid's output channels dropped.
        freeze_batchnorm: Keep the encoder's BatchNorm fixed, for batches too small to estimate statistics.
        loss_kind: Name of the loss, from ``agmm.config.loss.LOSSES``; ``preset`` and ``lambda_`` belong to ``agmm``.
            ``auto`` takes ``presence`` or ``seg`` by the annotation; see ``agmm.training.regime.resolve_loss``.
        preset: ``paper`` or ``released``: the losses as the paper defines them, or as its released code computes them.
        lambda_: Weight of the mixture terms relative to the cross-entropy.
        lambda_ramp: Share of the run, 0..1, over which that weight rises from 0, so that features become meaningful
            before the mixture supervises.
        loss: Options of the loss by name; for ``agmm`` those of ``agmm.LossOptions``, on top of the preset.
        supervision: ``sparse`` trains on the annotations, ``full`` on the full masks.
        bands: Bands of the images that are the network's input channels, counted from 1; one band is read as grey, in
            three equal channels. Empty means red, green and blue as the manifest shows them.
        train_split: Split to train on.
        val_split: Split to choose the best epoch on.
        crop_size: Height and width of a training sample in pixels.
        scale: Smallest and largest scale factor of images.
        flip: Flip samples with probability 1/2.
        photometric: Change colours and sharpness at random.
        label_aware: Draw only crops that contain a labelled pixel, of a class chosen uniformly.
        redraws: How often a crop without labels is redrawn.
        batch_size: Images per process and forward pass.
        accumulate: Forward passes per optimizer step.
        epochs: Passes over the training split.
        optimizer: ``sgd`` or ``adamw``.
        learning_rate: Initial learning rate of the encoder.
        new_layers_factor: The decoder's learning rate as a multiple of the encoder's.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of all parameters.
        schedule: ``poly`` (power 0.9) or ``cosine``.
        warmup_steps: Number of first steps over which the learning rate rises.
        clip_norm: Largest norm of the gradient; 0 disables clipping.
        ema_decay: Decay of the moving average of the weights, which is then the network that is saved; 0 disables it.
            The decay is lower in the first steps.
        seed: Determines initial weights, order and augmentation.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        amp: Compute in bfloat16 on CUDA, from Ampere on.
        compile: Compile the network with torch.compile.
        workers: Number of processes that load data; it does not change the result.
        val_every: Epochs between two validations; the last epoch is always validated.
        val_protocol: Protocol of validation: ``whole``, ``flip``, ``sliding`` or ``multi-scale``.
        gmm_images: Number of training images on which to evaluate segmentation and mixture after every validated epoch
            (supplement, figure 2).
        log: ``csv``, which is always written, or also ``tensorboard``, ``wandb`` or ``mlflow``.

    Raises:
        ValueError: If a value is out of range.
    """

    encoder: str = ModelConfig.encoder
    encoder_weights: str = ModelConfig.encoder_weights
    init: str = ""
    image_mean: tuple[float, ...] | None = None
    image_std: tuple[float, ...] | None = None
    output_stride: int = ModelConfig.output_stride
    decoder: str = ModelConfig.decoder
    aspp_rates: tuple[int, ...] = ModelConfig.aspp_rates
    multi_grid: tuple[int, ...] = ModelConfig.multi_grid
    decoder_channels: int = ModelConfig.decoder_channels
    dropout: float = ModelConfig.dropout
    freeze_batchnorm: bool = ModelConfig.freeze_batchnorm
    loss_kind: str = "agmm"
    preset: str = "paper"
    lambda_: float = 1.0
    lambda_ramp: float = 0.0
    loss: Mapping[str, Any] = field(default_factory=dict)
    supervision: Supervision = "sparse"
    bands: tuple[int, ...] = ()
    train_split: str = "train"
    val_split: str = "val"
    crop_size: tuple[int, ...] = (321, 321)
    scale: tuple[float, ...] = (0.5, 2.0)
    flip: bool = True
    photometric: bool = False
    label_aware: bool = False
    redraws: int = 10
    batch_size: int = 16
    accumulate: int = 1
    epochs: int = 80
    optimizer: str = "sgd"
    learning_rate: float = 1e-3
    new_layers_factor: float = 10.0
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "poly"
    warmup_steps: int = 0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    seed: int = 0
    device: str = "auto"
    amp: bool = True
    compile: bool = False
    workers: int = 4
    val_every: int = 1
    val_protocol: ProtocolName = "whole"
    gmm_images: int = 0
    log: str = "csv"

    def __post_init__(self) -> None:
        check_kinds(self)
        for name, choices in _CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"Unknown {name} '{value}'. Choose from: {', '.join(choices)}.{near(value, choices)}")
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:  # not <, so that NaN fails too
                raise ValueError(f"{spell(name)} must be at least {least}, got {getattr(self, name)}.")
        for name in _FIELDS:
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, float) and not math.isfinite(number):
                    raise ValueError(f"{spell(name)} must be finite, got {number}.")
                largest = _AT_MOST.get(name, _LARGEST_FLOAT if isinstance(number, float) else LARGEST)
                if isinstance(number, int | float) and number > largest:
                    raise ValueError(f"{spell(name)} must be at most {largest}, got {number}.")
        for name in ("learning_rate", "new_layers_factor"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}.")
        for name in ("momentum", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}.")
        if not 0 <= self.lambda_ramp <= 1:
            raise ValueError(f"lambda_ramp must lie in [0, 1], got {self.lambda_ramp}.")
        if not _DEVICE.fullmatch(self.device):
            raise ValueError(f"Unknown device '{self.device}'. Choose from: auto, cpu, mps, cuda, cuda:0, cuda:1, ...")
        self._check_loss()
        self._check_bands()
        # These check the settings of samples and of the network.
        self.augmentation()
        self.model(num_classes=1)

    def _check_loss(self) -> None:
        if self.loss_kind in _WITHOUT_OPTIONS and self.loss:
            raise ValueError(
                f"loss_kind '{self.loss_kind}' takes no options, got {', '.join(self.loss)}. Name the loss that has "
                "them, such as --loss-kind presence."
            )
        if wrong := next((name for name in self.loss if name in _NO_OPTIONS), None):
            words = [f.name for f in fields(LossOptions)]
            own = f" It is a setting of its own: --set {spell(wrong)}=..." if wrong in _FIELDS else ""
            hint = own or near(wrong, words)
            raise ValueError(f"Unknown loss option '{wrong}'.{hint}")

    def _check_bands(self) -> None:
        if not self.bands:
            return
        if min(self.bands) < 1:
            raise ValueError(f"bands must be counted from 1, got {list(self.bands)}.")
        channels = self.num_channels
        if self.photometric and channels != 3:
            raise ValueError(
                f"photometric changes colours, but the images have {channels} bands. Turn it off: --no-photometric."
            )
        if self.image_mean is not None and len(self.image_mean) != channels:
            raise ValueError(
                f"image_mean must have {channels} values for bands {list(self.bands)}, got {len(self.image_mean)}. "
                "Omit image_mean and image_std to have them measured."
            )

    @property
    def num_channels(self) -> int:
        """Input channels of the network; a single band is read as grey, in three equal ones."""
        return len(self.bands) if len(self.bands) > 1 else 3

    def model(self, num_classes: int) -> ModelConfig:
        """The network's settings."""
        shared = {f.name for f in fields(ModelConfig)} & {f.name for f in fields(self)}
        values = {name: getattr(self, name) for name in shared}
        return ModelConfig(num_classes=num_classes, presence_head=self.learns_presence, **values)

    @property
    def learns_presence(self) -> bool:
        """Whether the loss has L_presence, which needs the network's presence head."""
        return "presence" in (self.loss_kind, *self.loss)

    def augmentation(self) -> Augmentation:
        """The augmentation settings."""
        shared = {f.name for f in fields(Augmentation)}
        values = {name: getattr(self, name) for name in shared if name != "padding"}
        if self.bands and self.image_mean is not None:
            values["padding"] = tuple(round(255 * mean) for mean in self.image_mean)
        return Augmentation(**values)

    def mixture(self) -> MixtureOptions:
        """The mixture options; the paper's if the loss has no mixture."""
        return resolve_options(self.preset, **self.loss) if self.loss_kind == "agmm" else MixtureOptions()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for TOML and JSON; ``from_dict`` gives the same settings back."""
        values = {name: value for name in _FIELDS if (value := getattr(self, name)) != _OMITTED.get(name)}
        return {
            spell(name): list(value) if isinstance(value, tuple) else dict(value) if name == "loss" else value
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: object = "settings") -> TrainConfig:
        """Make settings from plain data; missing values keep their defaults.

        Args:
            data: Values by name.
            where: Source of the data, for errors.

        Raises:
            ValueError: If a name is unknown (the message suggests similar ones), or a value has the wrong type or is
                out of range.
        """
        values: dict[str, Any] = {}
        for key, value in data.items():
            name = _SPELLINGS.get(key, key)
            if name not in _FIELDS:
                raise ValueError(f"{where}: unknown setting '{key}'.{near(key, [spell(n) for n in _FIELDS])}")
            values[name] = as_kind(value, _DEFAULTS[name], f"{where}: {key}")
        try:
            return cls(**values)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error

    def to_toml(self) -> str:
        """The settings as a TOML file for ``--config``."""
        data = self.to_dict()
        loss = data.pop("loss")
        # TOML has no null: omit the setting.
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in data.items() if value is not None]
        if loss:
            lines += ["", "[loss]", *(f"{key} = {_toml(value)}" for key, value in loss.items())]
        return "\n".join(lines) + "\n"


_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d\d?)?")
_CHOICES: dict[str, Collection[str]] = {
    "loss_kind": LOSSES, "preset": PRESETS, "supervision": SUPERVISIONS, "optimizer": OPTIMIZERS,
    "schedule": SCHEDULE_NAMES, "val_protocol": PROTOCOLS, "log": LOGS,
}  # fmt: skip
_WITHOUT_OPTIONS = ("auto", "seg")
#: Arguments of losses that are no options of theirs.
_NO_OPTIONS = ("self", "ignore_index", "preset", "lambda_", "lambda_ramp")
_AT_LEAST: dict[str, float] = {
    "lambda_": 0, "redraws": 0, "batch_size": 1, "accumulate": 1, "epochs": 1, "weight_decay": 0, "warmup_steps": 0,
    "clip_norm": 0, "seed": 0, "workers": 0, "val_every": 1, "gmm_images": 0,
}  # fmt: skip
#: Sanity limits; larger values are almost certainly typos.
_AT_MOST = {
    "epochs": 1_000_000, "crop_size": 1 << 15, "decoder_channels": 1 << 14, "batch_size": 1 << 16,
    "accumulate": 1 << 16, "workers": 1 << 12, "aspp_rates": 1 << 15, "multi_grid": 1 << 10, "redraws": 10_000,
}  # fmt: skip
#: Products of two settings fit a single float.
_LARGEST_FLOAT = 1e15
#: Most stages or rounds of one call.
MOST_NETWORKS = 1000
_FIELDS = tuple(f.name for f in fields(TrainConfig))
#: Settings that are left out where they have this value, so that equal settings keep the checksums of older versions.
_OMITTED: dict[str, Any] = {"bands": (), "log": "csv", "decoder": "auto", "init": ""}
_DEFAULTS: dict[str, Any] = {name: getattr(TrainConfig, name, {}) for name in _FIELDS}


def merge_settings(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Override settings with others; options of the loss are merged, unless ``above`` names another loss."""
    kind = below.get("loss_kind", TrainConfig.loss_kind)
    options = below.get("loss", {}) if above.get("loss_kind", kind) == kind else {}
    own = above.get("loss", {})
    return {**below, **above, "loss": {**options, **own} if isinstance(own, Mapping) else own}


def _toml(value: Any) -> str:
    """Format an option of a loss as TOML; a table of options becomes an inline table."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(inner)}' for key, inner in value.items())} }}"
    return json.dumps(value)


def spell(name: str) -> str:
    """Spell a setting as TOML files do: ``lambda`` for ``lambda_``."""
    return next((key for key, field_name in _SPELLINGS.items() if field_name == name), name)


def near(word: str, words: Any) -> str:
    """Suggest the words most similar to an unknown one, as a question; empty if none is similar."""
    near = get_close_matches(word, list(words), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(near)}?" if near else ""
