"""``sparsekit points``."""

from __future__ import annotations

from pathlib import Path

import click

from cli import options
from cli.synthesis import run_synthesis


@click.command()
@options.dataset_argument
@click.option(
    "--clicks",
    "budgets",
    type=click.IntRange(min=1),
    multiple=True,
    default=(20, 50, 100),
    show_default=True,
    help="Clicks per image; may be given several times, each becomes a folder.",
)
@options.synthesis_options
def points(dataset: Path, budgets: tuple[int, ...], **kwargs: object) -> None:
    """Choose random pixels of each image's full mask and keep only their labels.

    DATASET is a folder with images and full masks. Each budget becomes a folder OUT/<dataset>-<n>clicks/ with
    manifest.csv, manifest.json, marks.csv and annotations/. Smaller budgets are the first clicks of larger ones.
    """
    from cli.reporting import usage_errors
    from sparsekit.annotators import ClickAnnotator

    with usage_errors():
        annotator = ClickAnnotator(budgets)
    run_synthesis(dataset, annotator, **kwargs)  # type: ignore[arg-type]
