"""``sparsekit render``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command, option_group
from cli.processes import alone_in
from cli.progress import progress
from cli.reporting import echo_json, echo_summary, first_of, note, shown_path, usage_errors
from cli.types import Choice, FloatRange, IntRange, PathType, SizeType
from data_manifests.errors import counted
from sparsekit.figures.settings import FORMATS, FigureSettings


@command(short_help="Draw annotations over their images.")
@options.manifests_argument
@option_group(
    "Images",
    options.split_option,
    options.image_option,
    click.option("--limit", type=IntRange(min=1), help="Use the first N images only."),
)
@option_group(
    "Look",
    options.dot_size_option,
    click.option("--full-mask", is_flag=True, help="Add the full mask next to the annotations."),
    click.option(
        "--mask-opacity", type=FloatRange(min=0, max=1, min_open=True), default=FigureSettings.mask_opacity,
        show_default=True, help="Opacity of the full mask over the image; 1 shows the mask alone.",
    ),
    click.option(
        "--sheet", type=SizeType("ROWSxCOLS", "4x3", most=100),
        help="Draw contact sheets with this many rows and columns, such as 4x3.",
    ),
    click.option("--names", is_flag=True, help="Write the image ids below the images."),
    click.option(
        "--caption", "captions", metavar="TEXT", multiple=True,
        help="Caption of a manifest; repeat for each.  [default: the budgets if there are several manifests]",
    ),
)  # fmt: skip
@option_group(
    "Output",
    options.out_option("Folder for the figures.", type=PathType(), default=Path("figures")),
    click.option(
        "--format", "file_format", type=Choice(FORMATS), default=FigureSettings.file_format, show_default=True,
        help="PDF keeps text as vectors; it needs the extra 'figures'.",
    ),
    click.option(
        "--max-width", type=IntRange(8, 65535), default=FigureSettings.max_width, show_default=True,
        help="Largest width of a figure in pixels; wider figures are scaled down.",
    ),
    options.overwrite_option,
    options.json_option,
)  # fmt: skip
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
    """Draw annotations over their images: clicks as dots in the class colour, strokes as they are, with a legend.

    MANIFESTS are manifest.csv files or the folders that hold them; several of the same images, such as several budgets,
    are drawn side by side. Each image becomes a figure OUT/<image id>.png, unless --sheet combines them. Images without
    an annotation are drawn only if --split or --image selects them.
    """
    from sparsekit.figures.write import draw_figures, plan_figures

    with alone_in(out_dir):
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
        note(f"{counted(len(plan.skipped), 'figure exists', 'figures exist')} already; --overwrite draws again.")
    for path in (shown := first_of(written)):
        echo_summary(path)
    if len(written) > len(shown):
        echo_summary(f"and {counted(len(written) - len(shown), 'more figure')} in {shown_path(out_dir)}")
