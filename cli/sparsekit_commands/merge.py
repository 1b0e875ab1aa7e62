"""``sparsekit merge``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command


@command(short_help="Merge several manifests into one.")
@options.manifests_argument
@options.out_option("Folder of the new manifest.", type=options.PathType(), required=True)
@click.option("--prefix", is_flag=True, help="Put <dataset>/ before each image id, where datasets share ids.")
@options.overwrite_option
def merge(manifests: tuple[Path, ...], out_dir: Path, prefix: bool, overwrite: bool) -> None:
    """Write one manifest with the rows and marks of several.

    Their classes must be equal. Rows that are the same in several manifests are taken once. Images and annotations
    stay where they are. Where one of them has annotations without marks, none are written.
    """
    from data_manifests.manifest.derive import merge_manifests

    derived = merge_manifests([options.read_manifest(path) for path in manifests], out_dir, prefix=prefix)
    derived.write(overwrite=overwrite)
    click.echo(f"{derived.manifest.path}: {options.count_splits(derived.manifest.splits)}")
    if derived.without_marks and any(source.marks_path.is_file() for source, _ in derived.sources):
        click.echo(f"No marks were written: {derived.without_marks[0].path} has none, and some would pass for all.")
