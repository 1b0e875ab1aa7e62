"""Options of the strategy ``uncertain``, which ``sparsekit points`` and ``agmm rounds`` share."""

from __future__ import annotations

from typing import Any, get_args

import click

from cli.types import Choice, FloatRange
from sparsekit.clicks.settings import Uncertainty

#: For an ``option_group``.
UNCERTAIN_OPTIONS = (
    click.option(
        "--uncertainty", type=Choice(get_args(Uncertainty)),
        help="For uncertain: between the two likeliest classes, over all classes, or of the likeliest class alone.  "
        "[default: margin]",
    ),
    click.option(
        "--top-share", type=FloatRange(0, 1, min_open=True),
        help="For uncertain: draw at random among this share of the pixels, the most uncertain ones.  [default: 0.05]",
    ),
)  # fmt: skip


def of_strategy(strategy: str, given: dict[str, Any]) -> dict[str, Any]:
    """The values that were given.

    Raises:
        click.UsageError: If there is one, and the strategy is another.
    """
    typed = {name: value for name, value in given.items() if value is not None}
    if typed and strategy != "uncertain":
        raise click.UsageError(f"--{next(iter(typed)).replace('_', '-')} is of no use to strategy {strategy}.")
    return typed
