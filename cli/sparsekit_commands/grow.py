"""``sparsekit grow``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import counting
from cli.reporting import echo_json, echo_next, echo_summary, usage_errors

#: The names of ``sparsekit.grow.methods.METHODS``, written here so that --help need not import it.
METHODS = ("superpixels", "geodesic", "random-walker")


@command(short_help="Grow sparse labels over the image.")
@options.manifest_argument
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="superpixels",
    show_default=True,
    help="superpixels, geodesic: along paths of even colour, over superpixels or pixels; random-walker: by random "
    "walks that rarely cross edges.",
)
@click.option(
    "--max-distance",
    type=options.FloatRange(min=0, max=1e6),
    help="How much the colour may change on the way, in units of CIELAB; not for random-walker.  [default: 10 for "
    "superpixels, 40 for geodesic]",
)
@click.option(
    "--confidence",
    type=options.FloatRange(0, 1),
    help="How sure a label must be: 0.5 takes the nearest class, 1 only what no other class reaches; random-walker: "
    "probability of the class.  [default: 0.6; 0.8 for random-walker]",
)
@click.option(
    "--max-size",
    type=click.IntRange(min=1),
    help="Work on images of at most this long a side, in pixels.  [default: 1024; 512 for random-walker]",
)
@options.out_option(
    "Annotation folder to create.  [default: <folder of the manifest>-<method>, beside it]", type=options.PathType()
)
@options.workers_option
@click.option(
    "--shard", type=options.ShardType(), default="1/1",
    help="Do only part i of n, counted from 1; the last part to finish puts the folder in its place.",
)  # fmt: skip
@options.overwrite_option
@options.json_option
def grow(
    manifest: Path,
    method: str,
    max_distance: float | None,
    confidence: float | None,
    max_size: int | None,
    out_dir: Path | None,
    workers: int,
    shard: tuple[int, int],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Grow the labels of a manifest over their images as far as that is safe.

    MANIFEST is a manifest.csv file, or the folder that holds it. The result is an annotation folder to train on. Labels
    that were there stay as they are, and what no label reaches safely stays unlabelled. Full masks are not used. Repeat
    an interrupted command to go on.
    """
    from data_manifests.errors import counted
    from sparsekit.grow.manifest import grow_manifest
    from sparsekit.grow.methods import GrowSettings

    source = options.read_manifest(manifest)
    with usage_errors(), counting() as counter:
        summary = grow_manifest(
            source, GrowSettings(method, max_distance, confidence, max_size), out_dir, workers=workers, shard=shard,
            overwrite=overwrite, on_start=lambda done, total: counter.start(total, done), on_image=counter.advance,
        )  # fmt: skip
    share_before = summary.num_labelled_before / summary.num_pixels
    share = summary.num_labelled / summary.num_pixels
    if as_json:
        echo_json(
            {
                "folder": str(summary.folder), "manifest": str(summary.folder / "manifest.csv"), "method": method,
                "num_images": summary.num_images, "share_labelled_before": share_before, "share_labelled": share,
                "already_there": summary.already_there, "missing_shards": summary.missing_shards,
            }
        )  # fmt: skip
        return
    if summary.missing_shards:
        others = counted(summary.missing_shards, "other has", "others have")
        click.echo(f"{summary.folder}: shard {shard[0]} of {shard[1]} is done, {others} still to finish.")
        return
    click.echo(f"{summary.folder / 'manifest.csv'}")
    there = "was there already: " if summary.already_there else ""
    echo_summary(f"  {there}{counted(summary.num_images, 'image')} grown by {method}")
    echo_summary(f"  {share:.1%} of their pixels labelled ({share_before:.3%} before)")
    echo_next("sparsekit", "stats", summary.folder / "manifest.csv")
