"""What a training leaves in its folder besides the weights: settings, how to run it again, and its log."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import timm
import torch

from agmm.config.training import TrainConfig
from agmm.distributed import Ranks, launch_command
from agmm.errors import TrainingError
from agmm.runs.files import (
    CONFIG_NAME,
    LOG_NAME,
    RUN_NAME,
    STATE_NAME,
    WEIGHTS_NAME,
    require_no_training,
    require_utf8,
)
from agmm.runs.scores import CONFUSION_NAME, CSV_NAME, JSON_NAME
from data_manifests import Manifest, __version__
from data_manifests.files.images import write_atomically
from data_manifests.files.lock import FolderLock
from data_manifests.files.paths import name_from

VALIDATION_NAME = "validation.json"
TENSORBOARD_NAME = "tensorboard"

#: All that a training and its evaluation leave, and that a new training in the same folder clears away.
_WRITTEN_BY_TRAINING = (STATE_NAME, WEIGHTS_NAME, CONFIG_NAME, RUN_NAME, LOG_NAME, VALIDATION_NAME)
_FILES = (*_WRITTEN_BY_TRAINING, JSON_NAME, CSV_NAME, CONFUSION_NAME)


@contextmanager
def claim(run_dir: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Hold a folder for one training; if a new one ends without a checkpoint, leave the folder as it was.

    Args:
        run_dir: Its folder; made if it is missing.
        resume: Go on with the training in it, instead of requiring that there is none.
        overwrite: See ``require_free``.

    Raises:
        TrainingError: If another process is training there, its path is not UTF-8, or as ``require_free``.
    """
    require_utf8(run_dir, "TensorBoard")
    lock = FolderLock(run_dir)
    if not lock.try_acquire():
        raise TrainingError(f"{run_dir}: another process is training here. Wait for it, or choose another --out.")
    is_free = resume
    try:
        if resume:
            _clear_unfinished(run_dir)
        else:
            require_free(run_dir, overwrite)
            is_free = True
        yield
    except BaseException:
        if is_free and not resume and not (run_dir / STATE_NAME).exists():
            _clear(run_dir)
        raise
    finally:
        lock.release()


def require_free(run_dir: Path, overwrite: bool) -> None:
    """Check that a new training may use a folder, and clear an earlier one out of it that is to be replaced.

    What a training leaves that was killed before its first state is cleared without asking: there is nothing in it to
    go on with.

    Raises:
        TrainingError: If it holds a training, or settings that no training wrote, and ``overwrite`` is false.
    """
    if not overwrite:
        require_no_training(run_dir)
        if (run_dir / CONFIG_NAME).exists() and not (run_dir / RUN_NAME).exists():
            raise TrainingError(
                f"{run_dir}: already holds a {CONFIG_NAME} that is no training's. Choose another --out, or replace it "
                "with --overwrite."
            )
    _clear(run_dir)


def _clear(run_dir: Path) -> None:
    for path in [*(run_dir / name for name in _FILES), *(run_dir / TENSORBOARD_NAME).glob("events.*")]:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # missing, or holds files of someone else
        (run_dir / TENSORBOARD_NAME).rmdir()
    _clear_unfinished(run_dir)


def _clear_unfinished(run_dir: Path) -> None:
    """Remove what a killed training was writing, as large as a checkpoint; no other process trains here now.

    What others may be writing at this moment, such as scores, stays.
    """
    for name in _WRITTEN_BY_TRAINING:
        for path in run_dir.glob(f".{name}.*partial"):
            path.unlink(missing_ok=True)
    for path in run_dir.glob(".tmp??????"):  # of safetensors, beside the file it writes
        path.unlink(missing_ok=True)


def describe_run(run_dir: Path, manifest: Manifest, checksum: str, config: TrainConfig, ranks: Ranks) -> None:
    """Write ``config.toml`` and ``run.json``: all it takes to run the training again."""
    write_atomically(run_dir / CONFIG_NAME, config.to_toml().encode())
    again = ["train", str(manifest.path), "--config", str(run_dir / CONFIG_NAME), "--out", f"{run_dir}-again"]
    on_cuda = ranks.device.type == "cuda"
    description = {
        "run_again": f"{launch_command(ranks.num_ranks)} {shlex.join(again)}",
        "manifest": name_from(run_dir, manifest.path),
        "manifest_sha256": checksum,
        "label_space": manifest.label_space.name,
        "num_classes": manifest.label_space.num_classes,
        "annotation": {"command": manifest.info.command, "settings": dict(manifest.info.settings)},
        "seed": config.seed,
        "num_ranks": ranks.num_ranks,
        "device": torch.cuda.get_device_name(ranks.device) if on_cuda else platform.processor() or platform.machine(),
        "versions": {
            "sparsekit": __version__, "python": platform.python_version(), "torch": torch.__version__,
            "timm": timm.__version__,
        },
    }  # fmt: skip
    write_atomically(run_dir / RUN_NAME, (json.dumps(description, indent=2, ensure_ascii=False) + "\n").encode())
