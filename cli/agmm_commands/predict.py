"""``agmm predict``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agmm.config.protocol import PREDICTED_IDS
from cli.agmm_commands.options import prediction_options, run_argument
from cli.command import command, option_group
from cli.options import data_root_option, json_option, out_option, read_manifest, split_option
from cli.processes import alone_in, require_one_process
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, shown_path, usage_errors, warn, warn_of_some
from cli.types import Choice, PathType
from data_manifests.errors import counted

if TYPE_CHECKING:
    from agmm.inference.predict import PredictionSummary


@command(short_help="Segment images with a network.")
@run_argument
@click.argument("images", type=PathType(), nargs=-1, required=True)
@split_option
@option_group(
    "Output",
    out_option("Folder for the results.", required=True),
    click.option(
        "--ids", type=Choice(PREDICTED_IDS), default="train", show_default=True,
        help="Values of the label maps: train ids, or the dataset's own ids (labelIds of Cityscapes) as grey PNG.",
    ),
    click.option("--overlays", is_flag=True, help="Also draw the classes over the images."),
    click.option("--probabilities", is_flag=True, help="Also save the probabilities (.npy, float16, classes first)."),
    click.option(
        "--gmm", "gmm_manifest", metavar="MANIFEST", type=PathType(),
        help="Also draw the prediction of the Gaussian mixture alone for the images annotated in this manifest.",
    ),
    json_option,
)  # fmt: skip
@prediction_options
@data_root_option
def predict(
    run: Path,
    images: tuple[Path, ...],
    out_dir: Path,
    split: str | None,
    gmm_manifest: Path | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Segment IMAGES (files or folders, or a manifest) with the network of RUN.

    Results are named by the path of an image in its folder, or by its image id in a manifest.
    Writes label maps as PNG: train ids in the class colours, or the dataset's own ids (--ids class). Unreadable images
    are skipped and named, and the exit code is then 1.
    """
    from agmm.inference.sources import find_images, images_of_manifest, is_manifest
    from agmm.requirements import require_training_packages
    from agmm.runs.files import weights_path

    require_one_process("Prediction")
    weights_path(run)
    passed_over: list[str] = []
    if len(images) == 1 and is_manifest(images[0]):
        sources = images_of_manifest(read_manifest(images[0]), split)
    elif split is not None:
        raise click.UsageError("--split is for the images of a manifest.")
    else:
        sources = find_images(images, out_dir, passed_over.append)
    source = None if gmm_manifest is None else read_manifest(gmm_manifest)
    require_training_packages(crf=settings["crf"])
    from agmm.inference.predict import predict_images

    for text in passed_over:
        warn(text)
    problems: list[str] = []
    with usage_errors(), alone_in(out_dir), progress(len(sources)) as advance:
        summary = predict_images(
            run, sources, out_dir, gmm_manifest=source, on_image=advance, on_problem=problems.append, **settings
        )
    if len(problems) == len(sources) == 1:
        raise click.ClickException(problems[0])
    warn_of_some(problems)
    if as_json:
        echo_json({"folder": str(out_dir), **asdict(summary), "problems": problems})
    else:
        _print_summary(summary, out_dir, [kind for kind in ("overlays", "probabilities") if settings[kind]])
    if problems:
        raise click.ClickException(f"{len(problems):,} of {counted(len(sources), 'image')} could not be read.")


def _print_summary(summary: PredictionSummary, out_dir: Path, kinds: list[str]) -> None:
    volumes = ""
    if summary.num_volumes:
        volumes = f" ({counted(summary.num_volumes, 'volume')} of {counted(summary.num_slices, 'slice')} among them)"
    echo_summary(f"Segmented {counted(summary.num_images, 'image')}{volumes}: {shown_path(out_dir / 'label_maps')}")
    for kind in kinds:
        echo_summary(f"{kind.capitalize()}: {shown_path(out_dir / kind)}")
    if summary.num_mixtures:
        echo_summary(
            f"Gaussian mixture of {counted(summary.num_mixtures, 'annotated image')}: {shown_path(out_dir / 'mixture')}"
        )
