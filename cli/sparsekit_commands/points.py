"""``sparsekit points``."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import options
from cli.command import command, option_group
from cli.sparsekit_commands.synthesis import SynthesisOptions, run_synthesis, synthesis_options
from cli.sparsekit_commands.timing import TIMING_OPTIONS, timed
from cli.types import Choice, FloatRange, IntRange, PathType, list_option
from cli.uncertain_options import UNCERTAIN_OPTIONS, of_strategy
from sparsekit.clicks.settings import DEFAULT_BUDGETS, GUIDED, STRATEGIES, ClickSettings

if TYPE_CHECKING:
    from sparsekit.clicks.guides import Guide


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
        "small classes than uniform. uncertain: where --probabilities are least certain. corrective: in the largest "
        "regions where --predictions are wrong.",
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
    *TIMING_OPTIONS,
)  # fmt: skip
@option_group(
    "Clicks guided by a network",
    click.option(
        "--probabilities",
        type=PathType(),
        metavar="DIR",
        help="For uncertain: IMAGE_ID.npy, as `agmm predict RUN MANIFEST --probabilities` writes them.",
    ),
    *UNCERTAIN_OPTIONS,
    click.option(
        "--predictions",
        type=PathType(),
        metavar="DIR",
        help="For corrective: label maps IMAGE_ID.png, as `agmm predict RUN MANIFEST` writes them.",
    ),
    click.option(
        "--add-to",
        type=PathType(),
        metavar="MANIFEST",
        help="Add N clicks to the marks of this manifest, on its images, instead of annotating DATASET.",
    ),
)
@synthesis_options
@options.data_root_option
def points(
    dataset: Path | None,
    budgets: tuple[int, ...],
    strategy: str,
    margin: int,
    min_distance: int,
    jitter: int,
    wrong: float,
    minutes: tuple[float, ...],
    cost_model: Path | None,
    add_to: Path | None,
    **others: Any,
) -> None:
    """Label a few random pixels of each image, from its full mask.

    DATASET is a folder of images and full masks; --images and --masks name two folders instead.

    Each budget becomes a folder OUT/<dataset>-<N>clicks/ with
    manifest.csv, manifest.json, marks.csv and annotations/; strategies other than uniform append their name. Smaller
    budgets are the first clicks of larger ones. With --minutes, folders are named OUT/<dataset>-<M>min-clicks/, and the
    number of clicks differs between images. With --add-to, the folder is OUT/<folder of MANIFEST>+<N>clicks/, and
    N clicks are added to those of MANIFEST, which stay as they are.
    """
    from cli.reporting import usage_errors
    from sparsekit.synthesis.annotators import ClickAnnotator

    folders = {name: others.pop(name) for name in ("probabilities", "predictions")}
    uncertainty = {name: others.pop(name) for name in ("uncertainty", "top_share")}
    synthesis = SynthesisOptions(**others)
    if add_to is not None:
        _require_no_dataset(dataset, strategy, synthesis)
    with usage_errors():
        guide = _guide(strategy, folders, of_strategy(strategy, uncertainty))
        settings = ClickSettings(strategy, margin, jitter, wrong, min_distance)
        if minutes and (budgets or add_to):
            raise click.UsageError("--minutes sets the number of clicks: leave out --clicks and --add-to.")
        clicks = ClickAnnotator(budgets or DEFAULT_BUDGETS[STRATEGIES[strategy][1]], settings, guide)
        annotator = timed(clicks, minutes, cost_model)
    run_synthesis(dataset, annotator, synthesis, add_to=add_to)


def _guide(strategy: str, folders: dict[str, Path | None], settings: dict[str, Any]) -> Guide | None:
    """The guide of a strategy; an error for the folder of another one."""
    from sparsekit.clicks.guides import Guide

    own = GUIDED.get(strategy)
    if foreign := [name for name, folder in folders.items() if folder is not None and name != own]:
        raise click.UsageError(f"--{foreign[0]} is of no use to strategy {strategy}.")
    if own is None:
        return None
    if (folder := folders[own]) is None:
        raise click.UsageError(f"Strategy {strategy} needs --{own} DIR.")
    return Guide(strategy, folder, **settings)


def _require_no_dataset(dataset: Path | None, strategy: str, synthesis: SynthesisOptions) -> None:
    if dataset or synthesis.limit or any(value is not None for value in astuple(synthesis.dataset_options)):
        raise click.UsageError("--add-to takes the images of its manifest: leave out DATASET, its options and --limit.")
    if strategy == "per-instance":
        raise click.UsageError("--add-to MANIFEST knows no instances; choose another strategy than per-instance.")
