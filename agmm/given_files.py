"""Files that users name: runs, their checkpoints, encoder weights and pictures.

Nothing here needs torch, whose import takes seconds: a wrong path is told before it.
"""

from __future__ import annotations

import csv
import os
import tomllib
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from agmm.errors import TrainingError
from data_manifests.errors import counted, list_some
from data_manifests.image_io import IMAGE_SUFFIXES, list_pictures
from data_manifests.paths import as_path

WEIGHTS_NAME = "weights.safetensors"
STATE_NAME = "state.safetensors"
CONFIG_NAME = "config.toml"
RUN_NAME = "run.json"
LOG_NAME = "log.csv"
#: What predictions are written into.
RESULT_FOLDERS = ("label_maps", "overlays", "probabilities", "mixture")


def require_checkpoint(path: Path) -> Path:
    """The path of a checkpoint, which must be there.

    Raises:
        TrainingError: If there is no such file.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no such checkpoint; `agmm train` writes one into its run folder.")
    return path


def require_utf8(path: Path, needed_by: str) -> None:
    """Check that a path can be given to a package that takes no others.

    Raises:
        TrainingError: If it is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise TrainingError(
            f"{str(path)!a}: the path is not UTF-8, as {needed_by} needs it. Choose another name."
        ) from error


def require_writable(folder: Path) -> None:
    """Check that results can be written into a folder, which may still have to be made.

    Raises:
        TrainingError: If it, or the folder that it would be made in, cannot be written to.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise TrainingError(f"{there}: nothing can be written there. Choose another place with --out.")


def require_no_training(run_dir: Path) -> None:
    """Check that a new training has the folder for itself.

    Raises:
        TrainingError: If it holds a checkpoint, but for the weights of a training that was killed before it had written
            its first state; says how to go on with it or to replace it.
    """
    there = [name for name in (STATE_NAME, WEIGHTS_NAME) if (run_dir / name).exists()]
    if there and not _was_killed_in_its_first_epoch(run_dir):
        go_on = f"Go on with it by --resume {run_dir}, choose" if STATE_NAME in there else "Choose"
        raise TrainingError(
            f"{run_dir}: already holds a training ({there[0]}). {go_on} another --out, or replace it with --overwrite."
        )


def _was_killed_in_its_first_epoch(run_dir: Path) -> bool:
    """Whether a folder holds no state, and one epoch at most of a training that was to have more."""
    if (run_dir / STATE_NAME).exists() or not (run_dir / RUN_NAME).exists():
        return False
    try:
        epochs = tomllib.loads((run_dir / CONFIG_NAME).read_text(encoding="utf-8"))["epochs"]
        with (run_dir / LOG_NAME).open(newline="", encoding="utf-8") as file:
            return epochs > 1 and [row["epoch"] for row in csv.DictReader(file)] in ([], ["1"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def weights_path(run: str | Path) -> Path:
    """The weights file of a run: the path itself, or the file in the run's folder.

    Raises:
        TrainingError: If there is no such file, or the folder holds none.
    """
    run = as_path(run)
    if not run.is_dir():
        return require_checkpoint(run)
    if not (path := run / WEIGHTS_NAME).is_file():
        raise TrainingError(
            f"{run}: holds no {WEIGHTS_NAME}; expected the folder of a training with at least one finished epoch."
        )
    return path


def require_encoder_weights(weights: str) -> None:
    """Check that a file of encoder weights is there.

    Args:
        weights: ``imagenet``, ``none``, or the path of a file.

    Raises:
        TrainingError: If it names a file that is not there.
    """
    if weights not in ("imagenet", "none") and not Path(weights).is_file():
        raise TrainingError(f"{weights}: no such file of encoder weights (or write 'imagenet' or 'none').")


def find_pictures(
    sources: Sequence[str | Path], out_dir: str | Path, on_passed_over: Callable[[str], None] = lambda _: None
) -> dict[Path, Path]:
    """Pictures to segment, by the name of their results without ending.

    Args:
        sources: Pictures of any ending, and folders that are searched at any depth for those of ``IMAGE_SUFFIXES``;
            names keep the place within the folder.
        out_dir: What earlier predictions have left in it is not taken for pictures.
        on_passed_over: Told, in a sentence, of the files of other endings in each folder; hidden ones are not counted.

    Raises:
        TrainingError: If there is none, a source does not exist, or two would get one name.
    """
    results = {(as_path(out_dir) / name).resolve() for name in RESULT_FOLDERS}
    found: dict[Path, Path] = {}
    others: list[str] = []
    for source in map(as_path, sources):
        if not source.exists():
            raise TrainingError(f"{source}: no such picture or folder.")
        is_folder = source.is_dir()
        files = list_pictures(source, ("",)) if is_folder else [source]
        files = [path for path in files if not results.intersection(path.resolve().parents)]
        inside = [path for path in files if path.name.lower().endswith(IMAGE_SUFFIXES)] if is_folder else files
        if len(inside) < len(files):
            others.append(f"{source}: {_describe_others(set(files).difference(inside))}")
        for path in inside:
            name = (path.relative_to(source) if is_folder else Path(path.name)).with_suffix("")
            if name in found:
                raise TrainingError(
                    f"{found[name]} and {path} would both be written as '{name.as_posix()}'. Give each an --out of its "
                    "own."
                )
            found[name] = path
    if not found:
        more = f" {others[0]}" if others else ""
        raise TrainingError(f"{list_some([str(s) for s in sources])}: there are no pictures.{more}")
    for text in others:
        on_passed_over(text)
    return found


def _describe_others(paths: Collection[Path]) -> str:
    """A sentence on files that are not taken for pictures, by their endings."""
    endings = Counter(path.suffix.lower() or "no ending" for path in paths).most_common()
    kinds = list_some([f"{count:,} {ending}" for ending, count in sorted(endings, key=lambda e: (-e[1], e[0]))], 5)
    return (
        f"passed over {counted(len(paths), 'file')} ({kinds}). In folders, pictures are files that end in "
        f"{', '.join(IMAGE_SUFFIXES)}; name others one by one."
    )
