"""Weights and training state on disk: safetensors files that say what they are, written whole or not at all.

A run folder holds two of them. ``weights.safetensors`` is the network to use: the best epoch, or the last one where
there is no validation. ``state.safetensors`` is what a training needs to go on. Neither is ever a pickle, so reading a
checkpoint of a stranger runs no code of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from agmm.config import TrainConfig
from agmm.errors import TrainingError
from agmm.given_files import WEIGHTS_NAME as WEIGHTS_NAME
from agmm.given_files import require_checkpoint
from agmm.given_files import weights_path as weights_path
from agmm.models import ModelConfig, build_model
from agmm.models.network import SegmentationModel
from data_manifests import LabelSpace, __version__
from data_manifests.errors import DataError
from data_manifests.image_io import atomic_path

CHECKPOINT_VERSION = 1

_HEADER_KEY = "agmm"
_T = TypeVar("_T")


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself.

    Args:
        model: The network; with the weights it is all that prediction needs.
        label_space: Classes of the network's outputs.
        config: Settings of the training.
        manifest_sha256: Checksum of the manifest trained on.
        epoch: Epochs completed.
        best_miou: Best mIoU on the validation split so far, 0..1; None without validation.
        best_epoch: Epochs completed when it was reached; of the last epoch without validation.
    """

    model: ModelConfig
    label_space: LabelSpace
    config: TrainConfig
    manifest_sha256: str
    epoch: int
    best_miou: float | None = None
    best_epoch: int = 0

    def to_json(self) -> str:
        """One line of JSON for the file's header."""
        return json.dumps({
            "version": CHECKPOINT_VERSION, "tool_version": __version__, "model": self.model.to_dict(),
            "label_space": self.label_space.to_dict(), "config": self.config.to_dict(),
            "manifest_sha256": self.manifest_sha256, "epoch": self.epoch, "best_miou": self.best_miou,
            "best_epoch": self.best_epoch,
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str, path: Path) -> CheckpointInfo:
        """Read the header of the file at ``path``.

        Raises:
            TrainingError: If it was written by a newer version or is damaged.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if (version := int(data["version"])) > CHECKPOINT_VERSION:
                raise TrainingError(
                    f"{path}: checkpoint version {version} is newer than {CHECKPOINT_VERSION}, the newest that this "
                    f"version of agmm reads. Upgrade it (the file was written by version {data['tool_version']})."
                )
            return cls(
                ModelConfig.from_dict(data["model"]), LabelSpace.from_dict(data["label_space"]),
                TrainConfig.from_dict(data["config"], path), str(data["manifest_sha256"]), int(data["epoch"]),
                data["best_miou"], int(data["best_epoch"]),
            )  # fmt: skip
        except TrainingError:
            raise
        except (DataError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"{path}: the checkpoint's header is damaged ({error}).") from error

    def require_classes(self, label_space: LabelSpace, where: object) -> None:
        """Check that other data has the classes that the network was trained on.

        Raises:
            TrainingError: If number, names or order differ.
        """
        ours, theirs = self.label_space.class_names, label_space.class_names
        if ours != theirs:
            first = next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), None)
            detail = "" if first is None else f"; class {first} is '{theirs[first]}' there and '{ours[first]}' here"
            raise TrainingError(
                f"{where}: label space '{label_space.name}' with {len(theirs)} classes does not fit a network trained "
                f"on '{self.label_space.name}' with {len(ours)} classes{detail}. Use data with the same classes."
            )


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], info: CheckpointInfo) -> None:
    """Write a checkpoint; what was at ``path`` before stays until the new file is complete.

    Args:
        path: The file.
        tensors: By name, on any device.
        info: Goes into the header.

    Raises:
        TrainingError: If it cannot be written, such as on a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    owned = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    try:
        with atomic_path(path) as partial:
            partial.touch()
            mode = partial.stat().st_mode  # what the umask allows; save_file makes files for their owner alone
            save_file(owned, partial, metadata={_HEADER_KEY: info.to_json()})
            partial.chmod(mode)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"{path}: the checkpoint could not be written ({error}). The one before is unchanged. Make room, then go "
            f"on with --resume {path.parent}."
        ) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], CheckpointInfo]:
    """Read a checkpoint: its tensors, on the CPU, and what it says about itself.

    Raises:
        TrainingError: If the file is missing, truncated, from a newer version, a pickle, or not one of ours.
    """
    return _read(path, lambda: load_file(path)), read_checkpoint_info(path)


def read_checkpoint_info(path: Path) -> CheckpointInfo:
    """Read what a checkpoint says about itself, without its tensors.

    Raises:
        TrainingError: As ``load_checkpoint``.
    """

    def header() -> dict[str, str]:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}

    text = _read(path, header).get(_HEADER_KEY)
    if text is None:
        raise TrainingError(
            f"{path}: holds weights but was not written by `agmm train`. To start a training from such a file, give it "
            "to --encoder-weights."
        )
    return CheckpointInfo.from_json(text, path)


def _read(path: Path, reader: Callable[[], _T]) -> _T:
    require_checkpoint(path)
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # safetensors begin with the length of their JSON header, whose lowest byte is 0x80 in one file of 32.
        if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
            raise TrainingError(
                f"{path}: a pickle, which can run code when it is read and is therefore never loaded. Expected the "
                f"{WEIGHTS_NAME} of a run folder."
            )
        return reader()
    except SafetensorError as error:
        raise TrainingError(
            f"{path}: damaged or incomplete ({error}). Copy it again, or train again with --resume."
        ) from error


@dataclass(frozen=True)
class LoadedRun:
    """A trained network, ready to predict.

    Args:
        model: In evaluation mode, on the device.
        info: What the checkpoint says about itself.
        path: The file the weights came from.
    """

    model: SegmentationModel
    info: CheckpointInfo
    path: Path

    @property
    def label_space(self) -> LabelSpace:
        """Classes of the network's outputs."""
        return self.info.label_space


def load_run(run: Path, device: torch.device | str = "cpu") -> LoadedRun:
    """Load the network of a training.

    Args:
        run: A run's folder, or a weights file.
        device: Where the network goes.

    Raises:
        TrainingError: As ``load_checkpoint``, or if the weights do not fit the network they name.
    """
    path = weights_path(run)
    tensors, info = load_checkpoint(path)
    model = build_model(info.model, load_encoder_weights=False)
    load_tensors(model, tensors, path)
    # As in training: on a CPU pictures take a third less time than in the usual order of memory.
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return LoadedRun(model.eval(), info, path)


def load_tensors(model: torch.nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a network.

    Raises:
        TrainingError: If names or shapes differ.
    """
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise TrainingError(f"{path}: the weights do not fit the network ({error}).") from error


def with_prefix(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Tensor]:
    """Tensors with ``prefix.`` before their names; ``without_prefix`` takes them out again."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with ``prefix.``, by the rest of their names."""
    return {name.removeprefix(f"{prefix}."): t for name, t in tensors.items() if name.startswith(f"{prefix}.")}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Everything an optimizer remembers, by parameter number and name; ``restore_optimizer`` puts it back."""
    states: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": value
        for index, state in states.items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer its memory back; its settings stay as they are."""
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        states.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
