"""``sparsekit scribbles``."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from cli import options
from cli.command import command, option_group
from cli.sparsekit_commands.synthesis import SynthesisOptions, run_synthesis, synthesis_options
from cli.sparsekit_commands.timing import TIMING_OPTIONS, timed
from cli.types import Choice, FloatRange, IntRange, list_option
from sparsekit.scribbles.settings import DEFAULT_LENGTH, PRESETS, ScribbleSettings, ScribbleUnit, scribble_settings

# No default is click's own: what is not given comes from --like.
_DEFAULTS = ScribbleSettings()


@command(short_help="Draw scribbles on full masks.")
@options.dataset_argument
@option_group(
    "Scribbles",
    list_option(
        "--length", "shares", type=FloatRange(0.01, 1), metavar="X",
        help=f"Drawn share of each stroke. Each number becomes a folder.  [default: {DEFAULT_LENGTH}]",
    ),
    click.option(
        "--width", type=IntRange(1, 99),
        help=f"Width in pixels; less in thin regions.  [default: {_DEFAULTS.width}]",
    ),
    click.option(
        "--per", type=Choice(get_args(ScribbleUnit)),
        help="What gets a stroke: each connected region, each instance, or each class. With image, --strokes is a "
        f"budget of the image, for its largest regions; classes come first.  [default: {_DEFAULTS.per}]",
    ),
    click.option(
        "--strokes", type=IntRange(1, 9999),
        help=f"Strokes per region, instance, class or image, if there is room.  [default: {_DEFAULTS.strokes}]",
    ),
    click.option(
        "--min-area", type=IntRange(min=1),
        help="Skip regions of fewer pixels, unless their class would get no stroke at all.  "
        f"[default: {_DEFAULTS.min_area}]",
    ),
    click.option(
        "--wobble", type=FloatRange(0, 2),
        help=f"Unsteadiness of the hand; 0 is smooth.  [default: {_DEFAULTS.wobble:g}]",
    ),
    click.option(
        "--simplify", "tolerance", type=FloatRange(0, 10),
        help=f"Drop points that change a stroke by at most X pixels.  [default: {_DEFAULTS.tolerance}]",
    ),
    click.option(
        "--sloppiness", type=FloatRange(0, 2),
        help="Let strokes cross borders, as those of people do: run past each end by up to X of a stroke's length, at "
        "full width. Pixels off class are counted.  [default: 0]",
    ),
    *TIMING_OPTIONS,
    click.option(
        "--like", type=Choice(list(PRESETS)),
        help="Start from settings fitted to a human dataset; the options above override them.",
    ),
)  # fmt: skip
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
    sloppiness: float | None,
    minutes: tuple[float, ...],
    cost_model: Path | None,
    like: str | None,
    **synthesis: object,
) -> None:
    """Draw strokes through the regions of each image as a person would, from its full mask.

    DATASET is a folder of images and full masks; --images and --masks name two folders instead.

    Each length becomes a folder OUT/<dataset>-scribbles<percent>/ with
    manifest.csv, manifest.json, marks.csv and annotations/. Shorter strokes are parts of longer ones. Strokes never
    leave their class, unless --sloppiness lets them, and every class and every region of at least --min-area pixels
    gets one, unless --per image or --minutes limits their number.
    """
    from cli.reporting import usage_errors
    from sparsekit.synthesis.annotators import ScribbleAnnotator

    given = {
        "width": width, "per": per, "strokes": strokes, "min_area": min_area, "wobble": wobble, "tolerance": tolerance,
        "sloppiness": sloppiness,
    }  # fmt: skip
    with usage_errors():
        length, settings = scribble_settings(
            like, **{name: value for name, value in given.items() if value is not None}
        )
        if minutes and (per or strokes):
            raise click.UsageError("--minutes sets the number of strokes of an image: leave out --per and --strokes.")
        annotator = timed(ScribbleAnnotator(shares or (length,), settings), minutes, cost_model)
    run_synthesis(dataset, annotator, SynthesisOptions(**synthesis))  # type: ignore[arg-type]
