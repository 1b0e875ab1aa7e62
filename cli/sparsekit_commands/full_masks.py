"""``sparsekit full-masks``, and what makes a dataset of drawn shapes for the commands that annotate one."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.annotation_options import annotation_options, read_maps
from cli.command import command
from cli.progress import counting
from cli.reporting import echo_next, warn
from data_manifests.errors import counted

#: The names of ``sparsekit.formats.full_masks.DRAWN_FORMATS``, whose import takes long.
FORMATS = ("labelme", "cvat", "label-studio", "coco")
NO_BACKGROUND = "none"


@command("full-masks", short_help="Fill polygons drawn with another tool.")
@click.argument("source", type=options.LocalPathType())
@click.option("--from", "format_", type=click.Choice(FORMATS), help="The format.  [default: found by looking]")
@options.out_option("Dataset to create.", required=True)
@click.option(
    "--background",
    default="background",
    show_default=True,
    metavar="NAME|none",
    help="Class of pixels that no shape covers; none makes them void.",
)
@click.option(
    "--overlaps",
    type=click.Choice(("order", "area")),
    default="order",
    show_default=True,
    help="Which shape lies on top: the one that the tool draws last, or the smaller one.",
)
@click.option(
    "--classes", "classes_path", type=options.PathType(), help="Classes, as in `points`.  [default: as drawn]"
)
@annotation_options
@options.overwrite_option
def full_masks(
    source: Path,
    format_: str | None,
    out_dir: Path,
    background: str,
    overlaps: str,
    classes_path: Path | None,
    maps: tuple[str, ...],
    ignored: tuple[str, ...],
    skip_unsupported: bool,
    image_key: str | None,
    overwrite: bool,
) -> None:
    """Make a dataset of images and full masks from polygons, boxes and masks of labelme, CVAT, Label Studio or COCO.

    SOURCE is their folder, with the images in it. A pixel belongs to a shape if its center lies inside. `sparsekit
    points`, `scribbles` and `marks` do this themselves for a folder of annotations, with the settings above.
    """
    from data_manifests import read_label_space
    from sparsekit.errors import AnnotationError
    from sparsekit.formats.full_masks import find_drawn_format, write_full_masks
    from sparsekit.formats.shared.source import ImportOptions

    map_path, class_names = read_maps(maps, ignored)
    if map_path:
        raise click.UsageError("--map takes NAME=CLASS here; put classes together when you annotate the dataset.")
    format_ = format_ or find_drawn_format(source)
    if format_ is None:
        raise AnnotationError(f"{source}: no annotations of {', '.join(FORMATS)} in it. Say which with --from.")
    with counting() as counter:
        made = write_full_masks(
            source,
            format_,
            out_dir,
            label_space=read_label_space(classes_path) if classes_path else None,
            background=None if background == NO_BACKGROUND else background,
            overlaps="area" if overlaps == "area" else "order",
            options=ImportOptions(class_names=class_names, skip_unsupported=skip_unsupported, image_key=image_key),
            overwrite=overwrite,
            on_start=counter.start,
            on_image=counter.advance,
        )
    for note in made.notes:
        warn(note)
    click.echo(f"{made.folder}")
    click.echo(f"  {format_}: {counted(made.num_images, 'image')}")
    click.echo(f"  classes: {', '.join(made.class_names)}")
    echo_next("sparsekit", "points", made.folder)
