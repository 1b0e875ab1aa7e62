"""A result folder that is there whole or not at all, and never takes the place of somebody else's."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sparsekit.errors import AnnotationError
from sparsekit.output_folder import partial_dir


@contextmanager
def whole_folder(folder: Path, is_ours: Callable[[Path], bool], *, overwrite: bool) -> Iterator[Path]:
    """Give an empty folder to write to, and move it to its place when the block ends well; else remove it.

    Args:
        folder: The place.
        is_ours: Whether a folder that is there already may be replaced at all.
        overwrite: Whether the user wants it replaced.

    Raises:
        AnnotationError: If something is in the place that is not ours, or is to be kept.
    """
    if folder.exists() or folder.is_symlink():
        if not (folder.is_dir() and is_ours(folder)):
            raise AnnotationError(f"{folder}: is there already, and sparsekit did not make it. Give another --out.")
        if not overwrite:
            raise AnnotationError(f"{folder}: is there already. Give --overwrite to replace it, or another --out.")
    partial = partial_dir(folder)
    if partial.exists():
        shutil.rmtree(partial)  # left by a run that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
