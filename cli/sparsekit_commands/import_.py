"""``sparsekit import``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from cli import options
from cli.annotation_options import annotation_options, read_maps
from cli.command import command
from cli.dataset_options import DatasetOptions, dataset_options
from cli.progress import progress
from cli.reporting import warn
from sparsekit.formats import IMPORTED


@command("import", short_help="Read annotations from another tool.")
@click.argument("source", type=options.LocalPathType())
@click.option("--from", "format_", type=click.Choice(IMPORTED), required=True, help="The format.")
@click.option("--dataset", "dataset_dir", type=options.LocalPathType(), help="Folder of images and full masks.")
@options.out_option("Annotation folder to create.", required=True)
@click.option(
    "--stroke-width",
    type=click.IntRange(1, options.WIDEST_MARK),
    default=3,
    show_default=True,
    help="Width of strokes whose file says none, in pixels.",
)
@partial(dataset_options, with_map=False)
@annotation_options
@click.option(
    "--unlabelled", type=click.IntRange(0, 65535), help="Label maps: value of no label.  [default: the format's]"
)
@options.overwrite_option
def import_(
    source: Path,
    format_: str,
    dataset_dir: Path | None,
    out_dir: Path,
    stroke_width: int,
    dataset_options: DatasetOptions,
    maps: tuple[str, ...],
    ignored: tuple[str, ...],
    skip_unsupported: bool,
    image_key: str | None,
    unlabelled: int | None,
    overwrite: bool,
) -> None:
    """Make an annotation folder of another tool's annotations.

    SOURCE is their folder. Clicks stay clicks and polylines strokes; label maps whose parts are single pixels become
    clicks, others stay label maps without marks.
    """
    from data_manifests.errors import counted, list_some
    from data_manifests.layouts.mask_values import orientation_notes
    from sparsekit.formats.import_ import ImportOptions, import_annotations

    map_path, class_names = read_maps(maps, ignored)
    dataset = replace(dataset_options, map_path=map_path).open(dataset_dir)
    for note in orientation_notes(dataset.items):
        click.echo(f"Note: {note}", err=True)
    how = ImportOptions(stroke_width, class_names, skip_unsupported, image_key, unlabelled)
    with progress(len(dataset.items)) as advance:
        summary = import_annotations(
            source, format_, dataset, out_dir, options=how, overwrite=overwrite, on_image=advance
        )
    if summary.unmatched:
        names, annotations = list_some(list(summary.unmatched)), counted(len(summary.unmatched), "annotation")
        warn(f"{annotations} of no image of the dataset: {names}")
    for sentence in summary.notes:
        warn(sentence)
    click.echo(f"{summary.folder / 'manifest.csv'}")
    listed = f", {summary.num_evaluated} listed for evaluation" if summary.num_evaluated else ""
    click.echo(f"  {counted(summary.num_images, 'image')} annotated{listed}")
    marks = "label maps without marks" if summary.num_marks is None else counted(summary.num_marks, "mark")
    click.echo(f"  {marks}, {counted(summary.num_labelled, 'labelled pixel')}")
