"""``sparsekit merge``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import options
from cli.command import command
from cli.reporting import note, usage_errors
from cli.types import PathType
from data_manifests.errors import counted

if TYPE_CHECKING:
    from sparsekit.synthesis.combine import Way


@command(short_help="Merge several manifests into one.")
@options.manifests_argument
@options.out_option("Folder of the new manifest.", type=PathType(), required=True)
@click.option("--prefix", is_flag=True, help="Prefix each image id with <dataset>/, for datasets that share ids.")
@click.option("--union", is_flag=True, help="Same images, several annotators: keep every label, the earlier first.")
@click.option("--vote", is_flag=True, help="Same images, several annotators: keep the majority of each pixel.")
@options.overwrite_option
@options.json_option
def merge(
    manifests: tuple[Path, ...], out_dir: Path, prefix: bool, union: bool, vote: bool, overwrite: bool, as_json: bool
) -> None:
    """Write one manifest with the rows and marks of several.

    MANIFESTS are manifest.csv files or the folders that hold them; their classes must be equal. Identical rows are
    written once. Images and annotations stay where they are. If one manifest has annotations without marks, no marks
    are written.

    --union and --vote write new annotations of images that several people annotated; all manifests must hold the same
    images. --union keeps every label, and that of the earlier manifest where they disagree. --vote gives each pixel
    the class that most of its labels have, and leaves ties unlabelled. The column disagreeing_pixels counts the pixels
    on which the manifests disagree.
    """
    if union and vote:
        raise click.UsageError("Give one of --union and --vote.")
    if union or vote:
        _combine(manifests, out_dir, prefix, "union" if union else "vote", overwrite, as_json)
        return
    from data_manifests.manifest.derive import merge_manifests

    derived = merge_manifests([options.read_manifest(path) for path in manifests], out_dir, prefix=prefix)
    derived.write(overwrite=overwrite)
    options.echo_derived(derived.manifest, as_json)
    if derived.without_marks and any(source.marks_path.is_file() for source, _ in derived.sources):
        note(f"no marks were written, because {derived.without_marks[0].path} has none.")


def _combine(
    manifests: tuple[Path, ...], out_dir: Path, prefix: bool, way: Way, overwrite: bool, as_json: bool
) -> None:
    from data_manifests import read_manifest
    from sparsekit.synthesis.combine import DISAGREEMENT, combine_manifests

    with usage_errors():
        if prefix:
            raise click.UsageError(f"--prefix is for other images, --{way} for the same.")
        sources = [options.read_manifest(path) for path in manifests]
        combine_manifests(sources, out_dir, way, overwrite=overwrite)
    combined = read_manifest(out_dir)
    options.echo_derived(combined, as_json)
    counts = [int(dict(row.extra)[DISAGREEMENT]) for row in combined.rows if row.annotation]
    if way == "union" and (bare := [source for source in sources if not source.marks_path.is_file()]):
        note(f"no marks were written, because {bare[0].path} has none.")
    note(f"annotators disagree on {counted(sum(counts), 'pixel')} of {counted(sum(map(bool, counts)), 'image')}.")
