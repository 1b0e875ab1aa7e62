"""The ``sparsekit`` group: one module of ``cli.sparsekit_commands`` for each command."""

from __future__ import annotations

import click

from cli.reporting import ReportingGroup
from cli.sparsekit_commands.agreement import agreement
from cli.sparsekit_commands.compare import compare
from cli.sparsekit_commands.cost import cost
from cli.sparsekit_commands.demo_data import demo_data
from cli.sparsekit_commands.diff import diff
from cli.sparsekit_commands.export import export
from cli.sparsekit_commands.full_masks import full_masks
from cli.sparsekit_commands.gallery import gallery
from cli.sparsekit_commands.grow import grow
from cli.sparsekit_commands.import_ import import_
from cli.sparsekit_commands.info import info
from cli.sparsekit_commands.marks import marks
from cli.sparsekit_commands.merge import merge
from cli.sparsekit_commands.points import points
from cli.sparsekit_commands.relocate import relocate
from cli.sparsekit_commands.render import render
from cli.sparsekit_commands.score import score
from cli.sparsekit_commands.scribbles import scribbles
from cli.sparsekit_commands.split import split
from cli.sparsekit_commands.stats import stats
from cli.sparsekit_commands.subset import subset
from cli.sparsekit_commands.validate import validate
from cli.sparsekit_commands.verify import verify
from data_manifests.version import __version__

COMMANDS: tuple[click.Command, ...] = (
    agreement,
    compare,
    cost,
    demo_data,
    points,
    scribbles,
    marks,
    grow,
    score,
    stats,
    render,
    gallery,
    export,
    import_,
    full_masks,
    validate,
    verify,
    info,
    split,
    merge,
    subset,
    relocate,
    diff,
)


@click.group(cls=ReportingGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="sparsekit")
def main() -> None:
    """Make sparse annotations (clicks, scribbles) from full segmentation masks, and look at them."""


for command in COMMANDS:
    main.add_command(command)
