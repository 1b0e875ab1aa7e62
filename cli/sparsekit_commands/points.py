"""``sparsekit points``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command, option_group
from cli.sparsekit_commands.synthesis import SynthesisOptions, run_synthesis, synthesis_options
from cli.types import Choice, FloatRange, IntRange, list_option
from sparsekit.clicks.settings import DEFAULT_BUDGETS, STRATEGIES, ClickSettings


@command(short_help="Place clicks on full masks.")
@options.dataset_argument
@option_group(
    "Clicks",
    list_option(
        "--clicks", "budgets", type=IntRange(min=1), metavar="N",
        help="Clicks per image, class or instance, depending on the strategy. Each number becomes a folder.  "
        "[default: 20,50,100 per image, or 1 per class or instance]",
    ),
    click.option(
        "--strategy", type=Choice(list(STRATEGIES)), default=ClickSettings.strategy, show_default=True,
        help="uniform: any pixel. class-balanced: one click on every class before the next round. per-class, "
        "per-instance: N clicks per class or instance. center: prefers region interiors, and so misses more of the "
        "small classes than uniform.",
    ),
    click.option(
        "--margin", type=IntRange(min=0), default=ClickSettings.margin, show_default=True,
        help="Smallest distance to other classes and void in pixels, where regions are wide enough.",
    ),
    click.option(
        "--min-distance", type=IntRange(min=0), default=ClickSettings.min_distance, show_default=True,
        help="Smallest distance between two clicks of an image, in pixels.",
    ),
    click.option(
        "--jitter", type=IntRange(min=0), default=ClickSettings.jitter, show_default=True,
        help="Move each click by up to N pixels; it keeps the label of the intended pixel.",
    ),
    click.option(
        "--wrong", type=FloatRange(0, 1), default=ClickSettings.wrong, show_default=True,
        help="Share of clicks labelled as another class of the image.",
    ),
)  # fmt: skip
@synthesis_options
def points(
    dataset: Path | None,
    budgets: tuple[int, ...],
    strategy: str,
    margin: int,
    min_distance: int,
    jitter: int,
    wrong: float,
    **synthesis: object,
) -> None:
    """Label a few random pixels of each image, from its full mask.

    DATASET is a folder of images and full masks; --images and --masks name two folders instead.

    Each budget becomes a folder OUT/<dataset>-<N>clicks/ with
    manifest.csv, manifest.json, marks.csv and annotations/; strategies other than uniform append their name. Smaller
    budgets are the first clicks of larger ones.
    """
    from cli.reporting import usage_errors
    from sparsekit.synthesis.annotators import ClickAnnotator

    with usage_errors():
        settings = ClickSettings(strategy, margin, jitter, wrong, min_distance)
        annotator = ClickAnnotator(budgets or DEFAULT_BUDGETS[STRATEGIES[strategy][1]], settings)
    run_synthesis(dataset, annotator, SynthesisOptions(**synthesis))  # type: ignore[arg-type]
