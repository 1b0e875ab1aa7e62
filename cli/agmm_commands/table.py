"""``agmm table``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agmm.config.outputs import TABLE_FORMATS, TABLES, TableFormat
from cli.agmm_commands.options import names_option, runs_argument, scores_protocol_option, scores_split_option
from cli.command import command
from cli.options import out_option
from cli.reporting import echo_summary, usage_errors, warn
from cli.types import PathType

if TYPE_CHECKING:
    from agmm.report.run import Run
    from agmm.report.tables import Work
    from sparsekit.audit.cost_model import CostModel


@command(short_help="Compare runs in a table.")
@click.argument("kind", type=click.Choice(list(TABLES)))
@runs_argument
@names_option
@scores_split_option
@scores_protocol_option
@click.option("--cost-model", type=PathType(), help="TOML file of annotation times for budget; see `sparsekit cost`.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(TABLE_FORMATS),
    default="markdown",
    show_default=True,
    help="LaTeX needs the package booktabs.",
)
@click.option("--json", "format_", flag_value="json", help="Same as --format json.")
@out_option("File to write the table to.  [default: standard output]", "out_path")
def table(
    kind: str,
    runs: tuple[Path, ...],
    names: tuple[str, ...],
    format_: TableFormat,
    split: str | None,
    protocol: str | None,
    cost_model: Path | None,
    out_path: Path | None,
) -> None:
    """Compare RUNS in a table, next to the published numbers of the paper's supplement.

    per-class lists the IoU of each class, ablation mIoU by loss terms, lambda mIoU by their weight, and budget mIoU and
    its share of full supervision by clicks and minutes of annotation. Scores are those that `agmm evaluate` has
    written. Only scores on the same images with the same protocol are compared.
    """
    from agmm.runs.files import weights_path

    for run in runs:
        weights_path(run)
    model = None
    if cost_model:
        from sparsekit.audit.cost_model import read_cost_model

        model = read_cost_model(cost_model)
    from agmm.report import tables
    from agmm.report.runs import read_runs, scored_split
    from agmm.report.table_format import format_table
    from data_manifests.files.images import write_atomically

    with usage_errors():
        found = read_runs(runs, names)
    split = split or scored_split(found)
    work = [lambda run: _work_of(run, model)] if kind == "budget" else []
    text = format_table(getattr(tables, TABLES[kind])(found, *work, split, protocol), format_)
    if out_path is None:
        click.echo(text, nl=False)
    else:
        write_atomically(out_path, text.encode())
        echo_summary(out_path)


def _work_of(run: Run, model: CostModel | None) -> Work | None:
    """The work behind the annotation of a run; None, with a warning, if its manifest or marks are missing."""
    from agmm.report.tables import Work
    from data_manifests import DataError, read_manifest
    from sparsekit.audit.cost import annotation_cost

    manifest_path, split = run.first_stage.manifest_path, run.info.config.train_split
    try:
        cost = annotation_cost(read_manifest(manifest_path), model, split=split)
    except DataError as error:
        warn(f"{run.folder}: the cost of its annotation is unknown: {error}")
        return None
    if run.is_full:
        minutes = None if cost.full_mask_seconds is None else cost.full_mask_seconds / 60
        return Work(cost.num_images, None, minutes)
    pieces = ("image", "class", "full_mask")
    marks = sum(count for name, count in cost.counts.items() if name not in pieces)
    return Work(cost.num_images, marks / cost.num_images, cost.total_seconds / cost.num_images / 60)
