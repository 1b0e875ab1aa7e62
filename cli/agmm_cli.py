"""The ``agmm`` group: one module of ``cli.agmm_commands`` for each command."""

from __future__ import annotations

import click

from cli.agmm_commands.ablate import ablate
from cli.agmm_commands.compare import compare
from cli.agmm_commands.evaluate import evaluate
from cli.agmm_commands.export import export
from cli.agmm_commands.figure import figure
from cli.agmm_commands.grow import grow
from cli.agmm_commands.predict import predict
from cli.agmm_commands.recipes import recipes
from cli.agmm_commands.report import report
from cli.agmm_commands.reproduce import reproduce
from cli.agmm_commands.rounds import rounds
from cli.agmm_commands.stages import stages
from cli.agmm_commands.table import table
from cli.agmm_commands.train import train
from cli.reporting import NETWORK_MEMORY_ADVICE, ReportingGroup
from data_manifests.version import __version__

COMMANDS: tuple[click.Command, ...] = (
    train,
    stages,
    rounds,
    grow,
    ablate,
    evaluate,
    compare,
    predict,
    export,
    recipes,
    report,
    figure,
    table,
    reproduce,
)


class AgmmGroup(ReportingGroup):
    """The group of commands that work with networks."""

    memory_advice = NETWORK_MEMORY_ADVICE


@click.group(cls=AgmmGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="agmm")
def main() -> None:
    """Train and evaluate segmentation networks on sparse annotations with AGMM (CVPR 2023)."""


for command in COMMANDS:
    main.add_command(command)
