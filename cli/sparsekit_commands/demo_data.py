"""``sparsekit demo-data``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from data_manifests.errors import counted


def _width_and_height(context: click.Context, parameter: click.Parameter, value: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,99})[xX](\d{1,99})", value)
    if match is None:
        raise click.BadParameter(f"expected width and height such as 512x256, got '{value}'.")
    return int(match[1]), int(match[2])


@command("demo-data", short_help="Draw street scenes with full masks to try the tools on.")
@click.argument("out", type=options.LocalPathType())
@click.option(
    "--images",
    "num_images",
    type=click.IntRange(min=1),
    default=40,
    show_default=True,
    help="Scenes to draw; every fourth is for validation. Few are the first of many.",
)
@click.option(
    "--size",
    metavar="WIDTHxHEIGHT",
    default="512x256",
    show_default=True,
    callback=_width_and_height,
    help="Size of the images in pixels, 4096x4096 at most.",
)
@options.seed_option
@options.workers_option
@options.overwrite_option
@options.json_option
def demo_data(
    out: Path, num_images: int, size: tuple[int, int], seed: int, workers: int, overwrite: bool, as_json: bool
) -> None:
    """Draw street scenes with full masks, to try everything on without a dataset.

    OUT becomes a folder in the Cityscapes layout: leftImg8bit/ and gtFine/ with labelIds and instanceIds, for the
    splits train and val. The scenes are free of any licence; they are a demonstration, not a benchmark.
    """
    from cli.reporting import echo_json, usage_errors
    from sparsekit.demo_data import DemoSettings, write_demo_data

    with usage_errors():
        settings = DemoSettings(num_images, *size, seed)
    with progress(num_images) as advance:
        counts = write_demo_data(out, settings, workers=workers, overwrite=overwrite, on_image=advance)
    if as_json:
        echo_json({"folder": str(out), "images": counts, "width": size[0], "height": size[1], "seed": seed})
        return
    shares = ", ".join(f"{count} {split}" for split, count in counts.items())
    click.echo(f"{out}: {counted(num_images, 'image')} of {size[0]}x{size[1]} ({shares})")
