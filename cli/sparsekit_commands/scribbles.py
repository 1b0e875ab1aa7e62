"""``sparsekit scribbles``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.sparsekit_commands.synthesis import run_synthesis, synthesis_options


@command(short_help="Draw scribbles on full masks.")
@options.dataset_argument
@click.option(
    "--length",
    "shares",
    type=options.FloatRange(0.01, 1),
    multiple=True,
    help="Part of each stroke's whole length; may be given several times, each becomes a folder.  [default: 0.8]",
)
@click.option("--width", type=click.IntRange(1, 99), help="Width in pixels; less where regions are thin.  [default: 5]")
@click.option(
    "--per",
    type=click.Choice(["region", "instance", "class"]),
    help="What gets a stroke: each connected region, each true instance, or each class once.  [default: region]",
)
@click.option(
    "--strokes", type=click.IntRange(1, 99), help="Strokes for each of these, if there is room.  [default: 1]"
)
@click.option(
    "--min-area",
    type=click.IntRange(min=1),
    help="Regions of fewer pixels get no stroke, unless their class would have none.  [default: 50]",
)
@click.option("--wobble", type=options.FloatRange(0, 2), help="How unsteady the hand is.  [default: 1]")
@click.option(
    "--simplify",
    "tolerance",
    type=options.FloatRange(0, 10),
    help="Leave out points that change a stroke by no more than this many pixels.  [default: 0.7]",
)
@click.option(
    "--like", help="Start from the settings fitted to a human set (scribblesup); other options go before them."
)
@synthesis_options
def scribbles(
    dataset: Path | None,
    shares: tuple[float, ...],
    width: int | None,
    per: str | None,
    strokes: int | None,
    min_area: int | None,
    wobble: float | None,
    tolerance: float | None,
    like: str | None,
    **kwargs: object,
) -> None:
    """Draw strokes as a person would through the regions of each image's full mask, and keep only their labels.

    DATASET is a folder with images and full masks. --images and --masks name the two instead.

    Each length becomes a folder OUT/<dataset>-scribbles<percent>/ with manifest.csv, manifest.json, marks.csv and
    annotations/. Shorter strokes are parts of longer ones. No stroke leaves its class, and no class and no region
    of at least --min-area pixels stays without one.
    """
    from cli.reporting import usage_errors
    from sparsekit.scribbles.trace import scribble_settings
    from sparsekit.synthesis.annotators import ScribbleAnnotator

    given = {
        "width": width, "per": per, "strokes": strokes, "min_area": min_area, "wobble": wobble, "tolerance": tolerance,
    }  # fmt: skip
    with usage_errors():
        length, settings = scribble_settings(
            like, **{name: value for name, value in given.items() if value is not None}
        )
        annotator = ScribbleAnnotator(shares or (length,), settings)
    run_synthesis(dataset, annotator, **kwargs)  # type: ignore[arg-type]
