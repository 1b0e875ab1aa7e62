"""``sparsekit grow``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import counting
from cli.reporting import echo_json, echo_summary, shown_path, usage_errors
from cli.types import Choice, FloatRange, IntRange, PathType
from sparsekit.grow.settings import METHODS, GrowSettings


def _defaults(setting: str) -> str:
    """The defaults of a setting by method, for the help; methods without the setting are omitted."""
    values = {name: getattr(method, setting) for name, method in METHODS.items()}
    return "; ".join(f"{value:g} for {name}" for name, value in values.items() if value is not None)


@command(short_help="Grow sparse labels over the image.")
@options.manifest_argument
@click.option(
    "--method",
    type=Choice(list(METHODS)),
    default=GrowSettings.method,
    show_default=True,
    help="superpixels, geodesic: along paths of even colour, over superpixels or pixels. random-walker: by random "
    "walks that rarely cross edges.",
)
@click.option(
    "--max-distance",
    type=FloatRange(min=0, max=1e6),
    help="Largest colour change along a path, in CIELAB units; not for random-walker.  "
    f"[default: {_defaults('max_distance')}]",
)
@click.option(
    "--confidence",
    type=FloatRange(0, 1),
    help="Certainty that a label needs: 0.5 takes the nearest class, 1 only pixels that no other class reaches; for "
    f"random-walker the probability of the class.  [default: {_defaults('confidence')}]",
)
@click.option(
    "--max-size",
    type=IntRange(min=1),
    help=f"Work on images with longer sides of at most N pixels.  [default: {_defaults('max_size')}]",
)
@options.out_option(
    "Annotation folder to create.  [default: <folder of the manifest>-<method>, next to it]", type=PathType()
)
@options.workers_option
@options.shard_option
@options.overwrite_option
@options.json_option
def grow(
    manifest: Path,
    method: str,
    max_distance: float | None,
    confidence: float | None,
    max_size: int | None,
    out_dir: Path | None,
    workers: int | None,
    shard: tuple[int, int],
    overwrite: bool,
    as_json: bool,
) -> None:
    """Grow the labels of a manifest over the images, as far as that is safe.

    MANIFEST is a manifest.csv or the folder that holds it. The result is an annotation folder to train on. Existing
    labels stay as they are, and pixels that no label reaches safely stay unlabelled. Full masks are not used. Repeat an
    interrupted command to resume.
    """
    from data_manifests.errors import counted
    from sparsekit.grow.manifest import grow_manifest

    source = options.read_manifest_to_grow(manifest)
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
        echo_summary(f"{shown_path(summary.folder)}: shard {shard[0]} of {shard[1]} is done, {others} yet to finish.")
        return
    echo_summary(summary.folder / "manifest.csv")
    there = "existed already: " if summary.already_there else ""
    echo_summary(f"  {there}labels of {counted(summary.num_images, 'image')} grown by {method}")
    echo_summary(f"  {share:.1%} of the pixels labelled ({share_before:.3%} before)")
    options.echo_next_of_grown(source, summary.folder / "manifest.csv")
