"""``sparsekit marks``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.sparsekit_commands.synthesis import run_synthesis, synthesis_options


@command(short_help="Draw boxes, blocks or coarse polygons on full masks.")
@options.dataset_argument
@click.option(
    "--kind",
    type=click.Choice(["block", "box", "coarse"]),
    required=True,
    help="block: the inner part of each region; box: its bounding box; coarse: a simple polygon off its edge.",
)
@click.option(
    "--share",
    "shares",
    type=options.FloatRange(0.01, 1),
    multiple=True,
    help="Part of each region that a block covers; may be given several times, each becomes a folder.  "
    "[default: 0.1, 0.2 and 0.5]",
)
@click.option(
    "--margin",
    type=click.IntRange(min=1),
    help="Pixels between a coarse polygon and the region's edge; less where regions are thin.  [default: 6]",
)
@click.option(
    "--per",
    type=click.Choice(["region", "instance"]),
    help="What gets a mark: each connected region or each true instance.  [default: instance for boxes, else region]",
)
@click.option(
    "--min-area",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Regions of fewer pixels get no mark, unless their class would have none.",
)
@synthesis_options
def marks(
    dataset: Path | None,
    kind: str,
    shares: tuple[float, ...],
    margin: int | None,
    per: str | None,
    min_area: int,
    **kwargs: object,
) -> None:
    """Draw boxes, blocks or coarse polygons on the regions of each image's full mask, and keep only their labels.

    DATASET is a folder with images and full masks. --images and --masks name the two instead.

    The result is a folder OUT/<dataset>-blocks<percent>/, -boxes/ or -coarse/ with manifest.csv, manifest.json,
    marks.csv and annotations/. Blocks and coarse polygons never leave their class; boxes are filled, the smaller on
    top of the larger, and hold other classes as boxes do.
    """
    from cli.reporting import usage_errors
    from sparsekit.areas import RegionMarkSettings
    from sparsekit.synthesis.annotators import RegionMarkAnnotator

    with usage_errors():
        if margin is not None and kind != "coarse":
            raise ValueError(f"--margin is for coarse polygons only, not for --kind {kind}.")
        settings = RegionMarkSettings(
            kind,  # type: ignore[arg-type]
            per or ("instance" if kind == "box" else "region"),  # type: ignore[arg-type]
            min_area,
            margin or RegionMarkSettings.margin,
        )
        annotator = RegionMarkAnnotator(settings, shares or ((0.1, 0.2, 0.5) if kind == "block" else ()))
    run_synthesis(dataset, annotator, **kwargs)  # type: ignore[arg-type]
