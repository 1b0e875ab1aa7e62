"""``sparsekit import``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import warn
from sparsekit.formats import IMPORTED


@command("import", short_help="Read annotations from another tool.")
@click.argument("source", type=options.LocalPathType())
@click.option("--from", "format_", type=click.Choice(IMPORTED), required=True, help="The format.")
@click.option("--dataset", "dataset_dir", type=options.LocalPathType(), required=True, help="Images and full masks.")
@options.out_option("Annotation folder to create.", required=True)
@click.option(
    "--stroke-width",
    type=click.IntRange(1, options.WIDEST_MARK),
    default=3,
    show_default=True,
    help="Width of strokes whose file says none, in pixels.",
)
@options.layout_option
@options.classes_option
@options.map_option
@options.overwrite_option
def import_(
    source: Path,
    format_: str,
    dataset_dir: Path,
    out_dir: Path,
    stroke_width: int,
    layout: str | None,
    classes_path: Path | None,
    map_path: Path | None,
    overwrite: bool,
) -> None:
    """Make an annotation folder of another tool's annotations.

    SOURCE is their folder. Clicks stay clicks and polylines strokes; label maps whose parts are single pixels become
    clicks, others stay label maps without marks.
    """
    from data_manifests.errors import counted, list_some
    from sparsekit.formats.import_ import import_annotations

    dataset = options.open_dataset(dataset_dir, layout, classes_path, map_path)
    with progress(len(dataset.items)) as advance:
        summary = import_annotations(
            source, format_, dataset, out_dir, stroke_width=stroke_width, overwrite=overwrite, on_image=advance
        )
    if summary.unmatched:
        names, annotations = list_some(list(summary.unmatched)), counted(len(summary.unmatched), "annotation")
        warn(f"{annotations} of no image of the dataset: {names}")
    click.echo(f"{summary.folder / 'manifest.csv'}")
    listed = f", {summary.num_evaluated} listed for evaluation" if summary.num_evaluated else ""
    click.echo(f"  {counted(summary.num_images, 'image')} annotated{listed}")
    marks = "label maps without marks" if summary.num_marks is None else counted(summary.num_marks, "mark")
    click.echo(f"  {marks}, {counted(summary.num_labelled, 'labelled pixel')}")
