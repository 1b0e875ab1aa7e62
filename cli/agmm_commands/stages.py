"""``agmm stages``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from cli.agmm_commands.options import echo_next_score, read_settings, refine_option, threshold_option, training_options
from cli.command import command
from cli.options import manifest_argument, out_option, overwrite_option, read_manifest
from cli.processes import is_first_process
from cli.reporting import usage_errors


@command(short_help="Train in stages, with pseudo-labels in between.")
@manifest_argument
@click.option("--stages", type=click.IntRange(min=1), default=2, show_default=True, help="Number of trainings.")
@out_option("Folder for all stages.  [default: runs/<folder of the manifest>-stages]", "out")
@click.option(
    "--first",
    type=click.Choice(["agmm", "seg"]),
    default="agmm",
    show_default=True,
    help="Loss of stage 1: all terms, or cross-entropy alone. Later stages use cross-entropy.",
)
@click.option(
    "--init",
    "start",
    type=click.Choice(["fresh", "warm"]),
    default="fresh",
    show_default=True,
    help="Later stages begin as stage 1 did, or from the network before.",
)
@click.option(
    "--pseudo-classes",
    type=click.Choice(["labelled", "all"]),
    help="Classes that pseudo-labels may hold: those labelled in the image, or all.  [default: labelled where the "
    "manifest says that these are all of the image's, else all]",
)
@threshold_option
@click.option(
    "--protocol",
    type=click.Choice(["whole", "sliding", "multi-scale"]),
    default="multi-scale",
    show_default=True,
    help="How images are segmented for their pseudo-labels.",
)
@click.option(
    "--tile",
    "tile_size",
    type=click.IntRange(min=1),
    help="Side of sliding windows, in pixels.  [default: the training crop's; whole images for multi-scale]",
)
@refine_option
@click.option("--soft", is_flag=True, help="Later stages learn the network's probabilities, not its best guess alone.")
@overwrite_option
@training_options
def stages(
    manifest: Path,
    stages: int,
    out: Path | None,
    first: str,
    start: str,
    pseudo_classes: str | None,
    threshold: float,
    protocol: str,
    tile_size: int | None,
    refine: str,
    soft: bool,
    overwrite: bool,
    **flags: Any,
) -> None:
    """Train on MANIFEST in stages.

    Stage 1 trains on the sparse labels. Its network then labels every pixel of the training images, only with classes
    that are labelled in the image (see --pseudo-classes) and never against a true label, and stage 2 trains a new
    network on that. Repeat an interrupted command to go on.
    """
    from agmm.requirements import require_training_packages

    source = read_manifest(manifest)
    config = read_settings(flags)
    require_training_packages(crf=refine == "crf")
    from agmm.inference.protocols import make_protocol
    from agmm.losses.build import build_loss
    from agmm.training.stages import SEG_ONLY, run_stages

    folder = out or Path("runs") / f"{source.path.parent.resolve().name or 'run'}-stages"
    with usage_errors():
        if first == "seg":
            config = replace(config, loss_kind="agmm", loss=SEG_ONLY)
        build_loss(config)
        predict_by = make_protocol(
            protocol, config.crop_size, tile_size=tile_size, crf=refine == "crf"  # type: ignore[arg-type]
        )  # fmt: skip
        results = run_stages(
            source, config, folder, stages=stages, start=start, protocol=predict_by,  # type: ignore[arg-type]
            pseudo_classes=pseudo_classes,  # type: ignore[arg-type]
            threshold=threshold, soft=soft, overwrite=overwrite,
        )  # fmt: skip
    if not is_first_process():
        return
    for number, result in enumerate(results, start=1):
        info = result.info
        best = "" if info.best_miou is None else f"mIoU {100 * info.best_miou:.1f} % on {info.config.val_split}"
        click.echo(f"Stage {number}: {best or 'not validated'} after epoch {info.best_epoch} of {info.epoch}.")
    click.echo(f"Networks and pseudo-labels are in {folder}.")
    echo_next_score(results[-1].run_dir, manifest, source, config.train_split)
