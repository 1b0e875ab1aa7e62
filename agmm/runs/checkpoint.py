"""Checkpoints: weights and training state in safetensors files with a descriptive header, written atomically.

A run folder holds two of them. ``weights.safetensors`` is the network to use: the best epoch, or the last one without
validation. ``state.safetensors`` is what ``--resume`` needs. Neither is a pickle, so reading a stranger's checkpoint
runs no code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from agmm.config.model import ModelConfig
from agmm.errors import TrainingError
from agmm.models import build_model
from agmm.models.network import SegmentationModel
from agmm.runs.checkpoint_info import CHECKPOINT_VERSION as CHECKPOINT_VERSION
from agmm.runs.checkpoint_info import HEADER_KEY, info_of_header, read_safely
from agmm.runs.checkpoint_info import CheckpointInfo as CheckpointInfo
from agmm.runs.checkpoint_info import read_checkpoint_info as read_checkpoint_info
from agmm.runs.files import STATE_NAME
from agmm.runs.files import WEIGHTS_NAME as WEIGHTS_NAME
from agmm.runs.files import weights_path as weights_path
from data_manifests import LabelSpace
from data_manifests.errors import list_some
from data_manifests.figures.notebook import Line, fragment
from data_manifests.files.atomic import atomic_path


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], info: CheckpointInfo) -> None:
    """Write a checkpoint; the previous file at ``path`` stays until the new one is complete.

    Args:
        path: The file.
        tensors: Tensors by name, on any device.
        info: Contents of the header.

    Raises:
        TrainingError: If it cannot be written, such as on a full disk, or a value is not a finite number.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    owned = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    # No loss follows the last step of an epoch, so check the weights.
    if spoilt := [name for name, tensor in owned.items() if not tensor.isfinite().all()]:
        raise TrainingError(
            f"{path}: not written, because {len(spoilt)} of {len(owned)} tensors contain values that are not finite "
            f"(first: {spoilt[0]}). The previous checkpoint is unchanged. Lower --learning-rate, limit the gradient "
            "with --clip-norm 5, or raise --warmup-steps."
        )
    try:
        with atomic_path(path) as partial:
            partial.touch()
            mode = partial.stat().st_mode  # as the umask allows; save_file creates files readable only by their owner
            save_file(owned, partial, metadata={HEADER_KEY: info.to_json()})
            partial.chmod(mode)
    except (OSError, SafetensorError) as error:
        retry = f"resume with --resume {path.parent}" if (path.parent / STATE_NAME).exists() else "start again"
        raise TrainingError(
            f"{path}: the checkpoint could not be written ({error}). The previous checkpoint is unchanged. Free some "
            f"space, then {retry}."
        ) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], CheckpointInfo]:
    """Read a checkpoint: its tensors, on the CPU, and its header.

    Raises:
        TrainingError: If the file is missing, truncated, from a newer version, a pickle, or not one of ours.
    """

    def read() -> tuple[dict[str, Tensor], dict[str, str]]:
        with safe_open(path, "pt") as file:  # both from one open file, because a run may replace it in the meantime
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118

    tensors, header = read_safely(path, read)
    return tensors, info_of_header(header, path)


@dataclass(frozen=True)
class LoadedRun:
    """A trained network, ready to predict.

    Args:
        model: The network in evaluation mode, on the device.
        info: Header of the checkpoint.
        path: The file of the weights.
    """

    model: SegmentationModel
    info: CheckpointInfo
    path: Path

    def __repr__(self) -> str:
        """One line, as notebooks show it, without the network's hundreds of layers."""
        return f"<LoadedRun {self.path}: {self.info.config.encoder}, {self.label_space.name}, epoch {self.info.epoch}>"

    def _repr_html_(self) -> str:
        config = self.info.config
        facts = [
            f"{config.encoder}, {self.label_space.name}", f"{config.loss_kind} on {config.supervision} annotations",
            f"epoch {self.info.epoch} of {config.epochs}, seed {config.seed}", str(self.path),
        ]  # fmt: skip
        score = self.info.best_miou
        best = [] if score is None else [Line(f"mIoU, epoch {self.info.best_epoch}", score, f"{100 * score:.1f} %")]
        return fragment(f"Run {self.path.parent.name}", facts, best)

    @property
    def label_space(self) -> LabelSpace:
        """Classes of the network's outputs."""
        return self.info.label_space


def load_run(run: str | Path, device: torch.device | str = "cpu") -> LoadedRun:
    """Load the network of a run.

    Args:
        run: Run folder or weights file.
        device: Device of the network.

    Raises:
        TrainingError: As ``load_checkpoint``, or if the weights do not fit the network they name.
    """
    path = weights_path(run)
    info = read_checkpoint_info(path)
    if any(name.startswith("model.") for name in _shapes(path)):
        raise TrainingError(
            f"{path}: is the state of a run, for `agmm train MANIFEST --resume {path.parent}`. Give the folder, or its "
            f"{WEIGHTS_NAME}."
        )
    require_fit(path, info.model)
    tensors, info = load_checkpoint(path)
    model = build_model(info.model, load_encoder_weights=False)
    load_tensors(model, tensors, path)
    # Channels-last, as in training: on a CPU, images take a third less time.
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LoadedRun(model.eval(), info, path)


def require_fit(path: Path, config: ModelConfig, prefix: str = "") -> None:
    """Check that a checkpoint contains the weights of a network, before allocating memory for either.

    Args:
        path: The checkpoint.
        config: The network; an untrusted header may describe a huge one.
        prefix: Prefix of the names of its weights, such as ``model.``.

    Raises:
        TrainingError: If names or shapes differ.
    """
    held = {name.removeprefix(prefix): shape for name, shape in _shapes(path).items() if name.startswith(prefix)}
    if len(held) < len(config.aspp_rates):
        raise TrainingError(f"{path}: holds {len(held)} weights of a network with {len(config.aspp_rates)} branches.")
    with torch.device("meta"):
        own = build_model(config, load_encoder_weights=False).state_dict()
    _require_equal({name: tensor.shape for name, tensor in own.items()}, held, path)


def load_tensors(model: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a network.

    Raises:
        TrainingError: If names or shapes differ.
    """
    own = {name: tensor.shape for name, tensor in model.state_dict().items()}
    _require_equal(own, {name: tensor.shape for name, tensor in tensors.items()}, path)
    model.load_state_dict(dict(tensors))


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of a checkpoint, from its header alone."""

    def read() -> dict[str, tuple[int, ...]]:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    return read_safely(path, read)


def _require_equal(own: Mapping[str, Sequence[int]], held: Mapping[str, Sequence[int]], path: Path) -> None:
    wrong = {
        "missing": [name for name in own if name not in held],
        "unknown": [name for name in held if name not in own],
        "of another shape": [name for name in own if name in held and tuple(own[name]) != tuple(held[name])],
    }
    if any(wrong.values()):  # torch would list all of them, up to a thousand
        told = "; ".join(f"{len(names)} {what}: {list_some(names, 3)}" for what, names in wrong.items() if names)
        raise TrainingError(f"{path}: the weights do not fit the network ({told}).")


def with_prefix(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Add ``prefix.`` to the names of tensors; ``without_prefix`` removes it."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, by the rest of their names."""
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the state of an optimizer, by parameter number and name, for ``restore_optimizer``."""
    states: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Restore the state of an optimizer; its settings do not change."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        states.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
