"""Options that several commands of ``agmm`` share, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from agmm.config.data import SUPERVISIONS
from agmm.config.loss import LOSSES, PRESETS
from agmm.config.model import DECODERS, OUTPUT_STRIDES
from agmm.config.protocol import PROTOCOLS, SCALES, ProtocolName
from agmm.config.recipes import DEFAULT_RECIPE
from agmm.config.training import LOGS, OPTIMIZERS, SCHEDULE_NAMES, Refinement, Start, TrainConfig
from cli.command import option_group
from cli.completion import complete_encoder, complete_recipe
from cli.options import data_root_option, data_root_words
from cli.reporting import echo_next, usage_errors
from cli.types import BandsType, Choice, FloatRange, IntRange, PathType, SizeType

if TYPE_CHECKING:
    from agmm.runs.checkpoint_info import CheckpointInfo
    from data_manifests import Manifest

_F = TypeVar("_F", bound=Callable[..., Any])

_positive = IntRange(min=1)
_not_negative = FloatRange(min=0)

_SCALES = f"{SCALES[0]:g} to {SCALES[-1]:g}"


def _choice(choices: Collection[str]) -> Choice:
    return Choice(list(choices))


# No flag has a default of its own: what is not given comes from --config, then from the recipe.
_TRAINING_GROUPS = (
    option_group(
        "Settings",
        click.option(
            "--recipe", metavar="NAME", shell_complete=complete_recipe,
            help=f"Recipe to start from; see `agmm recipes`.  [default: {DEFAULT_RECIPE}]"
        ),
        click.option("--config", "config_path", type=PathType(), help="TOML file of settings; overrides the recipe."),
        click.option(
            "--set", "settings", multiple=True, metavar="NAME=VALUE",
            help="Any setting of a recipe by its name; repeat for several.",
        ),
    ),
    option_group(
        "Network",
        click.option(
            "--encoder", metavar="NAME", shell_complete=complete_encoder,
            help="Encoder by its name in timm, such as resnet50s.gluon_in1k.",
        ),
        click.option(
            "--encoder-weights", metavar="imagenet|none|FILE",
            help="Initial weights of the encoder. A file trained with other means and deviations than timm records "
            "also needs --set image_mean=[...] --set image_std=[...].",
        ),
        click.option(
            "--init", metavar="RUN", help="Start from the network of an earlier run; new classes get a new classifier."
        ),
        click.option("--decoder", type=_choice(DECODERS), help="How the features of the encoder's levels are joined."),
        click.option(
            "--output-stride", type=_choice([str(stride) for stride in OUTPUT_STRIDES]),
            help="Input pixels per step of the deepest features.",
        ),
    ),
    option_group(
        "Loss",
        click.option(
            "--loss-kind",
            type=_choice(LOSSES),
            help="seg: cross-entropy alone. presence: learns also which classes an image holds. auto: presence or seg, "
            "as the annotation allows. The page 'Other ways to use few labels' explains the others.",
        ),
        click.option("--preset", type=_choice(PRESETS), help="AGMM as in the paper, or as in its released code."),
        click.option("--lambda", "lambda_", type=_not_negative, help="Weight of the mixture terms."),
        click.option(
            "--loss", multiple=True, metavar="NAME=VALUE",
            help="Option of the loss, such as use_con=false; repeat for several.",
        ),
    ),
    option_group(
        "Data",
        click.option("--supervision", type=_choice(SUPERVISIONS), help="Train on the annotations or on full masks."),
        click.option("--train-split", metavar="NAME", help="Split to train on."),
        click.option("--val-split", metavar="NAME", help="Split that selects the best epoch."),
        click.option(
            "--crop-size",
            type=SizeType(),
            help="Size of a training crop in pixels; in TOML, crop_size = [HEIGHT, WIDTH].",
        ),
        click.option(
            "--bands", metavar="all|N,N,...", type=BandsType(),
            help="Bands of the images that are the network's input, counted from 1, of any number; means and "
            "deviations are measured.  [default: red, green and blue, as the manifest shows them]",
        ),
        click.option("--photometric/--no-photometric", default=None, help="Randomly change colours and sharpness."),
        click.option("--label-aware/--no-label-aware", default=None, help="Place each crop on a labelled pixel."),
    ),
    option_group(
        "Optimization",
        click.option("--epochs", type=_positive, help="Passes over the training split."),
        click.option("--batch-size", type=_positive, help="Images per process and forward pass."),
        click.option("--accumulate", type=_positive, help="Forward passes per optimizer step."),
        click.option("--optimizer", type=_choice(OPTIMIZERS), help="Optimizer."),
        click.option("--learning-rate", type=_not_negative, help="Initial learning rate of the encoder."),
        click.option("--schedule", type=_choice(SCHEDULE_NAMES), help="Decay of the learning rate."),
        click.option("--warmup-steps", type=IntRange(min=0), help="Steps over which the learning rate rises."),
        click.option("--clip-norm", type=_not_negative, help="Largest gradient norm; 0 disables clipping."),
        click.option(
            "--ema-decay", type=FloatRange(0, 1, max_open=True),
            help="Decay of a moving average of the weights, which is then evaluated and kept; 0 disables it.",
        ),
        click.option("--seed", type=IntRange(min=0), help="Random seed; equal seeds give equal networks."),
    ),
    option_group(
        "Validation",
        click.option("--val-every", type=_positive, help="Validate every N epochs."),
        click.option("--gmm-images", type=IntRange(min=0), help="Also score the mixture on N training images."),
    ),
    option_group(
        "Execution",
        click.option("--device", metavar="auto|cpu|cuda|cuda:N|mps", help="Device to compute on."),
        click.option("--amp/--no-amp", default=None, help="Compute in bfloat16 on CUDA."),
        click.option("--compile/--no-compile", default=None, help="Compile the network with torch.compile."),
        click.option(
            "--workers", type=IntRange(min=0), help="Processes that load data; the result does not depend on it."
        ),
        click.option("--log", type=_choice(LOGS), help="Log to an experiment tracker as well as to log.csv."),
    ),
)  # fmt: skip


def protocol_option(help: str, name: str = "--protocol", default: ProtocolName | None = None) -> Callable[[_F], _F]:
    """``--protocol``: how images are segmented."""
    return click.option(name, type=_choice(PROTOCOLS), default=default, show_default=default is not None, help=help)


#: Which of several scores reports and tables show.
scores_protocol_option = protocol_option(
    "Show scores of this protocol.  [default: that of the most images, then the newest]"
)
scores_split_option = click.option(
    "--split", metavar="NAME", help="Show scores of this split.  [default: the split that most runs are scored on]"
)

threshold_option = click.option(
    "--threshold",
    type=FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Smallest probability of a pseudo-label, among the classes of the image.",
)
refine_option = click.option(
    "--refine",
    type=_choice(get_args(Refinement)),
    default="none",
    show_default=True,
    help="Refine pseudo-labels with a dense CRF on the image colours (slow; needs the extra 'crf').",
)


def training_options(command: _F) -> _F:
    """Give a command the options of ``read_settings``; it receives them as keyword arguments."""
    for group in reversed(_TRAINING_GROUPS):
        command = group(command)
    return command


def read_settings(flags: Mapping[str, Any]) -> TrainConfig:
    """Settings from the recipe, the TOML file and the flags.

    Args:
        flags: The keyword arguments of ``training_options``.

    Raises:
        click.UsageError: If a name is unknown or a value cannot be used.
        DataError: If the TOML file or the encoder's weights are not there.
    """
    from agmm.config.model import require_encoder_weights
    from agmm.config.recipes import load_config

    with usage_errors():
        config = load_config(flags["recipe"] or DEFAULT_RECIPE, flags["config_path"], read_overrides(flags))
    require_encoder_weights(config.encoder_weights)
    return config


def start_of(warm_start: bool) -> Start:
    """The setting that ``--warm-start`` stands for."""
    return "warm" if warm_start else "fresh"


def with_all_bands(flags: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """The flags with the bands of a manifest's images for ``--bands all``."""
    if flags["bands"] != "all":
        return dict(flags)
    from agmm.data.bands import all_bands

    return {**flags, "bands": all_bands(manifest)}


def echo_next_score(run_dir: Path, manifest_path: Path, manifest: Manifest, train_split: str) -> None:
    """Print the command that scores a network, or the one that holds out images where there are none to score on."""
    splits = dict.fromkeys(row.split for row in manifest.rows if row.full_mask)
    if held_back := sorted((split for split in splits if split != train_split), key=lambda split: split != "val"):
        on_split = () if held_back[0] == "val" else ("--split", held_back[0])
        echo_next("agmm", "evaluate", run_dir, manifest_path, *on_split, *data_root_words())
    elif splits:
        folder = manifest.path.parent
        echo_next("sparsekit", "split", manifest_path, "--val", 0.2, "--out", folder.with_name(f"{folder.name}-split"))


def run_summary(run_dir: Path, info: CheckpointInfo) -> dict[str, Any]:
    """A finished run as --json prints it."""
    return {
        "run": str(run_dir), "epochs": info.epoch, "best_epoch": info.best_epoch, "best_miou": info.best_miou,
        "val_split": info.config.val_split,
    }  # fmt: skip


def read_overrides(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were typed as flags, by name.

    Raises:
        ValueError: If a ``NAME=VALUE`` lacks its ``=``.
    """
    given = {
        name: value
        for name, value in flags.items()
        if value is not None and name not in ("recipe", "config_path", "loss", "settings")
    }
    if "crop_size" in given:
        given["crop_size"] = given["crop_size"][::-1]  # settings have the height first
    if "output_stride" in given:
        given["output_stride"] = int(given["output_stride"])
    given |= _pairs(flags["settings"], "--set")
    return given | ({"loss": _pairs(flags["loss"], "--loss")} if flags["loss"] else {})


def _pairs(texts: Sequence[str], option: str) -> dict[str, Any]:
    pairs = [text.partition("=") for text in texts]
    if bad := [name for name, equals, _ in pairs if not equals]:
        raise ValueError(f"{option} expects NAME=VALUE, got '{bad[0]}'.")
    return {name.strip().replace("-", "_"): _value(value.strip()) for name, _, value in pairs}


def _value(text: str) -> Any:
    """A value as TOML reads it, or the text itself where that fails, so that words need no quotes."""
    from data_manifests.files.text import parse_toml

    try:
        return parse_toml(f"value = {text}")["value"]
    except ValueError:
        return text


run_argument = click.argument("run", type=PathType())
runs_argument = click.argument("runs", type=PathType(), nargs=-1, required=True)

device_option = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="Device to compute on."
)
tile_option = click.option(
    "--tile",
    "tile_size",
    type=_positive,
    help="Side of sliding windows in pixels; with multi-scale, windows slide at every scale.  [default: that of the "
    "training crop; whole images for multi-scale]",
)

_PREDICTION_GROUPS = (
    option_group(
        "Segmentation",
        protocol_option(
            "Segment whole images, by sliding windows, or averaged: flip with the mirror image, multi-scale over "
            f"{len(SCALES)} scales ({_SCALES}) and mirror images.",
            default="whole",
        ),
        tile_option,
        click.option(
            "--overlap", type=FloatRange(0, 1, max_open=True), default=2 / 3,
            help="Share of a window that the next one covers again.  [default: 2/3]",
        ),
        click.option("--crf", is_flag=True, help="Refine with a dense CRF (slow; needs the extra 'crf')."),
    ),
    option_group(
        "Execution",
        device_option,
        click.option("--amp/--no-amp", default=False, show_default=True, help="Compute in bfloat16."),
    ),
)  # fmt: skip


def prediction_options(command: _F) -> _F:
    """Options that say how images are segmented, and where."""
    for group in reversed(_PREDICTION_GROUPS):
        command = group(command)
    return command


names_option = click.option(
    "--name",
    "names",
    metavar="TEXT",
    multiple=True,
    help="Name of a run; repeat for each in order.  [default: what sets the runs apart, such as L_seg and AGMM]",
)


def manifest_option(command: _F) -> _F:
    """``--manifest``: where the images come from, with ``--data-root``."""
    return click.option(
        "--manifest", "manifest_path", type=PathType(),
        help="Manifest of the images to show, with the classes of the runs.  [default: that of the first run]",
    )(data_root_option(command))  # fmt: skip
