"""``sparsekit subset``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.reporting import echo_summary


@command(short_help="Select images of a manifest.")
@options.manifest_argument
@options.out_option("Folder of the new manifest.", type=options.PathType(), required=True)
@click.option("--ids", "ids_path", type=options.PathType(), help="File with an image id on each line.")
@click.option("--with-class", "classes", multiple=True, help="Only images with a label of this class; may be repeated.")
@click.option("--count", type=click.IntRange(min=1), help="So many images; smaller counts are part of larger ones.")
@click.option("--split", help="Choose among the images of this split and keep all others.")
@options.seed_option
@options.overwrite_option
def subset(
    manifest: Path,
    out_dir: Path,
    ids_path: Path | None,
    classes: tuple[str, ...],
    count: int | None,
    split: str | None,
    seed: int,
    overwrite: bool,
) -> None:
    """Write a manifest with some of the images of another.

    Images and annotations stay where they are. Without a seed of their own, counts nest: the 100 images are among the
    200.
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
                f"{ids_path}: is no text ({error}); expected image ids in UTF-8, one on each line."
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
    echo_summary(f"{derived.manifest.path}: {options.count_splits(derived.manifest.splits)}")
