"""``sparsekit demo-data``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo_json, echo_next, echo_summary, shown_path, usage_errors
from cli.types import IntRange, LocalPathType, SizeType
from data_manifests.errors import counted


@command("demo-data", short_help="Draw street scenes with full masks to try the tools on.")
@click.argument("out", type=LocalPathType())
@click.option(
    "--images",
    "num_images",
    type=IntRange(min=1),
    default=40,
    show_default=True,
    help="Number of scenes; every fourth is for validation. Smaller sets are the first scenes of larger ones.",
)
@click.option(
    "--size",
    type=SizeType(),
    default="512x256",
    show_default=True,
    help="Size of the images in pixels, at most 4096x4096.",
)
@options.seed_option
@options.workers_option
@options.overwrite_option
@options.json_option
def demo_data(
    out: Path, num_images: int, size: tuple[int, int], seed: int, workers: int | None, overwrite: bool, as_json: bool
) -> None:
    """Draw street scenes with full masks, to try the tools without a dataset.

    OUT becomes a folder in the Cityscapes layout: leftImg8bit/ and gtFine/ with labelIds and instanceIds, for the
    splits train and val. No licence restricts the use of the scenes. They are for demonstration, not a benchmark.
    """
    from sparsekit.demo_data import DemoSettings, write_demo_data

    with usage_errors():
        settings = DemoSettings(num_images, *size, seed)
    with progress(num_images) as advance:
        counts = write_demo_data(out, settings, workers=workers, overwrite=overwrite, on_image=advance)
    if as_json:
        echo_json({"folder": str(out), "images": counts, "width": size[0], "height": size[1], "seed": seed})
        return
    echo_summary(
        f"{shown_path(out)}: {counted(num_images, 'image')} of {size[0]}x{size[1]} ({options.count_splits(counts)})"
    )
    echo_next("sparsekit", "points", out)
