"""The log of a run: log.csv, an experiment tracker, and progress on stderr."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from agmm.distributed import Ranks
from agmm.errors import TrainingError
from agmm.evaluation.evaluate import EvalResult
from agmm.runs.files import LOG_NAME
from agmm.runs.folder import VALIDATION_NAME
from agmm.training.trackers import Tracker
from data_manifests.files.atomic import atomic_path, write_atomically
from data_manifests.files.csv import read_whole_table


class RunLog:
    """The log of a run: ``log.csv``, a tracker, and progress on stderr; only the first rank writes.

    Args:
        run_dir: The run folder.
        ranks: This process.
        epochs: Epochs of the whole run.
        steps_per_epoch: Optimizer steps per epoch.
        first_epoch: Number of finished epochs; later lines of an interrupted epoch are dropped.
        quiet: Show no progress.
        term_names: Terms of the loss; progress leaves out those that are 0, which are switched off.
        tracker: Also receives what is logged; closed at the end.
    """

    def __init__(
        self,
        run_dir: Path,
        ranks: Ranks,
        epochs: int,
        steps_per_epoch: int,
        first_epoch: int,
        quiet: bool,
        term_names: Collection[str] = (),
        tracker: Tracker | None = None,
    ) -> None:
        self._path = run_dir / LOG_NAME
        self._writes, self._epochs, self._first_epoch = ranks.is_first, epochs, first_epoch
        self._quiet, self._term_names = quiet or not ranks.is_first, term_names
        self._rows: list[dict[str, Any]] = []
        self._started = time.monotonic()
        self._epoch_started = self._started
        self._bar = tqdm(
            total=epochs * steps_per_epoch, initial=first_epoch * steps_per_epoch, unit="step", file=sys.stderr,
            disable=self._quiet or not sys.stderr.isatty(), dynamic_ncols=True,
        )  # fmt: skip
        self._tracker = tracker
        if self._writes and self._path.exists():
            self._rows = [row for row in _read_log(self._path) if int(row["epoch"]) <= first_epoch]

    def __enter__(self) -> RunLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        if self._tracker is not None:
            self._tracker.close()

    def step(self) -> None:
        """Record a finished step."""
        self._bar.update()

    def say(self, text: str) -> None:
        """Print a line of progress on stderr."""
        if not self._quiet:
            tqdm.write(text, file=sys.stderr)

    def validation(self, epoch: int, result: EvalResult) -> None:
        """Write the scores of the best epoch so far."""
        if self._writes:
            text = json.dumps({"epoch": epoch, **result.to_dict()}, indent=2, ensure_ascii=False)
            write_atomically(self._path.with_name(VALIDATION_NAME), (text + "\n").encode())

    def write_previews(self, epoch: int, result: EvalResult, images: Mapping[str, NDArray[np.uint8]]) -> None:
        """Give the IoU of each class, and previews (RGB, shape (H, W, 3)) by name, to the tracker."""
        if self._tracker is not None:
            self._tracker.log_scalars(epoch, {f"val_iou/{name}": iou for name, iou in result.iou.items() if iou == iou})
            self._tracker.log_images(epoch, {f"val/{name}": image for name, image in images.items()})

    def epoch(self, epoch: int, values: Mapping[str, float | None]) -> None:
        """Write the line of an epoch.

        Args:
            epoch: Finished epochs, including this one.
            values: Values by column; None and NaN give empty cells.
        """
        now = time.monotonic()
        seconds, self._epoch_started = now - self._epoch_started, now
        left = (now - self._started) / (epoch - self._first_epoch) * (self._epochs - epoch)
        known = {name: value for name, value in values.items() if value is not None and value == value}
        parts = [
            f"{name} {_show(name, value)}" for name, value in known.items() if value or name not in self._term_names
        ]
        self.say(f"epoch {epoch}/{self._epochs}  {'  '.join(parts)}  {seconds:.1f} s, {_duration(left)} left")
        if not self._writes:
            return
        row = {"epoch": epoch, **{name: known.get(name, "") for name in values}, "seconds": round(seconds, 3)}
        self._rows.append(row)
        columns = list(dict.fromkeys(name for r in self._rows for name in r))
        with atomic_path(self._path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)
        if self._tracker is not None:
            self._tracker.log_scalars(epoch, known)


def _read_log(path: Path) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = [*read_whole_table(path)[1]]
        for row in rows:
            int(row["epoch"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{path}: damaged ({error!r}). Repair it, or delete it to resume without the lines of earlier epochs."
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
