"""The training loop, readable from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from agmm.config.training import TrainConfig, spell
from agmm.data.bands import with_bands, with_statistics
from agmm.data.dataset import batches, to_network_input
from agmm.data.soft_labels import has_soft_labels, soft_labels_path
from agmm.distributed import join_ranks
from agmm.errors import TrainingError
from agmm.evaluation.evaluate import evaluate_rows, evaluate_with_mixture
from agmm.inference.protocols import Protocol
from agmm.runs.checkpoint import CheckpointInfo, read_checkpoint_info, require_fit, save_checkpoint
from agmm.runs.files import STATE_NAME, WEIGHTS_NAME, weights_path
from agmm.runs.folder import claim, describe_run
from agmm.runs.scores import PER_IMAGE_NAME
from agmm.training.initial_weights import initial_notice, require_initial_weights
from agmm.training.preview import draw_predictions
from agmm.training.regime import regime_notices, resolve_loss
from agmm.training.resume import require_same_settings
from agmm.training.run_log import RunLog
from agmm.training.schedule import learning_rate_factor
from agmm.training.state import TrainingState, prepare, restore
from agmm.training.trackers import require_tracker, start_tracker
from data_manifests import Manifest, ManifestRow
from data_manifests.errors import counted, list_some
from data_manifests.files.paths import as_path, without_links
from data_manifests.manifest.rows import require_files

# Steps between two checks that the loss is finite; each check waits for the device.
_CHECK_EVERY = 20


@dataclass(frozen=True)
class TrainResult:
    """Result of a run.

    Args:
        run_dir: The run folder.
        info: Header of the last checkpoint: finished epochs, best epoch and its mIoU.
    """

    run_dir: Path
    info: CheckpointInfo


def train_network(
    manifest: Manifest,
    config: TrainConfig,
    run_dir: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> TrainResult:
    """Train a network on a manifest.

    Under torchrun, all processes train one network together. Equal manifest, settings and number of processes give
    equal weights, bit by bit on a CPU, even if the run was interrupted and resumed. A new run that ends before its
    first epoch is complete leaves nothing behind.

    Args:
        manifest: Manifest to train on.
        config: All settings.
        run_dir: The run folder for weights, state, settings and log.
        resume: Continue after the last complete epoch in ``run_dir``.
        overwrite: Replace an existing run in ``run_dir``.
        quiet: Show no progress on stderr.

    Raises:
        TrainingError: If the manifest cannot be used, differs from that of the resumed run or between ranks, the
            resumed run had another number of ranks, a loss is not finite, or a checkpoint cannot be written.
        ValueError: If settings are incompatible, or a resumed run would change others than epochs, device, workers,
            val_every, compile and log.
    """
    run_dir = as_path(run_dir)
    require_tracker(config.log)
    ranks = join_ranks(config.device)
    checksum = manifest.sha256()
    ranks.require_equal(checksum, "manifest")
    ranks.require_equal(config.to_toml(), "settings")
    val_rows = validation_rows(manifest, config)
    require_files(manifest, needed_files(manifest, config))
    if config.supervision == "sparse" and not any(
        row.num_labelled or row.classes_labelled for row in manifest.rows_of(config.train_split)
    ):
        raise TrainingError(f"{manifest.path}: labels no pixel of split '{config.train_split}'; nothing can be learnt.")
    is_auto = config.loss_kind == "auto"
    config = resolve_loss(manifest, with_statistics(manifest, config))
    manifest = with_bands(manifest, config)
    tile_size = max(config.crop_size) if config.val_protocol == "sliding" else None
    protocol = Protocol(config.val_protocol, tile_size)
    if resume:
        trained = read_checkpoint_info(run_dir / STATE_NAME)
        require_same_settings(run_dir, trained.config, config)
        require_fit(run_dir / STATE_NAME, config.model(trained.model.num_classes), "model.")
    elif config.init:
        require_initial_weights(config, config.model(manifest.label_space.num_classes))
        if without_links(weights_path(config.init)).parent == without_links(run_dir):
            raise TrainingError(f"{run_dir}: is the run to start from, which would be replaced. Choose another --out.")
    state = prepare(manifest, config, ranks, load_encoder_weights=not resume)
    info = CheckpointInfo(
        state.model.config, manifest.label_space, config, checksum, epoch=0, num_ranks=ranks.num_ranks,
        images=manifest.info.images,
    )  # fmt: skip
    if resume:
        info = restore(state, info, run_dir / STATE_NAME)
    elif ranks.is_first:
        state.read_a_sample()  # unreadable files fail before an earlier run is replaced
    steps_per_epoch = state.sampler.steps_per_epoch
    with ExitStack() as stack:
        if ranks.is_first:
            stack.enter_context(claim(run_dir, resume=resume, overwrite=overwrite))
            describe_run(run_dir, manifest, checksum, config, ranks)
        names = state.criterion.term_names
        tracker = start_tracker(config.log, run_dir, config.to_dict(), info.epoch) if ranks.is_first else None
        log = RunLog(run_dir, ranks, config.epochs, steps_per_epoch, info.epoch, quiet, names, tracker)
        stack.enter_context(log)
        for notice in notices(manifest, config, info.epoch, steps_per_epoch, is_auto=is_auto):
            log.say(notice)
        for epoch in range(info.epoch + 1, config.epochs + 1):
            scores = train_epoch(state, epoch, log)
            state.share_buffers()
            info = replace(info, epoch=epoch)
            if not val_rows:
                info = replace(info, best_epoch=epoch)
            elif epoch % config.val_every == 0 or epoch == config.epochs:
                result = evaluate_rows(state.eval_model, manifest, val_rows, protocol=protocol, **state.evaluation())
                scores |= {f"val_{name}": score for name, score in result.scores.items()}
                scores |= score_training_images(state, manifest)
                if tracker is not None:
                    drawn = draw_predictions(
                        state.eval_model, manifest, val_rows, protocol, ranks.device, state.uses_amp
                    )
                    log.write_previews(epoch, result, drawn)
                if math.isnan(result.miou):
                    log.say(f"No pixel of split '{config.val_split}' has a class: the last epoch is kept.")
                    val_rows, info = [], replace(info, best_epoch=epoch)
                elif info.best_miou is None or result.miou > info.best_miou:
                    info = replace(info, best_miou=result.miou, best_epoch=epoch)
                    log.validation(epoch, result)
            log.epoch(epoch, scores)
            if ranks.is_first:
                if info.best_epoch == epoch:
                    (run_dir / PER_IMAGE_NAME).unlink(missing_ok=True)  # scores of the weights before
                    save_checkpoint(run_dir / WEIGHTS_NAME, state.eval_model.state_dict(), info)
                save_checkpoint(run_dir / STATE_NAME, state.tensors(), info)
    return TrainResult(run_dir, info)


def needed_files(manifest: Manifest, config: TrainConfig) -> list[Path]:
    """The files that training reads: images, training labels and validation masks."""
    column = "annotation" if config.supervision == "sparse" else "full_mask"
    rows = [row for row in manifest.rows if row.split == config.train_split]
    named = [(row.image, getattr(row, column)) for row in rows]
    named += [(row.image, row.full_mask) for row in validation_rows(manifest, config)]
    paths = [manifest.resolve(cell) for cells in named if all(cells) for cell in cells]
    if config.supervision == "sparse" and has_soft_labels(manifest):
        paths += [soft_labels_path(manifest.resolve(row.annotation)) for row in rows if row.annotation]
    return paths


def notices(
    manifest: Manifest, config: TrainConfig, epochs_done: int, steps_per_epoch: int, *, is_auto: bool = False
) -> Iterator[str]:
    """Yield one line for each probable mistake in the settings, before training starts."""
    if config.init and not epochs_done:
        yield from initial_notice(config, manifest.label_space)
    if epochs_done >= config.epochs:
        yield f"All {config.epochs} epochs are already trained; a larger --epochs trains longer."
    elif config.warmup_steps >= (num_steps := config.epochs * steps_per_epoch):
        yield (
            f"Warning: warmup_steps is {config.warmup_steps}, but the run has only {counted(num_steps, 'step')}: the "
            "learning rate never reaches its value. Lower --warmup-steps, or train for more --epochs."
        )
    if manifest.label_space.num_classes == 1:
        yield (
            f"Warning: '{manifest.label_space.class_names[0]}' is the only class, so every prediction is correct. In "
            "masks of 0 and 255, the value 255 means void unless a classes.csv makes it a class."
        )
    of_agmm = ("preset", "lambda_", "lambda_ramp")
    idle = [spell(name) for name in of_agmm if getattr(config, name) != getattr(TrainConfig, name)]
    if idle and config.loss_kind != "agmm":
        yield f"Warning: {list_some(idle)} without effect: loss_kind is {config.loss_kind}, and only agmm reads that."
    yield from regime_notices(manifest, config, is_auto=is_auto)
    if unseen := classes_without_a_label(manifest, config):
        those = "that class" if len(unseen) == 1 else "those classes"
        yield (
            f"Warning: no pixel of split '{config.train_split}' is labelled {list_some(unseen)}: the network cannot "
            f"learn {those}."
        )
    if not (val_rows := validation_rows(manifest, config)):
        could = any(row.full_mask for row in manifest.rows)
        hint = " `sparsekit split` sets images aside for validation." if could else ""
        yield f"No row of split '{config.val_split}' has a full mask: the last epoch is kept.{hint}"
    if config.gmm_images and not (val_rows and scored_training_rows(manifest, config)):
        yield (
            f"Warning: no training image is scored, although gmm_images is {config.gmm_images}: this needs rows of "
            f"split '{config.train_split}' with full mask and annotation, and validation."
        )


def train_epoch(state: TrainingState, epoch: int, log: RunLog) -> dict[str, float | None]:
    """Train for one epoch.

    Args:
        state: The training state.
        epoch: Number of the epoch, from 1.
        log: The log of the run.

    Returns:
        Learning rate of the last step, and the means of the loss and its terms over the epoch.
    """
    config, steps = state.config, state.sampler.steps_per_epoch
    # Every epoch has its own seed, so that resuming needs no generator state.
    torch.manual_seed(epoch_seed(config.seed, epoch, state.ranks.rank))
    state.sampler.epoch = epoch
    state.net.train()
    state.monitor.clear()
    samples = batches(state.loader)
    for step in range((epoch - 1) * steps, epoch * steps):
        factor = learning_rate_factor(config.schedule, step, config.epochs * steps, config.warmup_steps)
        for group in state.optimizer.param_groups:
            group["lr"] = config.learning_rate * group["factor"] * factor
        state.criterion.set_progress(step / (config.epochs * steps))
        state.optimizer.zero_grad()
        for part in range(config.accumulate):
            batch = to_network_input(next(samples), state.ranks.device)
            with state.synced(part == config.accumulate - 1):
                with state.autocast():
                    output = state.net(state.criterion.student_view(batch.image))
                    total, terms = state.criterion(output, batch)
                (total / config.accumulate).backward()
            state.monitor.add(step, total, terms)
        if config.clip_norm:
            nn.utils.clip_grad_norm_(state.model.parameters(), config.clip_norm)
        state.optimizer.step()
        if state.ema is not None:
            state.ema.update_parameters(state.model)
        if step % _CHECK_EVERY == 0:
            state.monitor.means()
        log.step()
    return {"learning_rate": config.learning_rate * factor, **state.monitor.means()}


def score_training_images(state: TrainingState, manifest: Manifest) -> dict[str, float | None]:
    """Training-set mIoU of the segmentation and of the mixture (supplement, figure 2)."""
    if not (rows := scored_training_rows(manifest, state.config)):
        return {}
    options = state.config.mixture()
    whole, mixture = evaluate_with_mixture(state.eval_model, manifest, rows, options=options, **state.evaluation())
    return {"train_miou": whole.miou, "gmm_miou": mixture.miou}


def scored_training_rows(manifest: Manifest, config: TrainConfig) -> list[ManifestRow]:
    """Rows for ``score_training_images``: the first of the training split with full mask and annotation."""
    rows = manifest.rows_of(config.train_split)
    return [row for row in rows if row.full_mask and row.annotation][: config.gmm_images]


def validation_rows(manifest: Manifest, config: TrainConfig) -> list[ManifestRow]:
    """Rows of the validation split with a full mask; may be empty."""
    return [row for row in manifest.rows if row.split == config.val_split and row.full_mask]


def classes_without_a_label(manifest: Manifest, config: TrainConfig) -> list[str]:
    """Names of the classes that no annotation of the training split contains; does not read full masks."""
    if config.supervision != "sparse":
        return []
    labelled = {class_id for row in manifest.rows_of(config.train_split) for class_id in row.classes_labelled}
    return [name for class_id, name in enumerate(manifest.label_space.class_names) if class_id not in labelled]


def epoch_seed(seed: int, epoch: int, rank: int) -> int:
    """Seed of dropout and other random layers in one epoch of one process."""
    return int(np.random.SeedSequence((seed, epoch, rank)).generate_state(1, np.uint64)[0]) >> 1
