"""``agmm compare``."""

from __future__ import annotations

from pathlib import Path

import click

from cli.command import command
from cli.options import json_option
from cli.reporting import echo, echo_json, shown_path, usage_errors
from cli.types import IntRange, PathType


@command(short_help="Compare two runs image by image.")
@click.argument("first", type=PathType())
@click.argument("second", type=PathType())
@click.option("--resamples", type=IntRange(min=1), default=10_000, show_default=True, help="Bootstrap resamples.")
@click.option("--seed", type=IntRange(min=0), default=0, show_default=True, help="Random seed of the resamples.")
@json_option
def compare(first: Path, second: Path, resamples: int, seed: int, as_json: bool) -> None:
    """Compare the mIoU of the runs FIRST and SECOND by a paired bootstrap over images.

    Both need scores by `agmm evaluate --per-image` of the same images. The intervals show how the choice of images
    moves the scores and their difference, not how another seed would.
    """
    from dataclasses import asdict

    from agmm.evaluation.per_image import PER_IMAGE_NAME, compare_per_image
    from agmm.runs.files import WEIGHTS_NAME

    folders = [path.parent if path.name == WEIGHTS_NAME else path for path in (first, second)]
    files = [path / PER_IMAGE_NAME if path.is_dir() else path for path in folders]
    with usage_errors():
        found = compare_per_image(files[0], files[1], num_resamples=resamples, seed=seed)
    if as_json:
        echo_json(asdict(found) | {"difference": found.difference})
        return
    scores = (first, found.first, found.first_interval), (second, found.second, found.second_interval)
    level = f"{100 * found.confidence:.0f} % interval"
    for run, miou, (low, high) in scores:
        echo(f"{shown_path(run)}: mIoU {100 * miou:.2f} %, {level} {100 * low:.2f} to {100 * high:.2f}")
    echo(
        f"difference: {100 * found.difference:+.2f} points, {level} {100 * found.low:+.2f} to {100 * found.high:+.2f} "
        f"over {found.num_images} images; {second} is better in {100 * found.share_better:.1f} % of "
        f"{found.num_resamples:,} resamples"
    )
