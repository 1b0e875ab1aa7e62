"""``agmm evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.agmm_commands.options import prediction_options, run_argument
from cli.command import command
from cli.options import PathType, data_root_option, json_option, out_option, read_manifest
from cli.processes import is_first_process
from cli.progress import progress
from cli.reporting import echo_json, echo_next, usage_errors


@command(short_help="Score a network on full masks.")
@run_argument
@click.argument("manifest", type=PathType(), required=False)
@data_root_option
@click.option("--split", default="val", show_default=True, help="Split to evaluate.")
@prediction_options
@click.option("--boundary", is_flag=True, help="Score the pixels near class borders as well (boundary IoU).")
@click.option(
    "--gmm",
    is_flag=True,
    help="Score what the Gaussian mixture alone says as well; needs an annotated split, such as --split train.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many images of the split.")
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Threads that read files.")
@out_option("Folder for the scores.  [default: that of the run]")
@json_option
def evaluate(run: Path, manifest: Path | None, as_json: bool, **settings: Any) -> None:
    """Score the network of RUN on the full masks of MANIFEST, or of the manifest that it was trained on.

    Prints IoU of each class and their mean, and writes evaluation.json, evaluation.csv and confusion.csv, in which the
    scores of several splits and protocols stand side by side.
    """
    from agmm.requirements import require_training_packages
    from agmm.runs.files import manifest_of, weights_path

    weights_path(run)
    manifest = manifest or manifest_of(run)
    source = read_manifest(manifest)
    num_images = len(source.rows_of(settings["split"])[: settings["limit"]])
    require_training_packages(crf=settings["crf"])
    from agmm.evaluation.evaluate_run import evaluate_run
    from agmm.runs.files import RUN_NAME
    from agmm.runs.scores import format_table

    with usage_errors(), progress(num_images * (2 if settings["gmm"] else 1)) as advance:
        records = evaluate_run(run, source, on_image=advance, **settings)
    if not is_first_process():
        return
    if as_json:
        echo_json({"results": records})
        return
    click.echo("\n\n".join(map(format_table, records)))
    folder = settings["out_dir"] or (run if run.is_dir() else run.parent)
    click.echo(f"\nWritten: {folder}/evaluation.json, evaluation.csv, confusion.csv")
    if folder == run and (run / RUN_NAME).is_file():  # what a report reads
        split = settings["split"]
        echo_next("agmm", "report", run, "--manifest", manifest, *(() if split == "val" else ("--split", split)))
