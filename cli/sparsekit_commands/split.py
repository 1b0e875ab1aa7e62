"""``sparsekit split``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from cli import options
from cli.command import command
from cli.reporting import note, usage_errors
from cli.types import Choice, FloatRange, PathType
from data_manifests.manifest.split_settings import DEFAULT_GROUP, By


@command(short_help="Split a manifest into train, val and test.")
@options.manifest_argument
@options.out_option("Folder of the new manifest.", type=PathType(), required=True)
@click.option("--val", type=FloatRange(0, 1), default=0.2, show_default=True, help="Share of the images for val.")
@click.option("--test", type=FloatRange(0, 1), default=0.0, show_default=True, help="Share of the images for test.")
@click.option(
    "--by",
    type=Choice(get_args(By)),
    default="image",
    show_default=True,
    help="Unit to distribute: single images, whole groups (cities, sequences), or images so that classes are even.",
)
@click.option(
    "--group-pattern",
    default=DEFAULT_GROUP,
    show_default=True,
    metavar="REGEX",
    help="For --by group: regular expression whose match at the start of an image id is its group.",
)
@click.option("--split", metavar="NAME", help="Distribute the images of this split only; the others keep theirs.")
@options.seed_option
@options.threads_option
@options.overwrite_option
@options.json_option
def split(
    manifest: Path,
    out_dir: Path,
    val: float,
    test: float,
    by: str,
    group_pattern: str,
    split: str | None,
    seed: int,
    workers: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a manifest with new splits train, val and test.

    MANIFEST is a manifest.csv or the folder that holds it. Images and annotations stay where they are. Equal seeds give
    equal splits on every machine. Images without an annotation, such as those listed for evaluation, are distributed as
    well; --split leaves them where they are.
    """
    from data_manifests.errors import counted
    from data_manifests.manifest.split import split_manifest

    shares = {name: share for name, share in {"val": val, "test": test}.items() if share > 0}
    with usage_errors():
        derived = split_manifest(
            options.read_manifest(manifest), out_dir, shares,
            by=by, group_pattern=group_pattern, split=split, seed=seed, workers=workers,  # type: ignore[arg-type]
        )  # fmt: skip
    derived.write(overwrite=overwrite)
    if bare := sum(row.split == "train" and not row.annotation for row in derived.manifest.rows):
        note(
            f"{counted(bare, 'image')} of train without an annotation, usable with --supervision full only. --split "
            "distributes the images of one split, such as the annotated one."
        )
    options.echo_derived(derived.manifest, as_json)
