"""``sparsekit agreement``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo, echo_json
from cli.types import PathType


@command(short_help="Compare two annotations of the same images.")
@click.argument("first", type=PathType())
@click.argument("second", type=PathType())
@options.split_option
@options.data_root_option
@options.json_option
def agreement(first: Path, second: Path, split: str | None, as_json: bool) -> None:
    """Compare two annotations of the same images, such as those of two people, pixel by pixel.

    FIRST and SECOND are manifest.csv files or the folders that hold them. Of the pixels that both label, the output
    gives the share with the same class, Cohen's kappa, and the agreement of each class: twice its agreeing pixels, over
    its pixels in both (Dice coefficient). `sparsekit merge --vote` combines annotations.
    """
    from sparsekit.audit.agreement import format_agreement, measure_agreement
    from sparsekit.audit.score import annotated_in_all

    ours, theirs = options.read_manifest(first), options.read_manifest(second)
    with progress(len(annotated_in_all([ours, theirs], split))) as advance:
        found = measure_agreement(ours, theirs, split=split, on_image=advance)
    if as_json:
        echo_json(found.to_dict())
    else:
        echo(format_agreement(found))
