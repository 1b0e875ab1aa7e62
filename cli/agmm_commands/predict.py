"""``agmm predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agmm.config.protocol import PREDICTED_IDS
from cli.agmm_commands.options import prediction_options, run_argument
from cli.command import command
from cli.options import data_root_option, out_option, read_manifest
from cli.processes import require_one_process
from cli.progress import progress
from cli.reporting import usage_errors, warn, warn_of_some
from data_manifests.errors import counted


@command(short_help="Segment images with a network.")
@run_argument
@click.argument("images", type=click.Path(path_type=Path), nargs=-1, required=True)
@out_option("Folder for the results.", required=True)
@click.option("--overlays", is_flag=True, help="Draw the classes over the images, too.")
@click.option("--probabilities", is_flag=True, help="Save the probabilities (float16, .npy, classes first), too.")
@click.option(
    "--ids",
    type=click.Choice(PREDICTED_IDS),
    default="train",
    show_default=True,
    help="Values of the label maps: train ids, or the dataset's own ids (labelIds of Cityscapes) as grey PNG.",
)
@click.option(
    "--gmm",
    "gmm_manifest",
    metavar="MANIFEST",
    type=click.Path(path_type=Path),
    help="Draw what the Gaussian mixture alone says of the images annotated in this manifest, too.",
)
@data_root_option
@prediction_options
def predict(run: Path, images: tuple[Path, ...], out_dir: Path, gmm_manifest: Path | None, **settings: Any) -> None:
    """Segment IMAGES (files or folders) with the network of RUN.

    Writes label maps as PNG: train ids in the class colours, or the dataset's own ids (--ids class). Images that cannot
    be read are skipped and named, and the exit code is then 1.
    """
    from agmm.inference.sources import find_images
    from agmm.requirements import require_training_packages
    from agmm.runs.files import weights_path

    require_one_process("Prediction")
    weights_path(run)
    passed_over: list[str] = []
    sources = find_images(images, out_dir, passed_over.append)
    source = None if gmm_manifest is None else read_manifest(gmm_manifest)
    require_training_packages(crf=settings["crf"])
    from agmm.inference.predict import predict_images

    for text in passed_over:
        warn(text)
    problems: list[str] = []
    with usage_errors(), progress(len(sources)) as advance:
        summary = predict_images(
            run, sources, out_dir, gmm_manifest=source, on_image=advance, on_problem=problems.append, **settings
        )
    if len(problems) == len(sources) == 1:
        raise click.ClickException(problems[0])
    warn_of_some(problems)
    click.echo(f"Segmented {counted(summary.num_images, 'image')}: {out_dir / 'label_maps'}")
    for kind in ("overlays", "probabilities"):
        if settings[kind]:
            click.echo(f"{kind.capitalize()}: {out_dir / kind}")
    if source is not None:
        click.echo(f"Gaussian mixture of {counted(summary.num_mixtures, 'annotated image')}: {out_dir / 'mixture'}")
    if problems:
        raise click.ClickException(f"{len(problems):,} of {counted(len(sources), 'image')} could not be read.")
