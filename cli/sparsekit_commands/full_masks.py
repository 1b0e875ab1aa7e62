"""``sparsekit full-masks``, and what makes a dataset of drawn shapes for the commands that annotate one."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from cli import options
from cli.annotation_options import ANNOTATION_OPTIONS, read_maps
from cli.command import command, option_group
from cli.progress import counting
from cli.reporting import echo_json, echo_next, echo_summary, warn
from cli.types import Choice, LocalPathType, PathType
from data_manifests.errors import counted
from sparsekit.formats import DRAWN_FORMATS, Overlaps

NO_BACKGROUND = "none"


@command("full-masks", short_help="Fill polygons drawn with another tool.")
@click.argument("source", type=LocalPathType())
@option_group(
    "Annotations",
    click.option("--from", "format_", type=Choice(DRAWN_FORMATS), help="Format to read.  [default: detected]"),
    click.option("--images", "images_dir", type=LocalPathType(), help="Folder of the images.  [default: SOURCE]"),
    *ANNOTATION_OPTIONS,
)
@option_group(
    "Masks",
    click.option(
        "--background", metavar="NAME|none", default="background", show_default=True,
        help="Class of pixels that no shape covers; none makes them void.",
    ),
    click.option(
        "--overlaps", type=Choice(get_args(Overlaps)), default="order", show_default=True,
        help="Shape on top where shapes overlap: the one that the tool draws last, or the smaller one.",
    ),
    click.option(
        "--classes", "classes_path", type=PathType(), help="Class table, as for `points`.  [default: classes as drawn]"
    ),
)  # fmt: skip
@option_group(
    "Output", options.out_option("Dataset to create.", required=True), options.overwrite_option, options.json_option
)
def full_masks(
    source: Path,
    format_: str | None,
    images_dir: Path | None,
    out_dir: Path,
    background: str,
    overlaps: Overlaps,
    classes_path: Path | None,
    maps: tuple[str, ...],
    ignored: tuple[str, ...],
    skip_unsupported: bool,
    image_key: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make a dataset of images and full masks from polygons, boxes and masks of labelme, CVAT, Label Studio or COCO.

    SOURCE is the folder of the annotations. A pixel belongs to a shape if its centre lies inside.
    `sparsekit points`, `scribbles` and `marks` do this themselves for such a folder, with the default settings.
    """
    from data_manifests import read_label_space
    from sparsekit.errors import AnnotationError
    from sparsekit.formats.detect import find_drawn_format
    from sparsekit.formats.full_masks import write_full_masks
    from sparsekit.formats.shared.source import ImportOptions

    map_path, class_names = read_maps(maps, ignored)
    if map_path:
        raise click.UsageError("--map takes NAME=CLASS here; merge classes when you annotate the dataset.")
    format_ = format_ or find_drawn_format(source)
    if format_ is None:
        raise AnnotationError(
            f"{source}: holds no annotations of {', '.join(DRAWN_FORMATS)}. Name their format with --from."
        )
    with counting() as counter:
        made = write_full_masks(
            source,
            format_,
            out_dir,
            images_dir=images_dir,
            label_space=read_label_space(classes_path) if classes_path else None,
            background=None if background == NO_BACKGROUND else background,
            overlaps=overlaps,
            options=ImportOptions(class_names=class_names, skip_unsupported=skip_unsupported, image_key=image_key),
            overwrite=overwrite,
            on_start=counter.start,
            on_image=counter.advance,
        )
    for text in made.notes:
        warn(text)
    if as_json:
        classes = list(made.class_names)
        echo_json({"folder": str(made.folder), "format": format_, "num_images": made.num_images, "classes": classes})
        return
    echo_summary(made.folder)
    echo_summary(f"  {format_}: {counted(made.num_images, 'image')}")
    echo_summary(f"  classes: {', '.join(made.class_names)}")
    echo_next("sparsekit", "points", made.folder)
