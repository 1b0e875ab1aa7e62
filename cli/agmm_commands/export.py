"""``agmm export``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from cli.agmm_commands.options import run_argument
from cli.command import command
from cli.options import out_option
from cli.processes import require_one_process
from cli.reporting import usage_errors


@command(short_help="Export a network to ONNX or TorchScript.")
@run_argument
@click.option(
    "--format", "format_", type=click.Choice(["onnx", "torchscript"]), required=True, help="Kind of file to write."
)
@out_option("File to write.  [default: model.onnx or model.pt in RUN]", "out")
@click.option(
    "--size",
    type=click.IntRange(min=1),
    nargs=2,
    metavar="HEIGHT WIDTH",
    help="Image size to export for; only transformers are bound to it.  [default: the training crop's]",
)
def export(run: Path, format_: Literal["onnx", "torchscript"], out: Path | None, size: tuple[int, int] | None) -> None:
    """Write the network of RUN as one file for other programs, checked against the original."""
    from agmm.requirements import require_training_packages
    from agmm.runs.files import weights_path

    require_one_process("Export")
    weights_path(run)
    require_training_packages()
    from agmm.inference.export import export_run

    with usage_errors():
        report = export_run(run, format_, path=out, size=size)
    sizes = "images of any size" if report.any_size else f"one image of {report.size[0]}x{report.size[1]} (HxW)"
    click.echo(f"{report.path}: takes {sizes}; see {report.path.name}.json for input, output and classes.")
    if report.max_difference is None:
        click.echo("Not run, because onnxruntime is not installed (pip install onnxruntime).", err=True)
    else:
        click.echo(f"Largest difference of a logit from the original: {report.max_difference:.2g}.")
