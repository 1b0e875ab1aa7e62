"""The header of a checkpoint, read without importing torch, which is slow."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError, safe_open

from agmm.config.model import ModelConfig
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.runs.files import WEIGHTS_NAME, require_checkpoint, require_utf8
from data_manifests import LabelSpace, __version__
from data_manifests.errors import DataError
from data_manifests.files.text import MAX_BYTES, parse_json
from data_manifests.files.view import DEFAULT_VIEW, ImageView

CHECKPOINT_VERSION = 1
HEADER_KEY = "agmm"

#: As in a label space.
_MOST_CLASSES = 65535

_T = TypeVar("_T")


@dataclass(frozen=True)
class CheckpointInfo:
    """Header of a checkpoint.

    Args:
        model: Configuration of the network; with the weights, it suffices for prediction.
        label_space: Classes of the network's outputs.
        config: Settings of the run.
        manifest_sha256: Checksum of the training manifest.
        epoch: Number of finished epochs.
        best_miou: Best mIoU on the validation split so far, 0..1; None without validation.
        best_epoch: Number of the best epoch; without validation, of the last one.
        num_ranks: Number of processes that train together.
        images: How the training images were displayed; images to predict are displayed the same way.
    """

    model: ModelConfig
    label_space: LabelSpace
    config: TrainConfig
    manifest_sha256: str
    epoch: int
    best_miou: float | None = None
    best_epoch: int = 0
    num_ranks: int = 1
    images: ImageView = DEFAULT_VIEW

    def to_json(self) -> str:
        """Convert to one line of JSON for the file's header."""
        return json.dumps({
            "version": CHECKPOINT_VERSION, "tool_version": __version__, "model": self.model.to_dict(),
            "label_space": self.label_space.to_dict(), "config": self.config.to_dict(),
            "manifest_sha256": self.manifest_sha256, "epoch": self.epoch, "best_miou": self.best_miou,
            "best_epoch": self.best_epoch, "num_ranks": self.num_ranks,
            **({"images": shown} if (shown := self.images.to_dict()) else {}),
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str, path: Path) -> CheckpointInfo:
        """Parse the header of the file at ``path``.

        Raises:
            TrainingError: If it was written by a newer version or is damaged.
        """
        try:
            if len(text) > MAX_BYTES:
                raise ValueError(f"it has {len(text):,} characters")
            data: dict[str, Any] = parse_json(text)
            if (version := int(data["version"])) > CHECKPOINT_VERSION:
                raise TrainingError(
                    f"{path}: checkpoint version {version} is newer than {CHECKPOINT_VERSION}, the newest that this "
                    f"version of agmm reads. Upgrade it (the file was written by version {data['tool_version']})."
                )
            label_space = LabelSpace.from_dict(data["label_space"])
            best_miou = data["best_miou"]
            return cls(
                _model(data["model"], label_space.num_classes), label_space, TrainConfig.from_dict(data["config"]),
                str(data["manifest_sha256"]), int(data["epoch"]), None if best_miou is None else float(best_miou),
                int(data["best_epoch"]), int(data.get("num_ranks", 1)),
                ImageView.from_dict(data.get("images", {})),
            )  # fmt: skip
        except TrainingError:
            raise
        except (DataError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise TrainingError(f"{path}: the checkpoint's header is damaged ({error}).") from error

    def require_classes(self, label_space: LabelSpace, where: object) -> None:
        """Check that a label space has the classes of the network.

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


def _model(data: Mapping[str, Any], num_classes: int) -> ModelConfig:
    """The network of a header."""
    if data["num_classes"] != num_classes:
        raise ValueError(f"the network has {data['num_classes']} classes, the label space {num_classes}")
    return model_from_dict(data)


def model_from_dict(data: Mapping[str, Any]) -> ModelConfig:
    """Read untrusted settings of a network; they have the types of the equally named settings of a run.

    Raises:
        ValueError: If a name is unknown, or a value has the wrong type or is out of range.
        KeyError: If ``num_classes`` is missing.
    """
    settings = dict(data)
    num_classes = settings.pop("num_classes")
    presence_head = settings.pop("presence_head", False)  # follows from the loss in a run's settings
    if type(num_classes) is not int or not isinstance(presence_head, bool):
        raise ValueError(f"num_classes is {num_classes!r}, presence_head {presence_head!r}")
    if num_classes > _MOST_CLASSES:
        raise ValueError(f"the network has {num_classes} classes; at most {_MOST_CLASSES:,} are possible")
    return replace(TrainConfig.from_dict(settings, "model").model(num_classes), presence_head=presence_head)


def read_checkpoint_info(path: Path) -> CheckpointInfo:
    """Read the header of a checkpoint, without its tensors.

    Raises:
        TrainingError: If the file is missing, truncated, from a newer version, a pickle, or not one of ours.
    """

    def header() -> dict[str, str]:
        with safe_open(path, "np") as file:
            return file.metadata() or {}

    return info_of_header(read_safely(path, header), path)


def info_of_header(header: Mapping[str, str], path: Path) -> CheckpointInfo:
    """Parse the header entries of the file at ``path``.

    Raises:
        TrainingError: If it is not one of ours, from a newer version, or damaged.
    """
    text = header.get(HEADER_KEY)
    if text is None:
        raise TrainingError(
            f"{path}: holds weights but was not written by `agmm train`. To train from such a file, give it to "
            "--encoder-weights."
        )
    return CheckpointInfo.from_json(text, path)


def read_safely(path: Path, reader: Callable[[], _T]) -> _T:
    """Call ``reader`` on a safetensors file and convert its errors to those of ``read_checkpoint_info``."""
    require_utf8(require_checkpoint(path), "safetensors")
    try:
        with path.open("rb") as file:
            start = file.read(9)
        # safetensors files start with the length of their header, whose lowest byte is 0x80 in one file of 32.
        if start[8:] != b"{" and (start[:2] == b"PK" or start[:1] == b"\x80"):
            raise TrainingError(
                f"{path}: a pickle, which can run code when loaded and is therefore rejected. Expected the "
                f"{WEIGHTS_NAME} of a run folder."
            )
        return reader()
    except SafetensorError as error:
        raise TrainingError(
            f"{path}: damaged or incomplete ({error}). Copy it again, or train again with --resume."
        ) from error
