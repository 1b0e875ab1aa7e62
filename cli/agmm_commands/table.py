"""``agmm table``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agmm.config.outputs import TABLE_FORMATS, TABLES, TableFormat
from cli.agmm_commands.options import names_option, runs_argument, scores_protocol_option, scores_split_option
from cli.agmm_commands.work import budget_options, read_budgets, refuse_budget_options
from cli.command import command
from cli.options import out_option
from cli.reporting import echo, echo_summary, usage_errors
from cli.types import Choice


@command(short_help="Compare runs in a table.")
@click.argument("kind", metavar="TABLE", type=Choice(list(TABLES)))
@runs_argument
@names_option
@scores_split_option
@scores_protocol_option
@budget_options
@click.option(
    "--format",
    "format_",
    type=Choice(TABLE_FORMATS),
    default="markdown",
    show_default=True,
    help="LaTeX needs the packages booktabs and amssymb.",
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
    out_path: Path | None,
    **budget: Any,
) -> None:
    """Compare RUNS in a table, next to the published numbers of the paper's supplement.

    TABLE is per-class (IoU of each class), ablation (mIoU by loss terms), lambda (mIoU by their weight) or budget
    (mIoU, its share of full supervision and mIoU per minute, by clicks and minutes of annotation); budget also takes
    the folder of one study of `agmm ablate`. Scores are those that `agmm evaluate` has written. Only scores on the
    same images with the same protocol are compared.
    """
    from agmm.requirements import require_safetensors

    require_safetensors()
    from agmm.report import tables
    from agmm.report.budget import budget_table
    from agmm.report.runs import read_runs, scored_split
    from agmm.report.table_format import format_table
    from data_manifests.files.atomic import write_atomically

    if kind == "budget":
        made = budget_table(read_budgets(runs, names, split, protocol, **budget))
    else:
        refuse_budget_options(budget)
        with usage_errors():
            found = read_runs(runs, names)
        made = getattr(tables, TABLES[kind])(found, split or scored_split(found), protocol)
    text = format_table(made, format_)
    if out_path is None:
        echo(text, nl=False)
    else:
        write_atomically(out_path, text.encode(), to_streams=True)
        echo_summary(out_path)
