"""``agmm stages``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import click

from agmm.config.protocol import ProtocolName
from agmm.config.training import MOST_NETWORKS, FirstLoss, PseudoClasses, Refinement
from cli.agmm_commands.options import (
    echo_next_score,
    protocol_option,
    read_settings,
    refine_option,
    run_summary,
    start_of,
    threshold_option,
    tile_option,
    training_options,
    with_all_bands,
)
from cli.command import command, is_quiet, option_group
from cli.options import json_option, manifest_argument, out_option, overwrite_option, read_manifest
from cli.processes import alone_in, is_first_process
from cli.reporting import echo_json, echo_summary, shown_path, usage_errors
from cli.types import Choice, IntRange


@command(short_help="Train in stages, with pseudo-labels in between.")
@manifest_argument
@option_group(
    "Stages",
    click.option("--stages", type=IntRange(1, MOST_NETWORKS), default=2, show_default=True, help="Number of stages."),
    click.option(
        "--first", type=Choice(get_args(FirstLoss)), default="agmm", show_default=True,
        help="Loss of stage 1: all terms, or cross-entropy alone. Later stages use cross-entropy, and presence if "
        "stage 1 does.",
    ),
    click.option(
        "--warm-start", is_flag=True, help="Start later stages from the network of the stage before, not like stage 1."
    ),
)  # fmt: skip
@option_group(
    "Pseudo-labels",
    protocol_option("Segment training images like this for their pseudo-labels.", default="multi-scale"),
    tile_option,
    click.option(
        "--pseudo-classes", type=Choice(get_args(PseudoClasses)),
        help="Classes of the pseudo-labels: those labelled in the image, or all.  [default: labelled if the manifest "
        "says that the labels of an image name all its classes, else all]",
    ),
    threshold_option,
    refine_option,
    click.option("--soft", is_flag=True, help="Train later stages on probabilities instead of the best class."),
)  # fmt: skip
@training_options
@option_group(
    "Output",
    out_option("Folder for all stages.  [default: runs/<folder of the manifest>-stages]"),
    overwrite_option,
    json_option,
)
def stages(
    manifest: Path,
    stages: int,
    out_dir: Path | None,
    first: FirstLoss,
    warm_start: bool,
    pseudo_classes: PseudoClasses | None,
    threshold: float,
    protocol: ProtocolName,
    tile_size: int | None,
    refine: Refinement,
    soft: bool,
    overwrite: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train on MANIFEST in stages.

    Stage 1 trains on the sparse labels. Its network then labels every other pixel of the training images, with the
    classes that --pseudo-classes allows. Stage 2 trains a new network on these pseudo-labels. Repeat an interrupted
    command to resume.
    """
    from agmm.requirements import require_training_packages

    if first == "seg" and (flags["loss"] or flags["loss_kind"] not in (None, "seg")):
        raise click.UsageError("--first seg is cross-entropy alone: omit it, or --loss-kind and --loss.")
    source = read_manifest(manifest)
    config = read_settings(with_all_bands(flags, source))
    require_training_packages(crf=refine == "crf")
    from agmm.inference.protocols import make_protocol
    from agmm.losses.build import build_loss
    from agmm.training.regime import resolve_loss
    from agmm.training.stages import SEG_ONLY, run_stages

    folder = out_dir or Path("runs") / f"{source.path.parent.resolve().name or 'run'}-stages"
    with usage_errors(), alone_in(folder):
        if first == "seg":
            config = replace(config, loss_kind="agmm", loss=SEG_ONLY)
        build_loss(resolve_loss(source, config))
        results = run_stages(
            source, config, folder, stages=stages, start=start_of(warm_start),
            protocol=make_protocol(protocol, config.crop_size, tile_size=tile_size, crf=refine == "crf"),
            pseudo_classes=pseudo_classes, threshold=threshold, soft=soft, overwrite=overwrite, quiet=is_quiet(),
        )  # fmt: skip
    if not is_first_process():
        return
    if as_json:
        echo_json({"folder": str(folder), "stages": [run_summary(result.run_dir, result.info) for result in results]})
        return
    for number, result in enumerate(results, start=1):
        info = result.info
        best = "" if info.best_miou is None else f"mIoU {100 * info.best_miou:.1f} % on {info.config.val_split}"
        echo_summary(f"Stage {number}: {best or 'not validated'} after epoch {info.best_epoch} of {info.epoch}.")
    echo_summary(f"Networks and pseudo-labels are in {shown_path(folder)}.")
    echo_next_score(results[-1].run_dir, manifest, source, config.train_split)
