"""Rounds of training: train, segment the training images, add clicks where the network needs them, train on these."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from tqdm import tqdm

from agmm.config.protocol import ProtocolName
from agmm.config.training import MOST_NETWORKS, Start, TrainConfig
from agmm.data.bands import with_statistics
from agmm.distributed import Ranks, join_ranks
from agmm.errors import TrainingError
from agmm.inference.predict import predict_images
from agmm.inference.sources import images_of_manifest
from agmm.runs.files import weights_path
from agmm.training.regime import resolve_loss
from agmm.training.stages import StageResult, is_finished, require_same_start, train_stage
from data_manifests import Manifest, read_manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.paths import as_path
from data_manifests.files.text import read_json

SUMMARY_NAME = "rounds.json"

#: Says which network the predictions of a round come from.
_NETWORK_NAME = "network.json"

#: Adds clicks to an annotation: (the annotation, the folder of predictions for the images of its annotated splits, the
#: folder for the new annotation). Called by the first process alone.
DrawClicks = Callable[[Manifest, Path, Path], None]

#: What clicks are drawn by: a folder of ``agmm.inference.sources.RESULT_FOLDERS``, or nothing.
Needs = Literal["probabilities", "label_maps", "nothing"]


class RoundResult(StageResult):
    """Result of one round."""

    @property
    def labels_per_image(self) -> float:
        """Mean number of labelled pixels of an annotated training image: its clicks, if it has no other marks."""
        rows = [row for row in self.manifest.rows_of(self.info.config.train_split) if row.annotation]
        return sum(row.num_labelled for row in rows) / max(1, len(rows))


def run_rounds(
    manifest: Manifest,
    config: TrainConfig,
    out_dir: str | Path,
    draw: DrawClicks,
    *,
    needs: Needs,
    rounds: int = 3,
    start: Start = "fresh",
    protocol: ProtocolName = "whole",
    tile_size: int | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[RoundResult]:
    """Train in rounds, each on more clicks than the one before.

    Round 1 trains on the manifest as ``agmm train`` does. After each round but the last, its network segments the
    training images, and ``draw`` adds clicks. Finished rounds are kept, so repeating an interrupted call resumes it.

    Args:
        manifest: The annotation of round 1.
        config: Settings of all rounds.
        out_dir: Folder for ``round-1/``, ``predicted-1/``, ``clicks-2/``, ``round-2/`` ... and ``rounds.json``.
        draw: Draws the clicks of the next round. Repeated for the same predictions, it must give the same clicks.
        needs: Which predictions ``draw`` reads; ``nothing`` segments no images.
        rounds: Number of networks.
        start: Later rounds start ``fresh``, like round 1, or ``warm``, from the previous network.
        protocol: How to segment the training images.
        tile_size: See ``agmm.inference.protocols.make_protocol``.
        overwrite: Start again and replace the contents of ``out_dir``.
        quiet: Show no progress on stderr.

    Returns:
        One result for each round.

    Raises:
        TrainingError: As ``agmm.train_network``, or if ``out_dir`` holds a run on other data.
        DataError: If the clicks cannot be drawn.
        ValueError: If a value is out of range, or the settings differ from those of an existing round.
    """
    out_dir = as_path(out_dir)
    if not 1 <= rounds <= MOST_NETWORKS:
        raise ValueError(f"rounds must be 1 to {MOST_NETWORKS}, got {rounds}.")
    if start not in get_args(Start):
        raise ValueError(f"Unknown start '{start}'. Choose from: {', '.join(get_args(Start))}.")
    if rounds > 1 and config.supervision != "sparse":
        raise ValueError(f"Rounds add clicks to the annotation, but supervision is {config.supervision}.")
    ranks, summary = join_ranks(config.device), out_dir / SUMMARY_NAME
    if not overwrite:
        require_same_start(summary, out_dir / "round-2", start)

    def say(text: str) -> None:
        if ranks.is_first and not quiet:
            tqdm.write(text, file=sys.stderr)

    asked, config = config, resolve_loss(manifest, with_statistics(manifest, config))
    if asked.loss_kind == "auto":
        say(f"loss_kind auto is {config.loss_kind} on this annotation.")
    results: list[RoundResult] = []
    for number in range(1, rounds + 1):
        run_dir = out_dir / f"round-{number}"
        before = results[-1].run_dir if results and start == "warm" else None
        done = not overwrite and is_finished(run_dir, config)
        say(f"round {number}/{rounds}: {run_dir} {'is trained already' if done else f'learns from {manifest.name}'}")
        results.append(
            RoundResult(run_dir, manifest, train_stage(manifest, config, run_dir, before, overwrite, quiet, say))
        )
        # A repeated call that is refused below leaves the summary of all rounds.
        if ranks.is_first and not (done and number < rounds and summary.is_file()):
            _write_summary(summary, start, results)
        if number < rounds:
            predicted, folder = out_dir / f"predicted-{number}", out_dir / f"clicks-{number + 1}"
            if needs != "nothing":
                network, noted = _network(run_dir, needs, protocol, tile_size), _noted(predicted)
                if not overwrite:
                    _require_drawn_alike(folder, noted, network)
                ranks.wait()  # all check before the first one writes
                if noted != network:
                    say(f"round {number}/{rounds}: segments the training images with its network")
                    _predict(run_dir, manifest, predicted, config, ranks, network, quiet)
            if ranks.is_first:
                draw(manifest, predicted, folder)
            ranks.wait()
            manifest = read_manifest(folder)
    return results


def _network(run_dir: Path, needs: Needs, protocol: ProtocolName, tile_size: int | None) -> dict[str, Any]:
    """Where predictions come from, for the note beside them."""
    weights = hashlib.sha256(weights_path(run_dir).read_bytes()).hexdigest()
    return {"checkpoint_sha256": weights, "protocol": protocol, "tile_size": tile_size, "kind": needs}


def _noted(predicted: Path) -> object:
    """The note beside predictions; None if it is missing or damaged, and images are segmented again."""
    note = predicted / _NETWORK_NAME
    try:
        return read_json(note) if note.is_file() else None
    except ValueError:
        return None


def _require_drawn_alike(clicks: Path, noted: object, network: Mapping[str, Any]) -> None:
    """Check that predictions by which clicks were drawn would not be replaced by others.

    Raises:
        TrainingError: If the clicks exist, and were drawn by predictions of another network, protocol or kind.
    """
    if not isinstance(noted, dict) or noted.keys() != network.keys() or not (clicks / "manifest.csv").is_file():
        return
    if differ := [f"{name} {noted[name]} there, {here} here" for name, here in network.items() if noted[name] != here]:
        raise TrainingError(
            f"{clicks}: was drawn by other predictions ({', '.join(differ)}). Choose another --out, or begin again "
            "with --overwrite."
        )


def _predict(
    run_dir: Path,
    manifest: Manifest,
    folder: Path,
    config: TrainConfig,
    ranks: Ranks,
    network: Mapping[str, Any],
    quiet: bool,
) -> None:
    """Segment the training images; the folder appears only when it is complete."""
    partial = folder.with_name(f".{folder.name}.partial")
    if ranks.is_first:
        shutil.rmtree(partial, ignore_errors=True)
    ranks.wait()
    splits = sorted({row.split for row in manifest.rows if row.annotation})
    images = {name: path for split in splits for name, path in images_of_manifest(manifest, split).items()}
    mine = dict(list(images.items())[ranks.rank :: ranks.num_ranks])
    hidden = quiet or not ranks.is_first or not sys.stderr.isatty()
    with tqdm(total=len(mine), unit="image", desc="predictions", file=sys.stderr, disable=hidden) as bar:

        def advance() -> None:
            bar.update()

        predict_images(
            run_dir, mine, partial, protocol=network["protocol"], tile_size=network["tile_size"],
            probabilities=network["kind"] == "probabilities", device=str(ranks.device),
            amp=ranks.uses_bfloat16(config.amp), on_image=advance,
        )  # fmt: skip
    ranks.wait()
    if ranks.is_first:
        write_atomically(partial / _NETWORK_NAME, (json.dumps(network, indent=2) + "\n").encode())
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    ranks.wait()


def summarize(results: Sequence[RoundResult]) -> list[dict[str, object]]:
    """The entries of ``rounds.json``: labels per image, best mIoU on the validation split, and its epoch."""
    return [
        {
            "round": number, "run": result.run_dir.name, "manifest": result.manifest.name,
            "labels_per_image": result.labels_per_image, "epochs": result.info.epoch,
            "best_epoch": result.info.best_epoch, "best_miou": result.info.best_miou,
        }
        for number, result in enumerate(results, start=1)
    ]  # fmt: skip


def _write_summary(path: Path, start: Start, results: Sequence[RoundResult]) -> None:
    write_atomically(path, (json.dumps({"start": start, "rounds": summarize(results)}, indent=2) + "\n").encode())
