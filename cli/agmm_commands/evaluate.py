"""``agmm evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from agmm.config.protocol import ProtocolName
from cli.agmm_commands.options import prediction_options, run_argument
from cli.command import command, option_group
from cli.options import data_root_option, data_root_words, json_option, out_option, read_manifest
from cli.processes import is_first_process
from cli.progress import progress
from cli.reporting import echo, echo_json, echo_next, echo_summary, shown_path, usage_errors
from cli.types import IntRange, PathType


@command(short_help="Score a network on full masks.")
@run_argument
@click.argument("manifest", type=PathType(), required=False)
@data_root_option
@option_group(
    "Scores",
    click.option("--split", metavar="NAME", default="val", show_default=True, help="Split to evaluate."),
    click.option("--limit", type=IntRange(min=1), help="Use the first N images of the split only."),
    click.option("--per-image", is_flag=True, help="Also write the scores of each image, for `agmm compare`."),
    click.option("--boundary", is_flag=True, help="Also compute boundary IoU, of the pixels near class borders."),
    click.option(
        "--gmm", is_flag=True,
        help="Also score the prediction of the Gaussian mixture alone; needs an annotated split, such as train.",
    ),
    out_option("Folder for the scores.  [default: that of the run]"),
    json_option,
)  # fmt: skip
@prediction_options
@option_group(
    "Execution", click.option("--workers", type=IntRange(min=1), default=2, show_default=True, help="Reading threads.")
)
def evaluate(
    run: Path,
    manifest: Path | None,
    protocol: ProtocolName,
    tile_size: int | None,
    overlap: float,
    crf: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Score the network of RUN on the full masks of MANIFEST, by default the manifest it was trained on.

    Prints the IoU of each class and their mean, and writes evaluation.json, evaluation.csv and confusion.csv, which
    collect the scores of several splits and protocols.
    """
    from agmm.requirements import require_training_packages
    from agmm.runs.files import manifest_of, weights_path

    weights_path(run)
    manifest = manifest or manifest_of(run)
    source = read_manifest(manifest)
    num_images = len(source.rows_of(settings["split"])[: settings["limit"]])
    require_training_packages(crf=crf)
    from agmm.evaluation.evaluate_run import evaluate_run
    from agmm.inference.protocols import make_protocol
    from agmm.runs.checkpoint_info import read_checkpoint_info
    from agmm.runs.files import RUN_NAME
    from agmm.runs.scores import format_table

    with usage_errors(), progress(num_images * (2 if settings["gmm"] else 1)) as advance:
        crop_size = read_checkpoint_info(weights_path(run)).config.crop_size
        how = make_protocol(protocol, crop_size, tile_size=tile_size, overlap=overlap, crf=crf)
        records = evaluate_run(run, source, protocol=how, on_image=advance, **settings)
    if not is_first_process():
        return
    if as_json:
        echo_json({"results": records})
        return
    echo("\n\n".join(map(format_table, records)))
    folder = settings["out_dir"] or (run if run.is_dir() else run.parent)
    files = [
        "evaluation.json",
        "evaluation.csv",
        "confusion.csv",
        *(["per_image.csv"] if settings["per_image"] else []),
    ]
    echo_summary(f"\nWritten: {shown_path(folder)}/{', '.join(files)}")
    if folder == run and (run / RUN_NAME).is_file():  # what a report reads
        on_split = () if settings["split"] == "val" else ("--split", settings["split"])
        echo_next("agmm", "report", run, "--manifest", manifest, *on_split, *data_root_words())
