"""Write files whole: a reader never sees half of one, and a killed process leaves none."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_manifests.files.paths import is_remote, upload


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; move the file to ``path`` (creating its folder) if the block succeeds.

    Pipes and devices, such as ``/dev/stdout``, are written directly.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, path.name)
            upload(Path(folder, path.name), path)
        return
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file's name may already have the maximum length, so nothing is appended to it. Thread ids are unique on the
    # machine, so that two threads or processes can write the same file.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    partial = path.with_name(f".{path.name[:32]}.{digest}.{threading.get_native_id()}.partial")
    try:
        yield partial
        partial.replace(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(partial)):  # a full disk reports no path
            error.filename = str(path)
        raise


def remove_unfinished(folder: Path) -> None:
    """Remove partial files of killed processes (see ``atomic_path``) at any depth of a local folder."""
    for path in folder.rglob(".*.partial"):
        path.unlink()


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically, creating its folder; readers never see a partial file."""
    if is_remote(path):
        path.write_bytes(data)
        return
    with atomic_path(path) as partial:
        partial.write_bytes(data)
