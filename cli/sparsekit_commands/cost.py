"""``sparsekit cost``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from cli import options
from cli.command import command
from cli.reporting import echo, echo_json, note, usage_errors
from cli.types import FloatRange, LocalPathType
from sparsekit.audit.cost_model import FULL_MASK_SECONDS, CostModel, read_cost_model


def _model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """One option for each number of the cost model."""
    known = ", ".join(f"{seconds:g} for {name}" for name, seconds in FULL_MASK_SECONDS.items())
    for f in reversed(fields(CostModel)):
        default = known if f.default is None else f"{f.default:g}"
        text = f"Seconds {f.metadata['help']}.  [default: {default}]"
        command = click.option(f"--{f.name.replace('_', '-')}", type=FloatRange(min=0), help=text)(command)
    return command


@command(short_help="Estimate annotation time.")
@options.manifests_argument
@options.split_option
@click.option(
    "--model",
    "model_path",
    type=LocalPathType(),
    help="TOML file of the times below (seconds_per_click = 3.0); options override it.",
)
@_model_options
@options.json_option
def cost(
    manifests: tuple[Path, ...], split: str | None, model_path: Path | None, as_json: bool, **seconds: float | None
) -> None:
    """Estimate how long annotations take to draw, and how much longer full masks would take.

    MANIFESTS are manifest.csv files or the folders that hold them. The model adds up the times below. Their defaults
    were measured by Bearman et al. 2016, Jain and Grauman 2013 and Cordts et al. 2016.
    """
    from dataclasses import replace

    from sparsekit.audit.cost import annotation_cost, format_costs

    model = read_cost_model(model_path) if model_path else CostModel()
    with usage_errors():
        model = replace(model, **{name: value for name, value in seconds.items() if value is not None})
    costs = [annotation_cost(options.read_manifest(path), model, split=split) for path in manifests]
    if as_json:
        echo_json([one.to_dict() for one in costs])
        return
    echo(format_costs(costs))
    if any(one.full_mask_seconds is None for one in costs):
        note("no time for full masks of this label space is known; give --seconds-per-full-mask.")
