"""``sparsekit subset``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.types import IntRange, PathType


@command(short_help="Select images of a manifest.")
@options.manifest_argument
@options.out_option("Folder of the new manifest.", type=PathType(), required=True)
@click.option("--ids", "ids_path", type=PathType(), help="Text file with one image id per line.")
@click.option(
    "--with-class",
    "classes",
    multiple=True,
    metavar="NAME",
    help="Keep images that label this class; repeat for several.",
)
@click.option("--count", type=IntRange(min=1), help="Keep N random images; smaller counts are subsets of larger ones.")
@click.option("--split", metavar="NAME", help="Select from this split only and keep all others.")
@options.seed_option
@options.overwrite_option
@options.json_option
def subset(
    manifest: Path,
    out_dir: Path,
    ids_path: Path | None,
    classes: tuple[str, ...],
    count: int | None,
    split: str | None,
    seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write a manifest of some of the images of another.

    MANIFEST is a manifest.csv or the folder that holds it. Images and annotations stay where they are. With equal
    seeds counts nest: the 100 images are among the 200.
    """
    from data_manifests import DataError
    from data_manifests.files.text import read_text
    from data_manifests.manifest.derive import subset_manifest

    image_ids = None
    if ids_path:
        try:
            lines = read_text(ids_path).splitlines()
        except ValueError as error:
            raise DataError(
                f"{ids_path}: not a text file ({error}); expected image ids in UTF-8, one per line."
            ) from error
        image_ids = [line.strip() for line in lines if line.strip()]
    derived = subset_manifest(
        options.read_manifest(manifest),
        out_dir,
        image_ids=image_ids,
        classes=classes,
        split=split,
        count=count,
        seed=seed,
    )
    derived.write(overwrite=overwrite)
    options.echo_derived(derived.manifest, as_json)
