"""``sparsekit compare``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo, echo_json, usage_errors
from cli.types import IntRange, LocalPathType
from data_manifests.errors import DataError
from data_manifests.files.paths import absolute


@command(short_help="Compare synthetic annotations with human ones.")
@click.argument("ours", type=LocalPathType())
@click.argument("human", type=LocalPathType())
@click.option(
    "--unlabelled",
    type=IntRange(0, 65535),
    default=255,
    show_default=True,
    help="Value of unlabelled pixels in folders of label maps.",
)
@click.option(
    "--masks",
    "masks_dir",
    type=LocalPathType(),
    help="Folder of full masks for HUMAN if that is a folder of label maps, under the same file names; 255 is void.",
)
@options.common_option
@options.data_root_option
@options.workers_option
@options.json_option
def compare(
    ours: Path, human: Path, unlabelled: int, masks_dir: Path | None, common: bool, workers: int | None, as_json: bool
) -> None:
    """Compare synthetic annotations with human ones: coverage, strokes, errors.

    OURS and HUMAN are each a manifest.csv, a folder that holds one, or a folder of sparse label maps as PNG files. Both
    are measured on their pixels in the same way; a stroke is a connected region of one label. They need not share
    images; the output says how many they share.
    """
    from sparsekit.audit.compare import Comparison, format_comparison, images_in_both, measure_maps, sparse_maps

    with usage_errors():
        ids_ours, maps_ours = sparse_maps(ours, unlabelled, data_root=options.data_root())
        ids_human, maps_human = sparse_maps(human, unlabelled, masks_dir, options.data_root())
    if common:
        both = images_in_both(ids_ours, ids_human)
        if not both[0]:
            raise DataError(f"{ours} and {human}: no image is in both.")
        maps_ours = (of_image for image_id, of_image in zip(ids_ours, maps_ours, strict=True) if image_id in both[0])
        maps_human = (of_image for image_id, of_image in zip(ids_human, maps_human, strict=True) if image_id in both[1])
        ids_ours, ids_human = (
            [image_id for image_id in ids if image_id in kept]
            for ids, kept in zip((ids_ours, ids_human), both, strict=True)
        )
    with progress(len(ids_ours) + len(ids_human)) as advance:
        values_ours = measure_maps(maps_ours, workers=workers, on_image=advance)
        values_human = measure_maps(maps_human, workers=workers, on_image=advance)
    comparison = Comparison((_name(ours), _name(human)), (ids_ours, ids_human), (values_ours, values_human))
    if as_json:
        echo_json(comparison.to_dict())
    else:
        echo(format_comparison(comparison))


def _name(path: Path) -> str:
    """Of a manifest the name of its folder, which says how it was made."""
    return (absolute(path).parent if path.suffix == ".csv" else absolute(path)).name
