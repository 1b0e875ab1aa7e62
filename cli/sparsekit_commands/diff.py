"""``sparsekit diff``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.reporting import echo, echo_json
from cli.types import FloatRange, PathType

#: Numbers whose names are more than their keys with spaces.
_WORDS = {"mean_move_px": "mean move, px", "pixel_iou": "IoU of labelled pixels"}


@command(short_help="List the differences between two annotations.")
@click.argument("first", type=PathType())
@click.argument("second", type=PathType())
@click.option(
    "--max-move",
    type=FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="A removed and an added mark of the same class at most X pixels apart count as one that moved.",
)
@options.data_root_option
@options.json_option
def diff(first: Path, second: Path, max_move: float, as_json: bool) -> None:
    """List the differences between two annotations of the same images.

    Counts marks that were added, removed, moved and relabelled, and the IoU of the labels. FIRST and SECOND are
    manifest.csv files or the folders that hold them. --json lists every image.
    """
    from data_manifests.manifest.diff import diff_manifests

    compared = diff_manifests(options.read_manifest(first), options.read_manifest(second), max_move=max_move)
    if as_json:
        echo_json(
            {
                "summary": compared.summary(),
                "images": [asdict(image) for image in compared.images],
                "only_in_first": list(compared.only_first),
                "only_in_second": list(compared.only_second),
            }
        )
        return
    for name, value in compared.summary().items():
        words = _WORDS.get(name, name.replace("_", " "))
        echo(f"{words:22}  {f'{value:.4f}' if isinstance(value, float) else f'{value:,}'}")
    echo("The annotations differ." if compared.differs else "The annotations are the same.")
