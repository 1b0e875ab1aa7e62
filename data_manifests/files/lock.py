"""Lock an output folder or a file against a second process."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from data_manifests.errors import DataError
from data_manifests.files.paths import is_remote

if TYPE_CHECKING:
    import filelock

# Other processes may create and remove the folder while it is opened.
_ATTEMPTS = 10


class PathLock:
    """A lock on a file or folder that exists; the system releases it when the process ends.

    Windows locks no folders, and a locked file cannot be read by others. There, a file in the temporary folder stands
    for the path, so that the lock holds among the processes of one user on one machine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._stand_in: filelock.BaseFileLock | None = None

    def try_acquire(self) -> bool:
        """Take the lock, unless another process holds it, or the path is moved away meanwhile."""
        is_ours = self._lock_stand_in() if fcntl is None else self._lock_path() and self._is_in_place()
        if not is_ours:
            self.release()
        return is_ours

    def _lock_path(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDONLY if self._path.is_dir() else os.O_RDWR)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _is_in_place(self) -> bool:
        """Whether the path still leads to what was opened."""
        assert self._descriptor is not None
        return self._path.exists() and os.path.samestat(os.fstat(self._descriptor), self._path.stat())

    def _lock_stand_in(self) -> bool:
        import filelock

        digest = hashlib.sha256(os.path.normcase(self._path.resolve()).encode()).hexdigest()[:32]
        self._stand_in = filelock.FileLock(Path(tempfile.gettempdir(), f"sparsekit-{digest}.lock"), timeout=0)
        try:
            self._stand_in.acquire()
        except filelock.Timeout:
            return False
        self._path.stat()  # raises if another process has removed it meanwhile, as opening it does
        return True

    def release(self) -> None:
        """Release the lock, if held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if self._stand_in is not None:
            self._stand_in.release()
            self._stand_in = None


class FolderLock:
    """A lock on a local or mounted folder; the system releases it when the process ends.

    Args:
        folder: Created if missing, and removed again if still empty at the end. No file is added to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Path] = []
        self._lock = PathLock(folder)

    def acquire(self, result: Path) -> None:
        """Take the lock, or report that another process is writing ``result``.

        Raises:
            DataError: If another process holds the lock.
        """
        if not self.try_acquire():
            raise DataError(
                f"{result}: another process is writing to it. Wait until it ends, or choose another folder."
            )

    def try_acquire(self) -> bool:
        """Try to take the lock; always succeeds on object stores, which have no locks."""
        if is_remote(self._folder):
            return True
        for attempt in range(_ATTEMPTS):
            missing = [path for path in (self._folder, *self._folder.parents) if not path.exists()]
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                is_ours = self._lock.try_acquire()
            except (FileExistsError, FileNotFoundError):
                # Another process that also created it has just removed it.
                self.release()
                if attempt == _ATTEMPTS - 1 or (self._folder.exists() and not self._folder.is_dir()):
                    raise
            else:
                self._made = missing if is_ours else []
                return is_ours
        return False

    def release(self) -> None:
        """Release the lock, if held."""
        for path in self._made:
            with suppress(OSError):  # not empty, or already moved to its final place
                path.rmdir()
        self._made = []
        self._lock.release()
