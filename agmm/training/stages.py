"""Multi-stage training: train on sparse labels, label all pixels with the network, train a new network on these."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import get_args

import torch
from tqdm import tqdm

from agmm.config.training import MOST_NETWORKS, PseudoClasses, Start, TrainConfig
from agmm.data.bands import with_statistics
from agmm.distributed import join_ranks
from agmm.errors import TrainingError
from agmm.inference.crf import require_colors
from agmm.inference.protocols import Protocol
from agmm.requirements import require_crf
from agmm.runs.checkpoint import CheckpointInfo, load_checkpoint, read_checkpoint_info, save_checkpoint, with_prefix
from agmm.runs.files import CONFIG_NAME, STATE_NAME, weights_path
from agmm.runs.folder import require_free
from agmm.training.pseudo_labels import write_pseudo_labels
from agmm.training.regime import pseudo_classes_for, pseudo_classes_notice, resolve_loss
from agmm.training.resume import resumed_config, written_config
from agmm.training.train import train_network
from data_manifests import Manifest
from data_manifests.files.atomic import write_atomically
from data_manifests.files.paths import as_path, name_from
from data_manifests.files.text import read_json

#: Options of the loss that disable every term except the cross-entropy of labelled pixels.
SEG_ONLY = {"use_self": False, "use_spar": False, "use_con": False, "absence_weight": 0.0}

SUMMARY_NAME = "stages.json"

# Settings that decide where a run trains and do not affect its result.
_MAY_CHANGE = ("device", "workers", "compile", "log")


@dataclass(frozen=True)
class StageResult:
    """Result of one stage.

    Args:
        run_dir: Its run folder.
        manifest: What it was trained on.
        info: Header of its last checkpoint.
    """

    run_dir: Path
    manifest: Manifest
    info: CheckpointInfo


def later_stage(config: TrainConfig) -> TrainConfig:
    """The settings of the stages that learn from pseudo-labels: without any term that spreads labels to pixels."""
    if not config.learns_presence:
        return replace(config, loss_kind="agmm", loss=SEG_ONLY)
    own = config.loss if config.loss_kind == "presence" else config.loss["presence"]
    return replace(config, loss_kind="presence", loss=own if isinstance(own, Mapping) else {"weight": own})


def run_stages(
    manifest: Manifest,
    config: TrainConfig,
    out_dir: str | Path,
    *,
    stages: int = 2,
    start: Start = "fresh",
    protocol: Protocol | None = None,
    threshold: float = 0.0,
    soft: bool = False,
    pseudo_classes: PseudoClasses | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[StageResult]:
    """Train in stages.

    Stage 1 trains as ``agmm train`` does. Each later stage labels the training images with the previous network (see
    ``agmm.training.pseudo_labels``; true labels are kept) and trains on them with cross-entropy, and with L_presence
    if stage 1 does. Finished stages are kept, so repeating an interrupted call resumes it.

    Args:
        manifest: The sparse annotation.
        config: Settings of all stages; those of the loss apply to stage 1.
        out_dir: Folder for ``stage-1/``, ``pseudo-labels-1/``, ``stage-2/`` ... and ``stages.json``.
        stages: Number of stages.
        start: Later stages start ``fresh``, like stage 1, or ``warm``, from the previous network.
        protocol: How to segment images for pseudo-labels; by default at seven scales with flips. With ``crf``, a dense
            CRF refines the probabilities.
        threshold: Leave less certain pixels unlabelled; see ``agmm.training.pseudo_labels.label_by_network``.
        soft: Later stages learn the probabilities of the previous network (see ``agmm.data.soft_labels``) instead of
            its best class.
        pseudo_classes: Classes that the labels of an image may hold: those of its true labels (``labelled``), or
            ``all``. By default ``labelled`` if the manifest says that these are all classes of the image, or else
            ``all``.
        overwrite: Start again and replace the contents of ``out_dir``.
        quiet: Show no progress on stderr.

    Returns:
        One result for each stage.

    Raises:
        TrainingError: As ``agmm.train_network``, if ``out_dir`` holds a run on other data, or if the CRF's package is
            missing.
        ValueError: If a value is out of range, or the settings differ from those of an existing stage.
    """
    out_dir, asked, config = as_path(out_dir), config, resolve_loss(manifest, config)
    if not 1 <= stages <= MOST_NETWORKS:
        raise ValueError(f"stages must be 1 to {MOST_NETWORKS}, got {stages}.")
    if start not in get_args(Start):
        raise ValueError(f"Unknown start '{start}'. Choose from: {', '.join(get_args(Start))}.")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [0, 1], got {threshold}.")
    if stages > 1 and config.supervision != "sparse":
        raise ValueError(
            f"Stages after the first replace the sparse annotation, but supervision is {config.supervision}."
        )
    if soft and stages > 1:
        require_no_presence(config)
    ranks, protocol = join_ranks(config.device), protocol or Protocol("multi-scale")
    if not overwrite and stages > 1:
        require_same_start(out_dir / SUMMARY_NAME, out_dir / "stage-2", start)
    if protocol.crf and stages > 1:
        require_colors(config.num_channels)  # now, not after the first stage
        require_crf()

    def say(text: str) -> None:
        if stages > 1 and ranks.is_first and not quiet:
            tqdm.write(text, file=sys.stderr)

    config = with_statistics(manifest, config)
    if asked.loss_kind == "auto":
        say(f"loss_kind auto is {config.loss_kind} on this annotation.")
    say(pseudo_classes_notice(manifest, pseudo_classes))
    allowed = pseudo_classes_for(manifest, pseudo_classes)
    source, results = manifest, list[StageResult]()
    for number in range(1, stages + 1):
        run_dir = out_dir / f"stage-{number}"
        settings = config if number == 1 else later_stage(config)
        before = results[-1].run_dir if results and start == "warm" else None
        done = not overwrite and is_finished(run_dir, settings)
        what = "is trained already" if done else f"learns from {source.path.parent.name}"
        say(f"stage {number}/{stages}: {run_dir} {what}")
        info = train_stage(source, settings, run_dir, before, overwrite, quiet, say)
        results.append(StageResult(run_dir, source, info))
        # A repeated call that is refused below leaves the summary of all stages.
        if ranks.is_first and not (done and number < stages and (out_dir / SUMMARY_NAME).is_file()):
            _write_summary(out_dir, start, results)
        if number < stages:
            num_images = -(-len(manifest.rows_of(config.train_split)) // ranks.num_ranks)
            amp = ranks.uses_bfloat16(config.amp)
            is_labelled = not overwrite and (out_dir / f"pseudo-labels-{number}" / "manifest.csv").is_file()
            verb = "has labelled" if is_labelled else "labels"
            say(f"stage {number}/{stages}: {verb} the training images with its network")
            hidden = quiet or not ranks.is_first or not sys.stderr.isatty()
            with tqdm(total=num_images, unit="image", desc="pseudo-labels", file=sys.stderr, disable=hidden) as bar:
                source = write_pseudo_labels(
                    run_dir, manifest, out_dir / f"pseudo-labels-{number}", protocol=protocol,
                    threshold=threshold, soft=soft, pseudo_classes=allowed, overwrite=overwrite,
                    device=config.device, amp=amp,
                    on_image=lambda bar=bar: bar.update(),  # type: ignore[misc]
                )  # fmt: skip
    return results


def require_no_presence(config: TrainConfig) -> None:
    """Check that a loss goes with soft pseudo-labels; ``auto`` must be resolved.

    Raises:
        ValueError: If the loss has L_presence.
    """
    if config.learns_presence:
        raise ValueError(
            "Soft pseudo-labels train with cross-entropy alone, but the loss has presence: train on hard labels, or "
            "with another loss, such as --loss-kind seg."
        )


def is_finished(run_dir: Path, config: TrainConfig) -> bool:
    """Whether a stage has all its epochs."""
    state = run_dir / STATE_NAME
    return state.is_file() and read_checkpoint_info(state).epoch >= config.epochs


def train_stage(
    manifest: Manifest,
    config: TrainConfig,
    run_dir: Path,
    before: Path | None,
    overwrite: bool,
    quiet: bool,
    say: Callable[[str], None],
) -> CheckpointInfo:
    """Train or resume one stage, unless it is finished.

    Args:
        manifest: What it is trained on.
        config: Its settings.
        run_dir: Its run folder.
        before: Run folder of the stage whose network it starts from, if any.
        overwrite: Start again.
        quiet: Show no progress on stderr.
        say: Shows a warning.

    Raises:
        TrainingError: As ``agmm.train_network``, or if the folder holds a run on other data.
        ValueError: If the settings differ from those of the folder.
    """
    state = run_dir / STATE_NAME
    ranks = join_ranks(config.device)
    begun = state.is_file() and not overwrite
    ranks.wait()  # all check before the first one writes
    if begun:
        _require_same_length(run_dir, config)
        _require_not_edited(run_dir, config, say)
        config = resumed_config(run_dir, {f.name: getattr(config, f.name) for f in fields(config)})
        info = read_checkpoint_info(state)
        if info.manifest_sha256 != manifest.sha256():
            raise TrainingError(
                f"{run_dir}: was trained on another annotation than {manifest.path}. Choose another --out, or begin "
                "again with --overwrite."
            )
        if info.epoch >= config.epochs:
            return info
    elif before is not None:
        if ranks.is_first:
            require_free(run_dir, overwrite)
            _begin_from(before, manifest, config, ranks.num_ranks, state)
        ranks.wait()
        begun = True
    info = train_network(manifest, config, run_dir, resume=begun, overwrite=overwrite, quiet=quiet).info
    ranks.wait()  # the first one writes the weights that all read next
    return info


def _require_same_length(run_dir: Path, config: TrainConfig) -> None:
    """Check the number of epochs: a run extended by ``agmm train --resume`` no longer equals one of that length."""
    begun = read_checkpoint_info(run_dir / STATE_NAME).config
    for name in ("epochs", "val_every"):
        if (was := getattr(begun, name)) != (asked := getattr(config, name)):
            raise ValueError(
                f"{run_dir}: was started with {name} = {was}, but {asked} is requested. Choose another --out, or start "
                "again with --overwrite."
            )


def _require_not_edited(run_dir: Path, config: TrainConfig, say: Callable[[str], None]) -> None:
    """Reject edits in the ``config.toml`` of a stage, because the call sets the settings of all stages.

    Settings that do not affect the result only cause a warning, because a killed run may have left them.
    """
    trained, path = read_checkpoint_info(run_dir / STATE_NAME).config, run_dir / CONFIG_NAME
    written = written_config(run_dir, trained)
    edited = {
        field.name: f"{field.name.rstrip('_')} = {getattr(written, field.name)}"
        for field in fields(config)
        if getattr(written, field.name) not in (getattr(trained, field.name), getattr(config, field.name))
    }
    if fixed := [words for name, words in edited.items() if name not in _MAY_CHANGE]:
        raise ValueError(
            f"{path}: has been edited ({', '.join(fixed)}), but stages use the settings of the command. Undo the edit, "
            "or give these settings to the command with another --out."
        )
    if edited:
        say(f"Warning: {path}: {', '.join(edited.values())} is ignored: stages use the settings of the command.")


def require_same_start(path: Path, second: Path, start: Start) -> None:
    """Check that later stages or rounds start as those that exist.

    Args:
        path: The summary, which says how they started.
        second: Run folder of the second one.
        start: How they are to start now.

    Raises:
        TrainingError: If the summary is damaged.
        ValueError: If they started otherwise.
    """
    if not (second / STATE_NAME).is_file() or not path.is_file():
        return
    try:
        was = read_json(path).get("start", start)
    except (ValueError, AttributeError) as error:
        raise TrainingError(f"{path}: damaged ({error!r}). Choose another --out, or begin with --overwrite.") from error
    if was != start:
        raise ValueError(
            f"{path.parent}: {second.name} was started {was}, but {start} is requested. Choose another --out, or start "
            "again with --overwrite."
        )


def _begin_from(before: Path, manifest: Manifest, config: TrainConfig, num_ranks: int, state: Path) -> None:
    """Write the state of a run before its first step, with the network of another run."""
    weights, info = load_checkpoint(weights_path(before))
    tensors = with_prefix("model", weights)
    if config.ema_decay:
        average = {f"module.{name}": tensor.clone() for name, tensor in weights.items()}
        tensors |= with_prefix("ema", {**average, "n_averaged": torch.tensor(0)})
    checksum = manifest.sha256()
    fresh = CheckpointInfo(
        info.model, manifest.label_space, config, checksum, epoch=0, num_ranks=num_ranks, images=info.images
    )
    save_checkpoint(state, tensors, fresh)


def _write_summary(out_dir: Path, start: Start, results: Sequence[StageResult]) -> None:
    stages = [
        {
            "stage": number, "run": result.run_dir.name,
            "manifest": name_from(out_dir, result.manifest.path),
            "epochs": result.info.epoch, "best_epoch": result.info.best_epoch, "best_miou": result.info.best_miou,
        }
        for number, result in enumerate(results, start=1)
    ]  # fmt: skip
    write_atomically(out_dir / SUMMARY_NAME, (json.dumps({"start": start, "stages": stages}, indent=2) + "\n").encode())
