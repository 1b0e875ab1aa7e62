"""``agmm export``."""

from __future__ import annotations

from pathlib import Path

import click

from agmm.config.outputs import EXPORT_FORMATS, ExportFormat
from cli.agmm_commands.options import run_argument
from cli.command import command
from cli.options import json_option, out_option
from cli.processes import require_one_process
from cli.reporting import echo_json, echo_summary, note, shown_path, usage_errors
from cli.types import Choice, SizeType


@command(short_help="Export a network to ONNX or TorchScript.")
@run_argument
@click.option("--format", "format_", type=Choice(EXPORT_FORMATS), required=True, help="Format to write.")
@out_option("File to write.  [default: model.onnx or model.pt in RUN]", "out_path")
@click.option(
    "--size",
    type=SizeType(),
    help="Image size to export for; only transformers are bound to it.  [default: that of the training crop]",
)
@json_option
def export(
    run: Path, format_: ExportFormat, out_path: Path | None, size: tuple[int, int] | None, as_json: bool
) -> None:
    """Export the network of RUN to a single file for other programs, and check it against the original."""
    from agmm.requirements import require_training_packages
    from agmm.runs.files import weights_path

    require_one_process("Export")
    weights_path(run)
    require_training_packages()
    from agmm.inference.export import export_run

    with usage_errors():
        report = export_run(run, format_, path=out_path, size=None if size is None else size[::-1])
    height, width = report.size
    if as_json:
        echo_json(
            {"file": str(report.path), "any_size": report.any_size, "width": width, "height": height,
             "max_difference": report.max_difference}
        )  # fmt: skip
        return
    sizes = "images of any size" if report.any_size else f"one image of {width}x{height}"
    beside = shown_path(f"{report.path.name}.json")
    echo_summary(f"{shown_path(report.path)}: takes {sizes}; {beside} describes input, output and classes.")
    if report.max_difference is None:
        note("the file was not checked, because onnxruntime is not installed (pip install onnxruntime).")
    else:
        echo_summary(f"Largest difference of a logit from the original: {report.max_difference:.2g}.")
