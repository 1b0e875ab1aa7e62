"""``--minutes``: a budget of annotation time per image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.types import FloatRange, LocalPathType, list_option

if TYPE_CHECKING:
    from sparsekit.synthesis.annotators import ClickAnnotator, ScribbleAnnotator
    from sparsekit.synthesis.timed import TimedAnnotator

#: ``--minutes`` and ``--cost-model``, for an ``option_group``.
TIMING_OPTIONS = (
    list_option(
        "--minutes", "minutes", type=FloatRange(0, 60, min_open=True), metavar="M",
        help="Draw as much as a person could in M minutes per image, by the times of `sparsekit cost`. Each number "
        "becomes a folder.",
    ),
    click.option(
        "--cost-model", type=LocalPathType(), metavar="FILE", help="TOML file of other times, as for `cost --model`."
    ),
)  # fmt: skip


def timed(
    annotator: ClickAnnotator | ScribbleAnnotator, minutes: tuple[float, ...], cost_model: Path | None
) -> ClickAnnotator | ScribbleAnnotator | TimedAnnotator:
    """The annotator with a budget of minutes, if there is one.

    Raises:
        click.UsageError: If there is a cost model but no budget.
        DataError: If the cost model cannot be read.
        ValueError: If the annotator's marks are not counted per image.
    """
    from sparsekit.audit.cost_model import CostModel, read_cost_model
    from sparsekit.synthesis.timed import TimedAnnotator

    if not minutes:
        if cost_model:
            raise click.UsageError("--cost-model is for --minutes.")
        return annotator
    return TimedAnnotator(annotator, minutes, read_cost_model(cost_model) if cost_model else CostModel())
