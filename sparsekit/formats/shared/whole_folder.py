"""A result folder that is there whole or not at all, and never takes the place of somebody else's."""

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
    """Give an empty folder to write to, and move it to its place when the block ends well; else remove it.

    Args:
        folder: The place.
        is_ours: Whether a folder that is there already may be replaced at all.
        overwrite: Whether the user wants it replaced.

    Raises:
        AnnotationError: If something is in the place that is not ours, or is to be kept.
        DataError: If another process is making the same folder.
    """
    _check_place(folder, is_ours, overwrite)
    partial = partial_dir(folder)
    lock = FolderLock(partial)
    lock.acquire(folder)
    try:
        _check_place(folder, is_ours, overwrite)  # again, as the other process may have just ended
        for path in partial.iterdir():  # left by a run that was killed
            remove_tree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield partial
        replace_tree(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        lock.release()


def _check_place(folder: Path, is_ours: Callable[[Path], bool], overwrite: bool) -> None:
    if not (folder.exists() or folder.is_symlink()):
        return
    if not (folder.is_dir() and is_ours(folder)):
        raise AnnotationError(f"{folder}: is there already, and sparsekit did not make it. Give another --out.")
    if not overwrite:
        raise AnnotationError(f"{folder}: is there already. Give --overwrite to replace it, or another --out.")
