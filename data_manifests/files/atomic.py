"""Write files whole: a reader never sees half of one, and a killed process leaves none."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from data_manifests.errors import DataError
from data_manifests.files.paths import is_endless, is_remote, upload

#: Folders of what a process has open; a file there stands for another, and must not be replaced.
_STREAMS = (Path("/dev"), Path("/dev/fd"), Path("/proc/self/fd"))


def require_plain(path: Path) -> None:
    """Check that a file which is to be written or replaced is no pipe, socket, device or folder.

    A pipe would block until someone reads it, and what a device takes is lost.

    Raises:
        DataError: If it is.
    """
    if not is_remote(path) and path.exists() and not path.is_file():
        raise DataError(f"{path}: is not a file (it is a folder, a pipe or a device). Remove it, or give another path.")


@contextmanager
def atomic_path(path: Path, *, to_streams: bool = False) -> Iterator[Path]:
    """Yield a temporary path; move the file to ``path`` (creating its folder) if the block succeeds.

    Args:
        path: The file.
        to_streams: Write pipes and devices directly, such as ``/dev/stdout``; for files that users name one by one.

    Raises:
        DataError: As ``require_plain``.
    """
    if is_remote(path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, path.name)
            upload(Path(folder, path.name), path)
        return
    if to_streams and (path.parent in _STREAMS or is_endless(path)):
        yield path
        return
    require_plain(path)
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


def write_atomically(path: Path, data: bytes, *, to_streams: bool = False) -> None:
    """Write a file atomically, creating its folder; readers never see a partial file. Raises as ``atomic_path``."""
    if is_remote(path):
        path.write_bytes(data)
        return
    with atomic_path(path, to_streams=to_streams) as partial:
        partial.write_bytes(data)
