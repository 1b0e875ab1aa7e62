"""``sparsekit import``."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import click

from cli import options
from cli.annotation_options import ANNOTATION_OPTIONS, read_maps
from cli.command import command, option_group
from cli.dataset_options import DatasetOptions, dataset_options
from cli.progress import progress
from cli.reporting import echo_json, echo_next, echo_summary, note, warn
from cli.types import Choice, IntRange, LocalPathType
from sparsekit.formats import IMPORTED


@command("import", short_help="Read annotations from another tool.")
@click.argument("source", type=LocalPathType())
@option_group(
    "Annotations",
    click.option("--from", "format_", type=Choice(IMPORTED), required=True, help="Format to read."),
    *ANNOTATION_OPTIONS,
    click.option(
        "--stroke-width", type=IntRange(1, options.WIDEST_MARK), default=3, show_default=True,
        help="Width in pixels of strokes without a width of their own.",
    ),
    click.option(
        "--unlabelled", type=IntRange(0, 65535), help="Label maps: value of unlabelled pixels.  [default: the format's]"
    ),
)  # fmt: skip
@option_group("Dataset", click.option("--dataset", "dataset_dir", type=LocalPathType(), help="Folder of the dataset."))
@partial(dataset_options, with_map=False)
@option_group(
    "Output",
    options.out_option("Annotation folder to create.", required=True),
    options.overwrite_option,
    options.json_option,
)
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
    as_json: bool,
) -> None:
    """Read annotations from another tool into an annotation folder.

    SOURCE is the folder of the annotations; --dataset names the images and full masks, or --images and --masks do. For
    images without full masks, --images alone suffices; a classes.csv or --classes names the classes. Clicks stay
    clicks and polylines become strokes. Label maps whose regions are single pixels become clicks; other label maps
    stay as they are, without marks.
    """
    from data_manifests.errors import counted, list_some
    from data_manifests.layouts.image_notes import image_notes
    from sparsekit.formats.import_ import ImportOptions, import_annotations

    map_path, class_names = read_maps(maps, ignored)
    dataset = replace(dataset_options, map_path=map_path).open(dataset_dir, named="--dataset DIR", images_alone=True)
    for text in image_notes(dataset.items):
        note(text)
    how = ImportOptions(stroke_width, class_names, skip_unsupported, image_key, unlabelled)
    with progress(len(dataset.items)) as advance:
        summary = import_annotations(
            source, format_, dataset, out_dir, options=how, overwrite=overwrite, on_image=advance
        )
    if summary.unmatched:
        names, annotations = list_some(list(summary.unmatched)), counted(len(summary.unmatched), "annotation")
        warn(f"{annotations} without an image in the dataset: {names}")
    for sentence in summary.notes:
        warn(sentence)
    if as_json:
        echo_json(asdict(summary) | {"folder": str(summary.folder), "manifest": str(summary.folder / "manifest.csv")})
        return
    echo_summary(summary.folder / "manifest.csv")
    listed = f", {summary.num_evaluated} listed for evaluation" if summary.num_evaluated else ""
    echo_summary(f"  {counted(summary.num_images, 'image')} annotated{listed}")
    marks = "label maps without marks" if summary.num_marks is None else counted(summary.num_marks, "mark")
    echo_summary(f"  {marks}, {counted(summary.num_labelled, 'labelled pixel')}")
    following = "render" if all(item.image_path for item in dataset.items) else "stats"
    echo_next("sparsekit", following, summary.folder / "manifest.csv")
