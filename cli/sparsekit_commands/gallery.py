"""``sparsekit gallery``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, warn_of_some
from cli.types import IntRange
from data_manifests.errors import counted


@command(short_help="Make an HTML page to browse annotations.")
@options.manifests_argument
@options.out_option("The page to write.", "out_path", default=Path("gallery.html"))
@options.split_option
@click.option(
    "--limit",
    type=IntRange(min=0),
    default=50,
    show_default=True,
    help="Show N images, spread evenly over all; 0 shows all.",
)
@options.thumbnail_size_option
@options.dot_size_option
@options.overwrite_option
@options.json_option
def gallery(
    manifests: tuple[Path, ...],
    out_path: Path,
    split: str | None,
    limit: int,
    thumbnail_size: int,
    dot_size: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make an HTML page to browse annotations, with layers, filters and statistics.

    MANIFESTS are manifest.csv files or the folders that hold them; two of the same images are compared with a slider.
    The page is self-contained and opens from disk. This needs the extra 'figures'.
    """
    from sparsekit.figures.gallery import choose_images, is_gallery_there, write_gallery

    choice = choose_images([options.read_manifest(path) for path in manifests], split=split, limit=limit or None)
    if not overwrite and is_gallery_there(choice, out_path, thumbnail_size=thumbnail_size, dot_size=dot_size):
        if as_json:
            echo_json({"page": str(out_path), "already_there": True})
            return
        echo_summary(out_path)
        echo_summary("  existed already for the same annotations; --overwrite makes it again")
        return
    with progress(len(choice.shown)) as advance:
        summary = write_gallery(choice, out_path, thumbnail_size=thumbnail_size, dot_size=dot_size, on_image=advance)
    warn_of_some(summary.problems)
    if as_json:
        counts = {"num_images": summary.num_images, "num_bytes": summary.num_bytes}
        echo_json({"page": str(out_path), "already_there": False, **counts, "problems": list(summary.problems)})
        return
    echo_summary(out_path)
    shown = f"{summary.num_images} of " if len(choice.shown) < len(choice.available) else ""
    echo_summary(f"  {shown}{counted(len(choice.available), 'image')}, {summary.num_bytes / 1e6:.1f} MB")
