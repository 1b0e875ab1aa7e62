"""The training state: build it from the settings, save it, and restore it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from agmm.config.training import TrainConfig
from agmm.data.dataset import EpochSampler, ManifestDataset, Sample, make_loader
from agmm.distributed import Ranks, launch_command
from agmm.errors import TrainingError
from agmm.losses.base import SparseLoss
from agmm.losses.build import build_loss
from agmm.models import build_model
from agmm.models.network import SegmentationModel, sync_batchnorm
from agmm.runs.checkpoint import (
    CheckpointInfo,
    load_checkpoint,
    load_tensors,
    optimizer_tensors,
    restore_optimizer,
    with_prefix,
    without_prefix,
)
from agmm.training.initial_weights import load_initial_weights
from agmm.training.loss_monitor import TermMonitor
from data_manifests import Manifest


@dataclass
class TrainingState:
    """Network, data, loss and optimizer of a run.

    Args:
        config: All settings.
        ranks: This process among those that train together.
        sampler: Order of the samples.
        loader: Batches of samples.
        model: The network itself.
        net: The network as the loop calls it: compiled, or wrapped for several processes.
        ema: Moving average of the network's weights.
        criterion: The loss.
        optimizer: Two groups of parameters, each with its ``factor`` on the learning rate.
        monitor: Means of the loss terms.
    """

    config: TrainConfig
    ranks: Ranks
    sampler: EpochSampler
    loader: DataLoader[Sample]
    model: SegmentationModel
    net: nn.Module
    ema: AveragedModel | None
    criterion: SparseLoss
    optimizer: Optimizer
    monitor: TermMonitor

    @property
    def eval_model(self) -> nn.Module:
        """The network that is validated and saved: the moving average, if there is one."""
        return self.model if self.ema is None else self.ema.module

    @property
    def uses_amp(self) -> bool:
        """Whether to compute in bfloat16."""
        return self.ranks.uses_bfloat16(self.config.amp)

    def autocast(self) -> AbstractContextManager[object]:
        """Precision context of the forward pass."""
        return torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.uses_amp)

    def evaluation(self) -> dict[str, Any]:
        """Arguments of ``evaluate_rows`` for this run."""
        return {
            "device": self.ranks.device, "distributed": self.ranks.num_ranks > 1, "amp": self.uses_amp,
            "workers": max(1, self.config.workers),
        }  # fmt: skip

    def share_buffers(self) -> None:
        """Copy the first rank's running statistics, which differ without SyncBN, to all ranks.

        Validation must score one network, and a teacher must not differ from that of a resumed run, which starts with
        the statistics that the first rank saved.
        """
        if self.ranks.num_ranks > 1:
            for buffer in self.eval_model.buffers():
                distributed.broadcast(buffer, src=0)

    def synced(self, is_last: bool) -> AbstractContextManager[object]:
        """Exchange gradients between processes only in the last pass of a step."""
        return self.net.no_sync() if isinstance(self.net, DistributedDataParallel) and not is_last else nullcontext()

    def read_a_sample(self) -> None:
        """Read the files of one training sample, to detect unusable ones early.

        Raises:
            DataError: If a file is missing, damaged, or differs from the manifest.
        """
        self.loader.dataset[next(iter(self.sampler))[0]]

    def tensors(self) -> dict[str, Tensor]:
        """Tensors that change during training; everything else follows from settings, seed and epoch."""
        tensors = with_prefix("model", self.model.state_dict())
        tensors |= with_prefix("optimizer", optimizer_tensors(self.optimizer))
        return tensors | (with_prefix("ema", self.ema.state_dict()) if self.ema is not None else {})


def prepare(
    manifest: Manifest, config: TrainConfig, ranks: Ranks, *, load_encoder_weights: bool = True
) -> TrainingState:
    """Build the training state.

    Args:
        manifest: Manifest to train on.
        config: All settings.
        ranks: This process among those that train together.
        load_encoder_weights: False skips initial weights, because :func:`restore` replaces them.

    Raises:
        TrainingError: If the split has no rows or lacks files, the encoder or its weights are unavailable, or batch
            normalisation would see a single image.
        ValueError: If an option of the loss is unknown or has a wrong value.
    """
    device, on_cuda = ranks.device, ranks.device.type == "cuda"
    synced_images = config.batch_size * (ranks.num_ranks if on_cuda else 1)
    if synced_images < 2:
        raise TrainingError(
            "Batch normalisation needs more than one image per batch. Use --batch-size 2 or more; "
            "smaller crops (--crop-size) save the memory."
        )
    dataset = ManifestDataset(
        manifest, manifest.rows_of(config.train_split), config.augmentation(), config.supervision, config.seed
    )
    sampler = EpochSampler(
        len(dataset), config.batch_size, config.accumulate,
        seed=config.seed, rank=ranks.rank, num_ranks=ranks.num_ranks,
    )  # fmt: skip
    criterion = build_loss(config, manifest.label_space.unlabelled_value, soft=dataset.is_soft)
    torch.manual_seed(config.seed)
    settings = config.model(manifest.label_space.num_classes)
    model = build_model(settings, load_encoder_weights=load_encoder_weights and not config.init)
    if config.init and load_encoder_weights:
        load_initial_weights(model, config, manifest.label_space)
    if on_cuda and ranks.num_ranks > 1:
        model = sync_batchnorm(model)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    net: nn.Module = torch.compile(model) if config.compile else model  # type: ignore[assignment]
    if ranks.num_ranks > 1:
        net = DistributedDataParallel(net, device_ids=[device.index] if on_cuda else None)
    ema = moving_average(model, config.ema_decay) if config.ema_decay else None
    if criterion.uses_teacher and ema is not None:
        criterion.attach_teacher(ema.module.eval())
    loader = make_loader(dataset, sampler, config.workers, pin_memory=on_cuda)
    optimizer = make_optimizer(model, config)
    return TrainingState(config, ranks, sampler, loader, model, net, ema, criterion, optimizer, TermMonitor(ranks))


def moving_average(model: nn.Module, decay: float) -> AveragedModel:
    """Make a moving average of a network's weights with warm-up, like timm's and TensorFlow's.

    The decay of update n, from 0, is min(decay, (1 + n) / (10 + n)). A constant decay would keep the initial weights
    for about 1 / (1 - decay) steps, which can exceed the whole run.

    Args:
        model: The network.
        decay: Decay after warm-up, 0..1.
    """

    def update(kept: Any, current: Any, on_device: Any) -> None:
        num = int(ema.n_averaged)  # on the CPU; reading the copy on a GPU would wait for it
        get_ema_multi_avg_fn(min(decay, (1 + num) / (10 + num)))(kept, current, on_device)  # type: ignore[no-untyped-call]

    ema = AveragedModel(model, multi_avg_fn=update)
    return ema


def make_optimizer(model: SegmentationModel, config: TrainConfig) -> Optimizer:
    """Make the optimizer; the new layers form a group with ``new_layers_factor`` times the learning rate."""
    old, new = model.split_parameters()
    groups = [{"params": old, "factor": 1.0}, {"params": new, "factor": config.new_layers_factor}]
    if config.optimizer == "adamw":
        return AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    return SGD(groups, lr=config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay)


def restore(state: TrainingState, fresh: CheckpointInfo, path: Path) -> CheckpointInfo:
    """Restore the state of an interrupted run.

    Args:
        state: Built for the same settings.
        fresh: Checkpoint header of a new run with these settings.
        path: The state file.

    Returns:
        The header of the state file, with the settings of ``fresh``.

    Raises:
        TrainingError: If the state cannot be read, or belongs to another manifest or another number of ranks.
    """
    tensors, info = load_checkpoint(path)
    if info.manifest_sha256 != fresh.manifest_sha256:
        raise TrainingError(
            f"{path}: was trained on another manifest (checksum {info.manifest_sha256[:12]}, got "
            f"{fresh.manifest_sha256[:12]}). Resume with the manifest it was started with, or begin a new run."
        )
    if info.num_ranks != fresh.num_ranks:
        raise TrainingError(
            f"{path}: was trained by {info.num_ranks} processes, but now there are {fresh.num_ranks}, which would "
            f"change batches and learning rates. Resume with {info.num_ranks}: {launch_command(info.num_ranks)} train "
            f"MANIFEST --resume {path.parent}"
        )
    load_tensors(state.model, without_prefix("model", tensors), path)
    if state.ema is not None:
        load_tensors(state.ema, without_prefix("ema", tensors), path)
    restore_optimizer(state.optimizer, without_prefix("optimizer", tensors))
    return replace(info, config=fresh.config)
