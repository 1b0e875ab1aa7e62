"""What a training leaves in its folder besides the weights: settings, how to run it again, and its log."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from agmm.config import TrainConfig
from agmm.distributed import Ranks, launch_command
from agmm.errors import TrainingError
from agmm.evaluate import EvalResult
from agmm.evaluation_files import CONFUSION_NAME, CSV_NAME, JSON_NAME
from agmm.given_files import (
    CONFIG_NAME,
    LOG_NAME,
    RUN_NAME,
    STATE_NAME,
    WEIGHTS_NAME,
    require_no_training,
    require_utf8,
)
from agmm.losses import TERMS
from data_manifests import Manifest, __version__
from data_manifests.folder_lock import FolderLock
from data_manifests.image_io import write_atomically
from data_manifests.paths import name_from

VALIDATION_NAME = "validation.json"
TENSORBOARD_NAME = "tensorboard"

#: All that a training and its evaluation leave, and that a new training in the same folder clears away.
_WRITTEN_BY_TRAINING = (STATE_NAME, WEIGHTS_NAME, CONFIG_NAME, RUN_NAME, LOG_NAME, VALIDATION_NAME)
_FILES = (*_WRITTEN_BY_TRAINING, JSON_NAME, CSV_NAME, CONFUSION_NAME)


def manifest_sha256(manifest: Manifest) -> str:
    """Checksum of a manifest: rows, label space, settings, and with them the hashes of every annotation."""
    digest = hashlib.sha256()
    for path in (manifest.path, manifest.path.with_suffix(".json")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


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


class RunLog:
    """The log of a training: ``log.csv``, TensorBoard, and progress on stderr; silent on all ranks but the first.

    Args:
        run_dir: The run's folder.
        ranks: This process.
        epochs: Epochs of the whole training.
        steps_per_epoch: Steps of the optimizer in each.
        first_epoch: Epochs already done; later lines of an interrupted epoch are dropped.
        quiet: Show no progress.
    """

    def __init__(
        self, run_dir: Path, ranks: Ranks, epochs: int, steps_per_epoch: int, first_epoch: int, quiet: bool
    ) -> None:
        self._path = run_dir / LOG_NAME
        self._writes, self._epochs, self._first_epoch = ranks.is_first, epochs, first_epoch
        self._quiet = quiet or not ranks.is_first
        self._rows: list[dict[str, Any]] = []
        self._started = time.monotonic()
        self._epoch_started = self._started
        self._bar = tqdm(
            total=epochs * steps_per_epoch, initial=first_epoch * steps_per_epoch, unit="step", file=sys.stderr,
            disable=self._quiet or not sys.stderr.isatty(), dynamic_ncols=True,
        )  # fmt: skip
        self._board = None
        if self._writes:
            from torch.utils.tensorboard import SummaryWriter  # takes a second

            if self._path.exists():
                self._rows = [row for row in _read_log(self._path) if int(row["epoch"]) <= first_epoch]
            self._board = SummaryWriter(str(run_dir / TENSORBOARD_NAME), purge_step=first_epoch + 1)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()

    def step(self) -> None:
        """Note that a step is done."""
        self._bar.update()

    def say(self, text: str) -> None:
        """Show a line of progress on stderr."""
        if not self._quiet:
            tqdm.write(text, file=sys.stderr)

    def validation(self, epoch: int, result: EvalResult) -> None:
        """Write the scores of the best epoch so far."""
        if self._writes:
            text = json.dumps({"epoch": epoch, **result.to_dict()}, indent=2, ensure_ascii=False)
            write_atomically(self._path.with_name(VALIDATION_NAME), (text + "\n").encode())

    def show_on_board(self, epoch: int, result: EvalResult, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Show the IoU of each class, and predicted pictures (RGB, shape (H, W, 3)) by name, on TensorBoard."""
        if self._board is None:
            return
        for name, iou in result.iou.items():
            if iou == iou:
                self._board.add_scalar(f"val_iou/{name}", iou, epoch)
        for name, picture in pictures.items():
            self._board.add_image(f"val/{name}", picture, epoch, dataformats="HWC")

    def epoch(self, epoch: int, values: Mapping[str, float | None]) -> None:
        """Write the line of an epoch.

        Args:
            epoch: Epochs done, this one included.
            values: By column; None and NaN are left empty.
        """
        now = time.monotonic()
        seconds, self._epoch_started = now - self._epoch_started, now
        left = (now - self._started) / (epoch - self._first_epoch) * (self._epochs - epoch)
        known = {name: value for name, value in values.items() if value is not None and value == value}
        parts = [f"{name} {_show(name, value)}" for name, value in known.items() if value or name not in TERMS]
        self.say(f"epoch {epoch}/{self._epochs}  {'  '.join(parts)}  {seconds:.1f} s, {_duration(left)} left")
        if self._board is None:
            return
        row = {"epoch": epoch, **{name: known.get(name, "") for name in values}, "seconds": round(seconds, 3)}
        self._rows.append(row)
        columns = list(dict.fromkeys(name for r in self._rows for name in r))
        partial = self._path.with_name(f".{LOG_NAME}.partial")
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)
        partial.replace(self._path)
        for name, value in known.items():
            self._board.add_scalar(name, value, epoch)
        self._board.flush()


def _read_log(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            int(row["epoch"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: damaged ({error!r}). Mend it, or delete it to go on without the lines of earlier epochs."
        ) from error
    return rows


def _show(name: str, value: float) -> str:
    if name.endswith("miou") or name.endswith("accuracy"):
        return f"{100 * value:.1f} %"
    return f"{value:.2g}" if name == "learning_rate" else f"{value:.3f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
