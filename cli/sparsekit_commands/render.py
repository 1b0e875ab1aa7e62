"""``sparsekit render``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.progress import progress
from data_manifests.errors import counted


def _rows_and_columns(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    match = re.fullmatch(r"([1-9]\d?|100)[xX]([1-9]\d?|100)", value)
    if match is None:
        raise click.BadParameter(f"expected rows and columns such as 4x3, each at most 100, got '{value}'.")
    return int(match[1]), int(match[2])


@command(short_help="Draw annotations over their images.")
@options.manifests_argument
@options.out_option("Folder for the figures.", type=options.PathType(), default=Path("figures"))
@options.dot_size_option
@click.option("--full-mask", is_flag=True, help="Put the full mask beside the annotations.")
@click.option(
    "--mask-opacity",
    type=options.FloatRange(min=0, max=1, min_open=True),
    default=1.0,
    show_default=True,
    help="Opacity of the full mask over the image; 1 shows the mask alone.",
)
@click.option(
    "--sheet",
    metavar="ROWSxCOLS",
    callback=_rows_and_columns,
    help="Contact sheets of so many rows and columns, such as 4x3; 100 of each at most.",
)
@click.option("--names", is_flag=True, help="Write the image ids below the images.")
@click.option(
    "--caption",
    "captions",
    multiple=True,
    help="Words above the images of a manifest, once for each.  [default: its budget, if there are several]",
)
@click.option(
    "--max-width",
    type=click.IntRange(8, 65535),
    default=2048,
    show_default=True,
    help="Widest figure in pixels; wider ones are made smaller after drawing.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["png", "pdf"]),
    default="png",
    show_default=True,
    help="PDF keeps words as vectors; it needs the extra 'figures'.",
)
@options.split_option
@click.option("--image", "image_ids", multiple=True, metavar="ID", help="Only this image; may be given several times.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images.")
@options.overwrite_option
@options.json_option
def render(
    manifests: tuple[Path, ...],
    out_dir: Path,
    split: str | None,
    image_ids: tuple[str, ...],
    limit: int | None,
    overwrite: bool,
    as_json: bool,
    captions: tuple[str, ...],
    **look: object,
) -> None:
    """Draw annotations over their images: clicks as dots in the class colour, scribbles as they are, with a legend.

    Several MANIFESTs of the same images, such as several budgets, are drawn side by side. Each image becomes a figure
    OUT/<image id>.png; --sheet puts several on one. Images without an annotation are drawn only if --split or --image
    asks for them.
    """
    from cli.reporting import echo_json, usage_errors
    from sparsekit.figures.write import FigureSettings, draw_figures, plan_figures

    with usage_errors():
        settings = FigureSettings(captions=captions, **look)  # type: ignore[arg-type]
        plan = plan_figures(
            [options.read_manifest(path) for path in manifests], out_dir, settings,
            split=split, image_ids=image_ids, limit=limit, overwrite=overwrite,
        )  # fmt: skip
    with progress(len(plan.figures)) as advance:
        draw_figures(plan, advance)
    written = [str(figure.path) for figure in plan.figures]
    if as_json:
        echo_json({"written": written, "skipped": [str(path) for path in plan.skipped]})
        return
    if plan.skipped:
        were = counted(len(plan.skipped), "figure was", "figures were")
        click.echo(f"{were} there already; --overwrite draws again.", err=True)
    for path in written[:10]:
        click.echo(path)
    if len(written) > 10:
        click.echo(f"and {counted(len(written) - 10, 'more figure')} in {out_dir}")
