"""The run folder: claim it for one run, and write its settings and the command that repeats it."""

from __future__ import annotations

import json
import platform
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
from agmm.runs.scores import CONFUSION_NAME, CSV_NAME, JSON_NAME, PER_IMAGE_NAME
from data_manifests import Manifest, __version__
from data_manifests.files.atomic import require_plain, write_atomically
from data_manifests.files.lock import FolderLock
from data_manifests.files.paths import name_from
from data_manifests.terminal import shell_join

VALIDATION_NAME = "validation.json"
TENSORBOARD_NAME = "tensorboard"

#: All files of a run and its evaluation, which a new run in the same folder deletes.
_WRITTEN_BY_TRAINING = (STATE_NAME, WEIGHTS_NAME, CONFIG_NAME, RUN_NAME, LOG_NAME, VALIDATION_NAME)
_FILES = (*_WRITTEN_BY_TRAINING, JSON_NAME, CSV_NAME, CONFUSION_NAME, PER_IMAGE_NAME)


@contextmanager
def claim(run_dir: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Lock a folder for one run; if a new run ends without a checkpoint, restore the folder.

    Args:
        run_dir: The run folder; created if it does not exist.
        resume: Resume the run in it, instead of requiring that there is none.
        overwrite: See ``require_free``.

    Raises:
        DataError: If another process is training there, its path is not UTF-8, something else than a file has the name
            of one of its files, or as ``require_free``.
    """
    require_utf8(run_dir, "TensorBoard")
    lock = FolderLock(run_dir)
    if not lock.try_acquire():
        raise TrainingError(f"{run_dir}: another process is training here. Wait for it, or choose another --out.")
    is_free = resume
    try:
        for name in _FILES:
            require_plain(run_dir / name)
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
    """Check that a new run may use a folder, and delete a run that it replaces.

    Leftovers of a run killed before its first checkpoint are deleted silently.

    Raises:
        TrainingError: If it holds a run, or files of such names that no run wrote, and ``overwrite`` is false.
    """
    if not overwrite:
        require_no_training(run_dir)
        there = [name for name in _FILES if (run_dir / name).exists()]
        if there and RUN_NAME not in there:
            raise TrainingError(
                f"{run_dir}: already holds a {there[0]} that no run wrote. Choose another --out, or replace it with "
                "--overwrite."
            )
    _clear(run_dir)


def _clear(run_dir: Path) -> None:
    for path in [*(run_dir / name for name in _FILES), *(run_dir / TENSORBOARD_NAME).glob("events.*")]:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # missing, or contains other files
        (run_dir / TENSORBOARD_NAME).rmdir()
    _clear_unfinished(run_dir)


def _clear_unfinished(run_dir: Path) -> None:
    """Delete the partial checkpoint of a killed run; no other process trains here now.

    Files that others may be writing at this moment, such as scores, stay.
    """
    for name in _WRITTEN_BY_TRAINING:
        for path in run_dir.glob(f".{name}.*partial"):
            path.unlink(missing_ok=True)
    for path in run_dir.glob(".tmp??????"):  # temporary files of safetensors, beside the file it writes
        path.unlink(missing_ok=True)


def describe_run(run_dir: Path, manifest: Manifest, checksum: str, config: TrainConfig, ranks: Ranks) -> None:
    """Write ``config.toml`` and ``run.json``, which suffice to repeat the run."""
    write_atomically(run_dir / CONFIG_NAME, config.to_toml().encode())
    again = ["train", str(manifest.path), "--config", str(run_dir / CONFIG_NAME), "--out", f"{run_dir}-again"]
    on_cuda = ranks.device.type == "cuda"
    description = {
        "run_again": f"{launch_command(ranks.num_ranks)} {shell_join(*again)}",
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
