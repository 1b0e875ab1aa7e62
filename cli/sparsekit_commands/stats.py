"""``sparsekit stats``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo, echo_json, usage_errors
from cli.types import IntRange, LocalPathType


@command(short_help="Measure coverage, strokes and errors of annotations.")
@options.manifests_argument
@options.split_option
@click.option(
    "--min-area",
    type=IntRange(min=1),
    default=1,
    show_default=True,
    help="Ignore regions of fewer pixels.",
)
@options.workers_option
@options.json_option
@click.option("--csv", "csv_path", type=LocalPathType(), help="Write one row per class to this file.")
@click.option("--figure", "figure_path", type=LocalPathType(), help="Draw all annotations in one figure, .png or .pdf.")
def stats(
    manifests: tuple[Path, ...],
    split: str | None,
    min_area: int,
    workers: int | None,
    as_json: bool,
    csv_path: Path | None,
    figure_path: Path | None,
) -> None:
    """Measure annotations: covered pixels, classes and regions, strokes, distances to borders, wrong labels.

    MANIFESTS are manifest.csv files or the folders that hold them. Regions are 8-connected.
    """
    from sparsekit.annotated_images import count_annotated
    from sparsekit.audit.stats import annotation_stats
    from sparsekit.audit.stats_report import check_csv_path, check_figure_path, draw_stats, format_stats
    from sparsekit.audit.tables import write_csv

    if csv_path:
        check_csv_path(csv_path)
    if figure_path:
        with usage_errors():
            check_figure_path(figure_path)
    read = [options.read_manifest(path) for path in manifests]
    with progress(sum(count_annotated(manifest, split) for manifest in read)) as advance:
        measured = [
            annotation_stats(manifest, split=split, min_area=min_area, workers=workers, on_image=advance)
            for manifest in read
        ]
    rows = [row for one in measured for row in one.rows()]
    if csv_path:
        write_csv(csv_path, rows)
    if figure_path:
        draw_stats(measured, figure_path)
    if as_json:
        echo_json([{"annotation": s.name, "num_images": s.num_images, "classes": s.rows()} for s in measured])
    else:
        echo("\n\n".join(format_stats(one) for one in measured))
