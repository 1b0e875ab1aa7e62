"""A result folder that appears complete or not at all, and never replaces a foreign folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from data_manifests.files.lock import FolderLock
from data_manifests.files.paths import remove_tree, replace_tree
from sparsekit.errors import AnnotationError
from sparsekit.synthesis.output_folder import partial_dir


@contextmanager
def whole_folder(folder: Path, is_ours: Callable[[Path], bool], *, overwrite: bool) -> Iterator[Path]:
    """Provide an empty folder to write to; move it to its destination if the block succeeds, or else remove it.

    Args:
        folder: The destination.
        is_ours: Tells whether an existing folder was made by sparsekit and may be replaced.
        overwrite: Whether to replace it.

    Raises:
        AnnotationError: If the destination exists and is foreign, or ``overwrite`` is not set.
        DataError: If another process is writing the same folder.
    """
    _check_place(folder, is_ours, overwrite)
    partial = partial_dir(folder)
    lock = FolderLock(partial)
    lock.acquire(folder)
    try:
        _check_place(folder, is_ours, overwrite)  # again, because the other process may have just finished
        for path in partial.iterdir():  # left by a run that was killed
            remove_tree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield partial
        replace_tree(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        lock.release()


def begins_with(note: Path, first_line: str) -> bool:
    """Whether a file, by which sparsekit knows its own folders, begins with these words."""
    return note.is_file() and note.read_text(encoding="utf-8", errors="replace").startswith(first_line)


def _check_place(folder: Path, is_ours: Callable[[Path], bool], overwrite: bool) -> None:
    if not (folder.exists() or folder.is_symlink()):
        return
    if not (folder.is_dir() and is_ours(folder)):
        raise AnnotationError(f"{folder}: already exists and was not made by sparsekit. Give another --out.")
    if not overwrite:
        raise AnnotationError(f"{folder}: already exists. Give --overwrite to replace it, or another --out.")
