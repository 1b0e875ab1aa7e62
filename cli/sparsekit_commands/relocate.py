"""``sparsekit relocate``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, shown_path
from cli.types import PathType
from data_manifests.errors import counted


@command(short_help="Record where the dataset of a manifest is now.")
@click.argument("manifest", type=PathType())
@click.option("--data-root", type=PathType(), required=True, metavar="DIR", help="New folder of the dataset.")
@options.threads_option
@options.json_option
def relocate(manifest: Path, data_root: Path, workers: int, as_json: bool) -> None:
    """Record in MANIFEST that its images and full masks are now below another folder.

    The command reads every file first. If a size, mask or annotation differs from the recorded one, it leaves the
    manifest as it is.
    To use a moved dataset without changing the manifest, give --data-root to the other commands.
    """
    from data_manifests import read_manifest
    from data_manifests.manifest.relocate import relocate_manifest

    read = read_manifest(manifest)
    with progress(len(read.rows)) as advance:
        new = relocate_manifest(read, data_root, workers=workers, on_image=advance)
    if as_json:
        echo_json({"manifest": str(new.path), "num_images": len(new.rows), "data_root": str(data_root)})
        return
    echo_summary(f"{shown_path(new.path)}: {counted(len(new.rows), 'image')} below {shown_path(data_root)}")
