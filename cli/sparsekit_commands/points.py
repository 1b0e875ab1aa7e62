"""``sparsekit points``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.command import command
from cli.sparsekit_commands.synthesis import run_synthesis, synthesis_options

#: The names of ``sparsekit.clicks.strategies``, written here so that --help need not import it.
STRATEGIES = ("uniform", "class-balanced", "per-class", "per-instance", "center")


@command(short_help="Place clicks on full masks.")
@options.dataset_argument
@click.option(
    "--clicks",
    "budgets",
    type=click.IntRange(min=1),
    multiple=True,
    help="Clicks per image, class or instance, as the strategy counts; may be given several times, each becomes a "
    "folder.  [default: 20, 50 and 100 per image, or 1 per class or instance]",
)
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="uniform",
    show_default=True,
    help="uniform: any pixel; class-balanced: each class before any gets a second; per-class, per-instance: so many "
    "on each; center: rather far from borders, which reaches fewer classes than uniform.",
)
@click.option(
    "--margin",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pixels to keep away from other classes and void, where the region is wide enough.",
)
@click.option(
    "--min-distance", type=click.IntRange(min=0), default=0, show_default=True, help="Pixels between two clicks."
)
@click.option(
    "--jitter",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pixels by which the hand may slip; the label stays what was meant.",
)
@click.option(
    "--wrong",
    type=options.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Share of clicks with the label of another class of the image.",
)
@synthesis_options
def points(
    dataset: Path | None,
    budgets: tuple[int, ...],
    strategy: str,
    margin: int,
    min_distance: int,
    jitter: int,
    wrong: float,
    **kwargs: object,
) -> None:
    """Choose random pixels of each image's full mask and keep only their labels.

    DATASET is a folder with images and full masks. --images and --masks name the two instead.

    Each budget becomes a folder OUT/<dataset>-<n>clicks/ (followed by the strategy's name, unless it is uniform)
    with manifest.csv, manifest.json, marks.csv and annotations/. Smaller budgets are the first clicks of larger
    ones.
    """
    from cli.reporting import usage_errors
    from sparsekit.clicks.draw import ClickSettings
    from sparsekit.synthesis.annotators import ClickAnnotator

    with usage_errors():
        settings = ClickSettings(strategy, margin, jitter, wrong, min_distance)
        per_image = settings.budget_name == "clicks_per_image"
        annotator = ClickAnnotator(budgets or ((20, 50, 100) if per_image else (1,)), settings)
    run_synthesis(dataset, annotator, **kwargs)  # type: ignore[arg-type]
