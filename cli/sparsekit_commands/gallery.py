"""``sparsekit gallery``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import warn_of_some
from data_manifests.errors import counted


@command(short_help="Make an HTML page to browse annotations.")
@options.manifests_argument
@options.out_option("The page to write.", "out_path", default=Path("gallery.html"))
@options.split_option
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=50,
    show_default=True,
    help="Only so many images, spread evenly over all; 0 for all.",
)
@click.option(
    "--thumbnail-size",
    type=click.IntRange(16, 16383),  # what WebP can hold
    default=640,
    show_default=True,
    help="Longer side of the images in the page, in pixels.",
)
@options.dot_size_option
@options.overwrite_option
def gallery(
    manifests: tuple[Path, ...],
    out_path: Path,
    split: str | None,
    limit: int,
    thumbnail_size: int,
    dot_size: int | None,
    overwrite: bool,
) -> None:
    """Make one HTML page to look through annotations: layers to switch, filters, statistics.

    The page holds everything it needs and opens from disk. Two MANIFESTs of the same images can be compared with a
    slider. It needs the extra 'figures'.
    """
    from sparsekit.figures.gallery import choose_images, is_gallery_there, write_gallery

    choice = choose_images([options.read_manifest(path) for path in manifests], split=split, limit=limit or None)
    if not overwrite and is_gallery_there(choice, out_path, thumbnail_size=thumbnail_size, dot_size=dot_size):
        click.echo(f"{out_path}")
        click.echo("  was there already, of the same annotations; --overwrite makes it again")
        return
    with progress(len(choice.shown)) as advance:
        summary = write_gallery(choice, out_path, thumbnail_size=thumbnail_size, dot_size=dot_size, on_image=advance)
    warn_of_some(summary.problems)
    click.echo(f"{out_path}")
    shown = f"{summary.num_images} of " if len(choice.shown) < len(choice.available) else ""
    click.echo(f"  {shown}{counted(len(choice.available), 'image')}, {summary.num_bytes / 1e6:.1f} MB")
