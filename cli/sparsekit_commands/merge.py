"""``sparsekit merge``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.reporting import note
from cli.types import PathType


@command(short_help="Merge several manifests into one.")
@options.manifests_argument
@options.out_option("Folder of the new manifest.", type=PathType(), required=True)
@click.option("--prefix", is_flag=True, help="Prefix each image id with <dataset>/, for datasets that share ids.")
@options.overwrite_option
@options.json_option
def merge(manifests: tuple[Path, ...], out_dir: Path, prefix: bool, overwrite: bool, as_json: bool) -> None:
    """Write one manifest with the rows and marks of several.

    MANIFESTS are manifest.csv files or the folders that hold them; their classes must be equal. Identical rows are
    written once. Images and annotations stay where they are. If one manifest has annotations without marks, no marks
    are written.
    """
    from data_manifests.manifest.derive import merge_manifests

    derived = merge_manifests([options.read_manifest(path) for path in manifests], out_dir, prefix=prefix)
    derived.write(overwrite=overwrite)
    options.echo_derived(derived.manifest, as_json)
    if derived.without_marks and any(source.marks_path.is_file() for source, _ in derived.sources):
        note(f"no marks were written, because {derived.without_marks[0].path} has none.")
