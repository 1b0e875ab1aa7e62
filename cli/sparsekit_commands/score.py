"""``sparsekit score``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo, echo_json, warn
from cli.types import Choice, IntRange, list_option
from data_manifests.errors import DataError, counted
from sparsekit.audit.settings import DEFAULT_MAX_SIZE, METHOD_NAMES


@command(short_help="Rate annotations without training.")
@options.manifests_argument
@list_option(
    "--method",
    "methods",
    type=Choice(METHOD_NAMES),
    metavar=f"[{'|'.join(METHOD_NAMES)}]",
    default=METHOD_NAMES[:1],
    help="How labels spread over the image: to the nearest pixels, along paths that avoid image edges, or over "
    "superpixels of similar colour.",
)
@options.split_option
@options.common_option
@click.option(
    "--max-size",
    type=IntRange(min=1),
    default=DEFAULT_MAX_SIZE,
    show_default=True,
    help="Spread labels on images with longer sides of at most N pixels; scores are computed at full size.",
)
@options.workers_option
@options.json_option
def score(
    manifests: tuple[Path, ...],
    methods: tuple[str, ...],
    split: str | None,
    common: bool,
    max_size: int,
    workers: int | None,
    as_json: bool,
) -> None:
    """Rate annotations without training: spread their labels over the image and compare with the full masks.

    MANIFESTS are manifest.csv files or the folders that hold them. The mean IoU is computed over all pixels of the
    split, not averaged over images.
    """
    from sparsekit.annotated_images import count_annotated
    from sparsekit.audit.score import annotated_in_all, annotation_score, format_scores

    read = [options.read_manifest(path) for path in manifests]
    counts = [count_annotated(manifest, split) for manifest in read]
    in_all = annotated_in_all(read, split)
    if common:
        if not in_all:
            raise DataError(f"{', '.join(map(str, manifests))}: no image is annotated in all.")
        read = [replace(m, rows=tuple(row for row in m.rows if row.image_id in in_all)) for m in read]
        counts = [len(in_all)] * len(read)
    elif max(counts) > len(in_all):
        warn(
            f"the manifests annotate different images ({counted(len(in_all), 'image is', 'images are')} in all), so "
            "their scores cannot be compared. --common scores those in all alone."
        )
    with progress(len(methods) * sum(counts)) as advance:
        scores = [
            annotation_score(manifest, method, split=split, max_size=max_size, workers=workers, on_image=advance)
            for manifest in read
            for method in methods
        ]
    if as_json:
        echo_json([one.to_dict() for one in scores])
    else:
        echo(format_scores(scores))
