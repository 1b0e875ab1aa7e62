"""``sparsekit marks``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from cli import options
from cli.command import command, option_group
from cli.sparsekit_commands.synthesis import SynthesisOptions, run_synthesis, synthesis_options
from cli.types import Choice, FloatRange, IntRange, list_option
from sparsekit.areas.settings import DEFAULT_SHARES, MarkKind, MarkUnit, RegionMarkSettings


@command(short_help="Draw boxes, blocks or coarse polygons on full masks.")
@options.dataset_argument
@option_group(
    "Marks",
    click.option(
        "--kind", type=Choice(get_args(MarkKind)), required=True,
        help="block: the inner part of each region. box: its bounding box. coarse: a simple polygon inside it.",
    ),
    list_option(
        "--share", "shares", type=FloatRange(0.01, 1), metavar="X",
        help="Share of each region that a block covers. Each number becomes a folder.  "
        f"[default: {','.join(map(str, DEFAULT_SHARES))}]",
    ),
    click.option(
        "--margin", type=IntRange(min=1),
        help="Distance between a coarse polygon and the region's edge in pixels; less in thin regions.  "
        f"[default: {RegionMarkSettings.margin}]",
    ),
    click.option(
        "--per", type=Choice(get_args(MarkUnit)),
        help="What gets a mark: each connected region or each instance.  [default: instance for boxes, else region]",
    ),
    click.option(
        "--min-area", type=IntRange(min=1), default=RegionMarkSettings.min_area, show_default=True,
        help="Skip regions of fewer pixels, unless their class would get no mark at all.",
    ),
)  # fmt: skip
@synthesis_options
def marks(
    dataset: Path | None,
    kind: MarkKind,
    shares: tuple[float, ...],
    margin: int | None,
    per: MarkUnit | None,
    min_area: int,
    **synthesis: object,
) -> None:
    """Draw boxes, blocks or coarse polygons on the regions of each image, from its full mask.

    DATASET is a folder of images and full masks; --images and --masks name two folders instead.

    The result is a folder OUT/<dataset>-blocks<percent>/, -boxes/ or
    -coarse/ with manifest.csv, manifest.json, marks.csv and annotations/. Blocks and coarse polygons never leave their
    class. Boxes are filled, smaller ones on top, and so include pixels of other classes.
    """
    from cli.reporting import usage_errors
    from sparsekit.synthesis.annotators import RegionMarkAnnotator

    with usage_errors():
        if margin is not None and kind != "coarse":
            raise ValueError(f"--margin is for --kind coarse, not for --kind {kind}.")
        unit = per or ("instance" if kind == "box" else "region")
        settings = RegionMarkSettings(kind, unit, min_area, margin or RegionMarkSettings.margin)
        annotator = RegionMarkAnnotator(settings, shares or (DEFAULT_SHARES if kind == "block" else ()))
    run_synthesis(dataset, annotator, SynthesisOptions(**synthesis))  # type: ignore[arg-type]
