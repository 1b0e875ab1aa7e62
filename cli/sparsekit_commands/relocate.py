"""``sparsekit relocate``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from data_manifests.errors import counted


@command(short_help="Tell a manifest where its dataset lies now.")
@click.argument("manifest", type=options.PathType())
@click.option(
    "--data-root", type=options.PathType(), required=True, metavar="DIR", help="Folder of the dataset, where it is now."
)
@options.workers_option
def relocate(manifest: Path, data_root: Path, workers: int) -> None:
    """Write down in MANIFEST that its images and full masks lie below another folder.

    Every file is read first: sizes, and the pixels of masks and annotations, must be those that the manifest was made
    from, or it stays as it is. To use a manifest once without changing it, give --data-root to the command instead.
    """
    from data_manifests import read_manifest
    from data_manifests.manifest.relocate import relocate_manifest

    read = read_manifest(manifest)
    with progress(len(read.rows)) as advance:
        new = relocate_manifest(read, data_root, workers=workers, on_image=advance)
    click.echo(f"{new.path}: {counted(len(new.rows), 'image')} below {data_root}")
