"""The options of every command that trains, and the settings they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agmm.config.loss import LOSSES, PRESETS
from cli.options import data_root_option
from cli.reporting import echo_next, usage_errors

if TYPE_CHECKING:
    from agmm.config.training import TrainConfig
    from data_manifests import Manifest

_F = TypeVar("_F", bound=Callable[..., Any])

_positive = click.IntRange(min=1)
_not_negative = click.FloatRange(min=0)

# No flag has a default of its own: what is not given comes from --config, then from the recipe.
_OPTIONS: Sequence[Callable[[_F], _F]] = (
    click.option("--recipe", help="Recipe to start from; see `agmm recipes`.  [default: small-cpu]"),
    click.option(
        "--config", "config_path", type=click.Path(path_type=Path), help="TOML file of settings, on top of the recipe."
    ),
    click.option("--encoder", help="Encoder by its name in timm, such as resnet50s.gluon_in1k."),
    click.option(
        "--encoder-weights",
        metavar="imagenet|none|FILE",
        help="Weights the encoder starts from; a file trained on other colours than timm's record says also needs "
        "--set image_mean=[...] --set image_std=[...].",
    ),
    click.option("--output-stride", type=click.Choice(["8", "16"]), help="Pixels per step of the deepest features."),
    click.option("--loss-kind", type=click.Choice(tuple(LOSSES)), help="Loss to train with.  [default: agmm]"),
    click.option("--preset", type=click.Choice(tuple(PRESETS)), help="Losses as in the paper, or as in its code."),
    click.option("--lambda", "lambda_", type=_not_negative, help="Weight of the mixture's terms."),
    click.option(
        "--loss", multiple=True, metavar="NAME=VALUE", help="Option of the loss, such as use_con=false; repeatable."
    ),
    click.option("--supervision", type=click.Choice(["sparse", "full"]), help="Train on annotations or full masks."),
    click.option("--train-split", help="Split to train on."),
    click.option("--val-split", help="Split to choose the best epoch on."),
    click.option(
        "--crop-size", type=_positive, nargs=2, metavar="HEIGHT WIDTH", help="Size of a training sample, in pixels."
    ),
    click.option("--photometric/--no-photometric", default=None, help="Change colours and sharpness at random."),
    click.option("--label-aware/--no-label-aware", default=None, help="Draw only crops that hold a label."),
    click.option("--batch-size", type=_positive, help="Images per process and forward pass."),
    click.option("--accumulate", type=_positive, help="Forward passes per step of the optimizer."),
    click.option("--epochs", type=_positive, help="Passes over the training split."),
    click.option("--optimizer", type=click.Choice(["sgd", "adamw"]), help="Kind of optimizer."),
    click.option("--learning-rate", type=_not_negative, help="Of the encoder, at the start."),
    click.option("--schedule", type=click.Choice(["poly", "cosine"]), help="How the learning rate falls."),
    click.option("--warmup-steps", type=click.IntRange(min=0), help="Steps over which the learning rate rises."),
    click.option("--clip-norm", type=_not_negative, help="Largest norm of the gradient; 0 for no limit."),
    click.option("--ema-decay", type=click.FloatRange(0, 1, max_open=True), help="Average the weights; 0 for not."),
    click.option("--seed", type=click.IntRange(min=0), help="Equal seeds give equal networks."),
    click.option("--device", metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute."),
    click.option("--amp/--no-amp", default=None, help="Compute in bfloat16 on CUDA."),
    click.option("--compile/--no-compile", default=None, help="Compile the network with torch.compile."),
    click.option("--workers", type=click.IntRange(min=0), help="Processes that load data; the result is the same."),
    click.option("--val-every", type=_positive, help="Epochs between two validations."),
    click.option("--gmm-images", type=click.IntRange(min=0), help="Training images to score the mixture on."),
    click.option(
        "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting of a recipe by name; repeatable."
    ),
)


#: Of the commands that make pseudo-labels.
threshold_option = click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Least probability of a pseudo-label among the image's classes, 0..1.",
)
refine_option = click.option(
    "--refine",
    type=click.Choice(["none", "crf"]),
    default="none",
    show_default=True,
    help="Refine the pseudo-labels with a dense CRF on the image's colours (needs the extra 'crf'; slow).",
)


def training_options(command: _F) -> _F:
    """Give a command the options of ``read_settings``; it receives them as keyword arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
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
    from agmm.config.recipes import DEFAULT_RECIPE, load_config

    with usage_errors():
        config = load_config(flags["recipe"] or DEFAULT_RECIPE, flags["config_path"], read_overrides(flags))
    require_encoder_weights(config.encoder_weights)
    return config


def echo_next_score(run_dir: Path, manifest_path: Path, manifest: Manifest, train_split: str) -> None:
    """Tell the command that scores a network, or the one that holds images back, where there are none to score on."""
    splits = dict.fromkeys(row.split for row in manifest.rows if row.full_mask)
    if held_back := sorted((split for split in splits if split != train_split), key=lambda split: split != "val"):
        on_split = () if held_back[0] == "val" else ("--split", held_back[0])
        echo_next("agmm", "evaluate", run_dir, manifest_path, *on_split)
    elif splits:
        folder = manifest.path.parent
        echo_next("sparsekit", "split", manifest_path, "--val", 0.2, "--out", folder.with_name(f"{folder.name}-split"))


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


run_argument = click.argument("run", type=click.Path(path_type=Path))


device_option = click.option(
    "--device", default="auto", show_default=True, metavar="auto|cpu|cuda|cuda:N|mps", help="Where to compute."
)


def prediction_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say how images are segmented, and where."""
    for option in reversed(
        [
            click.option(
                "--protocol", type=click.Choice(["whole", "sliding", "multi-scale"]), default="whole",
                show_default=True,
                help="Whole images; sliding windows; or the mean over 7 scales (0.5 to 2) and flips.",
            ),
            click.option(
                "--tile", "tile_size", type=click.IntRange(min=1),
                help="Side of sliding windows, in pixels; with multi-scale, slide at each scale.  "
                "[default: the training crop's; whole images for multi-scale]",
            ),
            click.option(
                "--overlap", type=click.FloatRange(0, 1, max_open=True), default=2 / 3, show_default="2/3",
                help="Share of a window that the next one covers again.",
            ),
            click.option("--crf", is_flag=True, help="Refine with a dense CRF (needs the extra 'crf'; slow)."),
            device_option,
            click.option("--amp/--no-amp", default=False, show_default=True, help="Compute in bfloat16."),
        ]
    ):  # fmt: skip
        command = option(command)
    return command


runs_argument = click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True)


names_option = click.option(
    "--name", "names", multiple=True,
    help="What to call a run; once for each, in their order.  [default: what tells the runs apart, such as "
    "L_seg and AGMM, 20 clicks and 50 clicks]",
)  # fmt: skip


def manifest_option(command: _F) -> _F:
    """``--manifest``: where the images come from, with ``--data-root``."""
    return click.option(
        "--manifest", "manifest_path", type=click.Path(path_type=Path),
        help="Manifest of the images to show, of the classes of the runs.  [default: that of the first run's training]",
    )(data_root_option(command))  # fmt: skip


def image_option(command: _F) -> _F:
    """``--image``, repeatable: show just these images."""
    return click.option("--image", "image_ids", multiple=True, help="Show this image; may be given several times.")(
        command
    )
