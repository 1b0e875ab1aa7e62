"""Lock an output folder against a second process."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no locking
    fcntl = None  # type: ignore[assignment]

from data_manifests.errors import DataError
from data_manifests.files.paths import is_remote

# Other processes may create and remove the folder while it is opened.
_ATTEMPTS = 10


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed, unless another process holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FolderLock:
    """A lock on a local or mounted folder; the system releases it when the process ends.

    Args:
        folder: Created if missing, and removed again if still empty at the end. No file is added to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Path] = []
        self._descriptor: int | None = None

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
                is_ours = fcntl is None or self._lock()
            except (FileExistsError, FileNotFoundError):
                # Another process that also created it has just removed it.
                self.release()
                if attempt == _ATTEMPTS - 1 or (self._folder.exists() and not self._folder.is_dir()):
                    raise
            else:
                self._made = missing if is_ours else []
                return is_ours
        return False

    def _lock(self) -> bool:
        self._descriptor = os.open(self._folder, os.O_RDONLY)
        is_ours = try_lock(self._descriptor) and self._is_in_place(self._descriptor)
        if not is_ours:
            self.release()
        return is_ours

    def _is_in_place(self, descriptor: int) -> bool:
        """Whether the folder is still where it was when it was opened."""
        return self._folder.exists() and os.path.samestat(os.fstat(descriptor), self._folder.stat())

    def release(self) -> None:
        """Release the lock, if held."""
        for path in self._made:
            with suppress(OSError):  # not empty, or already moved to its final place
                path.rmdir()
        self._made = []
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
