"""A network in a folder or a repository of the Hugging Face hub: ``model.safetensors`` and ``config.json``."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from agmm.errors import TrainingError
from agmm.models import build_model
from agmm.models.network import SegmentationModel
from agmm.runs.checkpoint import load_tensors, require_fit
from agmm.runs.checkpoint_info import model_from_dict
from data_manifests.files.atomic import write_atomically
from data_manifests.files.paths import as_path
from data_manifests.files.text import read_json

_WEIGHTS_NAME, _CONFIG_NAME = "model.safetensors", "config.json"


def save_pretrained(model: SegmentationModel, folder: str | Path) -> None:
    """See :meth:`SegmentationModel.save_pretrained`."""
    folder = as_path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}, folder / _WEIGHTS_NAME)
    # The weights are in the file, wherever the encoder's first ones came from.
    config = model.config.to_dict() | {"encoder_weights": "none", "freeze_batchnorm": False}
    write_atomically(folder / _CONFIG_NAME, (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode())


def load_pretrained(name: str | Path, revision: str | None = None) -> SegmentationModel:
    """See :meth:`SegmentationModel.from_pretrained`."""
    folder = as_path(name)
    if not folder.is_dir():
        folder = _download(str(name), revision)
    try:
        config = model_from_dict(read_json(folder / _CONFIG_NAME))
    except (OSError, ValueError, TypeError, KeyError) as error:
        what = "num_classes is missing" if isinstance(error, KeyError) else error
        raise TrainingError(f"{folder / _CONFIG_NAME}: not the settings of a network ({what}).") from error
    weights = folder / _WEIGHTS_NAME
    require_fit(weights, config)
    model = build_model(config, load_encoder_weights=False)
    load_tensors(model, load_file(weights), weights)
    return model.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    from agmm.models.hub import one_try

    try:
        with one_try():
            return Path(snapshot_download(name, revision=revision, allow_patterns=[_WEIGHTS_NAME, _CONFIG_NAME]))
    except (OSError, ValueError) as error:  # of the hub: no such repository, no name of one, no connection
        raise TrainingError(
            f"{name}: no such folder, and the Hugging Face hub gave no repository of this name ({error})."
        ) from error
