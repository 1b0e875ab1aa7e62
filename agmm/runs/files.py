"""Files that users name: runs and their checkpoints.

Nothing here imports torch, which takes seconds, so a wrong path fails immediately.
"""

from __future__ import annotations

import os
from pathlib import Path

from agmm.errors import TrainingError
from data_manifests.errors import counted
from data_manifests.files.csv import read_whole_table
from data_manifests.files.paths import as_path, named_by
from data_manifests.files.text import read_json, read_toml

WEIGHTS_NAME = "weights.safetensors"
STATE_NAME = "state.safetensors"
CONFIG_NAME = "config.toml"
RUN_NAME = "run.json"
LOG_NAME = "log.csv"

#: Where the runs lie in the folders of `agmm ablate`, `agmm stages` and `agmm rounds`.
_RUNS_BELOW = ("runs/*/*/seed-*/stage-*", "stage-*", "round-*")


def require_checkpoint(path: Path) -> Path:
    """Check that a checkpoint exists.

    Raises:
        TrainingError: If there is no such file.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such checkpoint; `agmm train` writes one into its run folder.")
    return path


def require_state(run: Path) -> None:
    """Check that a run can be resumed.

    Raises:
        TrainingError: If it has no state.
    """
    if not (run / STATE_NAME).is_file():
        reject_folder_of_runs(run)
    require_checkpoint(run / STATE_NAME)


def reject_folder_of_runs(folder: Path) -> None:
    """Check that a folder without a run's files is not that of `agmm ablate`, `agmm stages` or `agmm rounds`.

    Raises:
        TrainingError: If runs lie below it; the message names one.
    """
    if below := [path.parent for runs in _RUNS_BELOW for path in sorted(folder.glob(f"{runs}/{RUN_NAME}"))]:
        raise TrainingError(
            f"{folder}: holds {counted(len(below), 'run')}, but is none itself. Give a run, such as {below[-1]}."
        )


def manifest_of(run: str | Path) -> Path:
    """The manifest that a run was trained on, according to its ``run.json``.

    Args:
        run: Folder of the run, or a weights file in it.

    Raises:
        TrainingError: If it is no run, the run does not name the manifest, or that is missing.
    """
    run = as_path(run)
    folder = run if run.is_dir() else run.parent
    try:
        named = read_json(folder / RUN_NAME)["manifest"]
        path = Path(os.path.normpath(named_by(folder, named)))
    except FileNotFoundError as error:
        weights_path(run)  # what is no run needs another message
        raise TrainingError(f"{run}: has no {RUN_NAME} that names its manifest. Give the manifest.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(f"{folder / RUN_NAME}: damaged ({error!r}). Give the manifest.") from error
    if not path.is_file():
        raise TrainingError(f"{path}: no such manifest, but {folder / RUN_NAME} names it. Give it if it has moved.")
    return path


def require_utf8(path: Path, needed_by: str) -> None:
    """Check that a path is UTF-8, for packages that require it.

    Raises:
        TrainingError: If it is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise TrainingError(
            f"{str(path)!a}: the path is not UTF-8, but {needed_by} requires it. Choose another name."
        ) from error


def require_writable(folder: Path) -> None:
    """Check that results can be written into a folder, which need not exist yet.

    Raises:
        TrainingError: If it, or the folder in which it would be created, is not writable.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise TrainingError(f"{there}: is not writable. Choose another folder with --out.")


def require_no_training(run_dir: Path) -> None:
    """Check that a folder does not hold a run.

    Raises:
        TrainingError: If it holds a checkpoint, except the weights of a run killed before its first state; the message
            says how to resume or replace the run.
    """
    there = [name for name in (STATE_NAME, WEIGHTS_NAME) if (run_dir / name).exists()]
    if there and not _was_killed_in_its_first_epoch(run_dir):
        resume = f"Resume it with --resume {run_dir}, choose" if STATE_NAME in there else "Choose"
        raise TrainingError(
            f"{run_dir}: already holds a run ({there[0]}). {resume} another --out, or replace it with --overwrite."
        )


def _was_killed_in_its_first_epoch(run_dir: Path) -> bool:
    """Whether a folder holds no state, and at most one epoch of a run with more epochs."""
    if (run_dir / STATE_NAME).exists() or not (run_dir / RUN_NAME).exists():
        return False
    try:
        epochs = read_toml(run_dir / CONFIG_NAME)["epochs"]
        return epochs > 1 and [row["epoch"] for row in read_whole_table(run_dir / LOG_NAME)[1]] in ([], ["1"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def weights_path(run: str | Path) -> Path:
    """Return the weights file of a run: the path itself, or the file in the run folder.

    Raises:
        TrainingError: If there is no such file, or the folder holds none.
    """
    run = as_path(run)
    if not run.is_dir():
        return require_checkpoint(run)
    if not (path := run / WEIGHTS_NAME).is_file():
        reject_folder_of_runs(run)
        raise TrainingError(
            f"{run}: holds no {WEIGHTS_NAME}; expected the folder of a run with at least one finished epoch."
        )
    return path
