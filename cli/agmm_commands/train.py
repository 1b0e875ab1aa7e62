"""``agmm train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from cli.agmm_commands.options import (
    echo_next_score,
    read_overrides,
    read_settings,
    run_summary,
    training_options,
    with_all_bands,
)
from cli.command import command, is_quiet, option_group
from cli.interrupts import say_when_interrupted
from cli.options import json_option, manifest_argument, out_option, overwrite_option, read_manifest
from cli.processes import is_first_process
from cli.reporting import echo_json, echo_summary, shown_path, usage_errors
from cli.types import PathType
from data_manifests.errors import counted
from data_manifests.terminal import shell_join


@command(short_help="Train a segmentation network.")
@manifest_argument
@option_group(
    "Run",
    out_option("Folder of the run.  [default: runs/<folder of the manifest>]"),
    click.option("--resume", type=PathType(), help="Folder of an interrupted run to resume after its last epoch."),
    overwrite_option,
    json_option,
)
@training_options
def train(
    manifest: Path, out_dir: Path | None, resume: Path | None, overwrite: bool, as_json: bool, **flags: Any
) -> None:
    """Train a segmentation network on MANIFEST.

    Settings come from a recipe; --config overrides it, and the options below override both. The weights of the epoch
    with the best mIoU on the validation split are kept. --resume continues an interrupted run.

    To train on several GPUs: torchrun --nproc-per-node 8 -m agmm train MANIFEST
    """
    from agmm.requirements import require_training_packages
    from agmm.runs.files import STATE_NAME, require_no_training, require_state, require_utf8

    if resume is not None and (out_dir or overwrite or flags["recipe"] or flags["config_path"]):
        raise click.UsageError(
            "--resume continues a run in its folder with its settings: leave out --out, --overwrite, --recipe and "
            "--config."
        )
    source = read_manifest(manifest)
    run_dir = resume or out_dir or Path("runs") / (source.path.parent.resolve().name or "run")
    flags = with_all_bands(flags, source)
    if resume:
        require_state(resume)
    else:
        config = read_settings(flags)
        require_utf8(run_dir, "TensorBoard")
        if not overwrite:
            require_no_training(run_dir)
    require_training_packages()
    from agmm.distributed import launch_command
    from agmm.losses.build import build_loss
    from agmm.training.regime import resolve_loss
    from agmm.training.resume import resumed_config
    from agmm.training.train import train_network

    with usage_errors():
        if resume:
            config = resumed_config(resume, read_overrides(flags), source)
        build_loss(resolve_loss(source, config))
    start = launch_command(int(os.environ.get("WORLD_SIZE", "1")))
    again = shell_join("train", manifest, "--resume", run_dir)
    say_when_interrupted(
        lambda: f"Interrupted; resume with: {start} {again}" if (run_dir / STATE_NAME).is_file() else
        "Interrupted before the first epoch finished; nothing is kept"
    )  # fmt: skip
    result = train_network(source, config, run_dir, resume=resume is not None, overwrite=overwrite, quiet=is_quiet())
    if not is_first_process():
        return
    info = result.info
    if as_json:
        echo_json(run_summary(run_dir, info))
        return
    if info.best_miou is None:
        echo_summary(f"Trained {counted(info.epoch, 'epoch')} without validation; kept the last one.")
    else:
        split = config.val_split
        echo_summary(
            f"Best mIoU on {split}: {100 * info.best_miou:.1f} % after epoch {info.best_epoch} of {info.epoch}."
        )
    echo_summary(f"Weights, settings and log are in {shown_path(run_dir)}.")
    echo_next_score(run_dir, manifest, source, config.train_split)
