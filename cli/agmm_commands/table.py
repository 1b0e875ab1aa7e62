"""``agmm table``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.agmm_commands.options import names_option, runs_argument
from cli.command import command
from cli.options import out_option
from cli.reporting import usage_errors, warn

if TYPE_CHECKING:
    from agmm.report.run import Run
    from agmm.report.tables import Work
    from sparsekit.audit.cost_model import CostModel


@command(short_help="Compare runs in a table.")
@click.argument("kind", type=click.Choice(["per-class", "ablation", "lambda", "budget"]))
@runs_argument
@names_option
@click.option(
    "--format", "format_", type=click.Choice(["markdown", "latex", "csv"]), default="markdown", show_default=True,
    help="LaTeX needs its package booktabs.",
)  # fmt: skip
@click.option("--split", help="Whose scores to show.  [default: the split that most runs have scores of]")
@click.option(
    "--protocol", type=click.Choice(["whole", "sliding", "multi-scale"]),
    help="Which of the scores to show.  [default: those of the most images, then the newest]",
)  # fmt: skip
@click.option(
    "--cost-model", type=click.Path(path_type=Path), help="TOML of seconds for the budget, as for `sparsekit cost`."
)
@out_option("File to write the table to.  [default: standard output]", "out_path")
def table(
    kind: str,
    runs: tuple[Path, ...],
    names: tuple[str, ...],
    format_: str,
    split: str | None,
    protocol: str | None,
    cost_model: Path | None,
    out_path: Path | None,
) -> None:
    """Compare RUNs in a table, beside the numbers that the paper's supplement publishes.

    per-class: IoU of each class. ablation: mIoU by the terms of the loss. lambda: mIoU by their weight. budget: mIoU
    and its share of full supervision against clicks and minutes of annotation. All of it are scores that `agmm
    evaluate` has written, and only such as were measured on the same images in the same way.
    """
    from agmm.runs.files import weights_path

    for run in runs:
        weights_path(run)
    model = None
    if cost_model:
        from sparsekit.audit.cost_model import read_cost_model

        model = read_cost_model(cost_model)
    from agmm.report.runs import read_runs, scored_split
    from agmm.report.table_format import format_table
    from agmm.report.tables import ablation_table, budget_table, lambda_table, per_class_table
    from data_manifests.files.images import write_atomically

    with usage_errors():
        found = read_runs(runs, names)
    split = split or scored_split(found)
    if kind == "budget":
        made = budget_table(found, lambda run: _work_of(run, model), split, protocol)
    else:
        make = {"per-class": per_class_table, "ablation": ablation_table, "lambda": lambda_table}[kind]
        made = make(found, split, protocol)
    text = format_table(made, format_)  # type: ignore[arg-type]
    if out_path is None:
        click.echo(text, nl=False)
    else:
        write_atomically(out_path, text.encode())
        click.echo(str(out_path))


def _work_of(run: Run, model: CostModel | None) -> Work | None:
    """What the annotation behind a run took; None, with a warning, where its manifest or marks are not there."""
    from agmm.report.tables import Work
    from data_manifests import DataError, read_manifest
    from sparsekit.audit.cost import annotation_cost

    manifest_path, split = run.first_stage.manifest_path, run.info.config.train_split
    try:
        cost = annotation_cost(read_manifest(manifest_path), model, split=split)
    except DataError as error:
        warn(f"{run.folder}: what its annotation took is not known: {error}")
        return None
    if run.is_full:
        minutes = None if cost.full_mask_seconds is None else cost.full_mask_seconds / 60
        return Work(cost.num_images, None, minutes)
    pieces = ("image", "class", "full_mask")
    marks = sum(count for name, count in cost.counts.items() if name not in pieces)
    return Work(cost.num_images, marks / cost.num_images, cost.total_seconds / cost.num_images / 60)
