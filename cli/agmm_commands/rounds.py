"""``agmm rounds``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agmm.config.protocol import ProtocolName
from agmm.config.training import MOST_NETWORKS
from cli.agmm_commands.options import (
    echo_next_score,
    protocol_option,
    read_settings,
    start_of,
    tile_option,
    training_options,
    with_all_bands,
)
from cli.command import command, is_quiet, option_group
from cli.options import json_option, manifest_argument, out_option, overwrite_option, read_manifest
from cli.processes import alone_in, is_first_process
from cli.reporting import echo, echo_json, echo_summary, shown_path, usage_errors
from cli.types import Choice, IntRange
from cli.uncertain_options import UNCERTAIN_OPTIONS, of_strategy

if TYPE_CHECKING:
    from agmm.training.rounds import DrawClicks, Needs, RoundResult
    from data_manifests import Manifest

#: By strategy, what the drawing reads of the predictions.
_NEEDS: dict[str, Needs] = {"uncertain": "probabilities", "corrective": "label_maps", "uniform": "nothing"}


@command(short_help="Train in rounds, with more clicks in each.")
@manifest_argument
@option_group(
    "Rounds",
    click.option("--rounds", type=IntRange(1, MOST_NETWORKS), default=3, show_default=True, help="Number of networks."),
    click.option(
        "--clicks", type=IntRange(min=1), default=10, show_default=True, help="Clicks added per image and round."
    ),
    click.option(
        "--strategy", type=Choice(list(_NEEDS)), default="uncertain", show_default=True,
        help="uncertain: where the network is least certain. corrective: in the largest regions where it is wrong. "
        "uniform: anywhere, as a control. See `sparsekit points`.",
    ),
    click.option(
        "--warm-start", is_flag=True, help="Start later rounds from the network of the round before, not like round 1."
    ),
    *UNCERTAIN_OPTIONS,
    protocol_option("Segment training images like this for the next clicks.", default="whole"),
    tile_option,
)  # fmt: skip
@training_options
@option_group(
    "Output",
    out_option("Folder for all rounds.  [default: runs/<folder of the manifest>-rounds]"),
    overwrite_option,
    json_option,
)
def rounds(
    manifest: Path,
    rounds: int,
    clicks: int,
    strategy: str,
    warm_start: bool,
    uncertainty: str | None,
    top_share: float | None,
    protocol: ProtocolName,
    tile_size: int | None,
    out_dir: Path | None,
    overwrite: bool,
    as_json: bool,
    **flags: Any,
) -> None:
    """Train on MANIFEST, add clicks where the network needs them, and train on these, in rounds.

    Round 1 trains on the marks of MANIFEST. Its network segments the training images, and each gets more clicks, whose
    labels come from the full masks. Round 2 trains on all marks so far. Repeat an interrupted command to resume.
    """
    from agmm.requirements import require_training_packages
    from sparsekit.synthesis.adding import dataset_of, require_marks

    given = of_strategy(strategy, {"uncertainty": uncertainty, "top_share": top_share})
    source = read_manifest(manifest)
    config = read_settings(with_all_bands(flags, source))
    if rounds > 1:  # now, not after the first round
        require_marks(source)
        dataset_of(source)
    require_training_packages()
    from agmm.inference.protocols import make_protocol
    from agmm.losses.build import build_loss
    from agmm.training.regime import resolve_loss
    from agmm.training.rounds import run_rounds, summarize

    folder = out_dir or Path("runs") / f"{source.path.parent.resolve().name or 'run'}-rounds"
    with usage_errors(), alone_in(folder):
        build_loss(resolve_loss(source, config))
        make_protocol(protocol, config.crop_size, tile_size=tile_size)
        results = run_rounds(
            source, config, folder, _drawing(clicks, strategy, given, config.seed, overwrite),
            needs=_NEEDS[strategy], rounds=rounds, start=start_of(warm_start), protocol=protocol, tile_size=tile_size,
            overwrite=overwrite, quiet=is_quiet(),
        )  # fmt: skip
    if not is_first_process():
        return
    if as_json:
        echo_json({"folder": str(folder), "val_split": config.val_split, "rounds": summarize(results)})
        return
    _print_table(results, config.val_split)
    echo_summary(f"Networks, predictions and clicks are in {shown_path(folder)}.")
    echo_next_score(results[-1].run_dir, results[-1].manifest.path, source, config.train_split)


def _drawing(clicks: int, strategy: str, given: dict[str, Any], seed: int, overwrite: bool) -> DrawClicks:
    """How the clicks of the next round are drawn, which is sparsekit's part."""
    from sparsekit.clicks.guides import Guide
    from sparsekit.clicks.settings import ClickSettings
    from sparsekit.synthesis.annotators import ClickAnnotator
    from sparsekit.synthesis.synthesize import synthesize

    def draw(manifest: Manifest, predicted: Path, folder: Path) -> None:
        guide = None if strategy == "uniform" else Guide(strategy, predicted / _NEEDS[strategy], **given)
        annotator = ClickAnnotator((clicks,), ClickSettings(strategy), guide)
        synthesize(manifest, annotator, folder.parent, name=folder.name, seed=seed, overwrite=overwrite)

    return draw


def _print_table(results: list[RoundResult], val_split: str) -> None:
    from sparsekit.audit.tables import format_table

    rows = [
        {
            "round": str(number),
            "labels per image": f"{result.labels_per_image:.1f}",
            f"mIoU on {val_split}": "" if result.info.best_miou is None else f"{100 * result.info.best_miou:.1f} %",
            "epoch": f"{result.info.best_epoch} of {result.info.epoch}",
            "network": str(result.run_dir),
        }
        for number, result in enumerate(results, start=1)
    ]
    echo(format_table(rows))
