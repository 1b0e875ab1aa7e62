"""A list of lines that survives the process that writes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from data_manifests.files.atomic import write_atomically
from data_manifests.files.lock import PathLock
from data_manifests.files.paths import is_remote

#: Seconds of work that a killed process may lose on storage without append.
_PART_SECONDS = 60.0


class Journal:
    """Lines in a file; on an object store, which cannot append, in parts written once a minute.

    Args:
        path: The file, ending in ``.jsonl``; parts have a number before the ending.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None
        self._lock = PathLock(path)
        self._waiting: list[str] = []
        self._written_at = 0.0

    def open(self) -> bool:
        """Prepare to append, unless another process does; drop the incomplete last line of a killed process."""
        self._written_at = time.monotonic()
        if is_remote(self._path):
            return True
        file = self._path.open("a", encoding="utf-8", newline="\n")
        if not self._lock.try_acquire():
            file.close()
            return False
        file.truncate(sum(len(line.encode()) for line in self.lines()))
        self._file = file
        return True

    def append(self, line: str) -> None:
        """Append a line, given without its line break."""
        if self._file:
            with self._named_errors():
                self._file.write(line + "\n")
                self._file.flush()
            return
        self._waiting.append(line + "\n")
        if time.monotonic() - self._written_at >= _PART_SECONDS:
            self._write_part()

    def close(self) -> None:
        """End appending."""
        if self._file:
            with self._named_errors():
                self._file.close()
            self._lock.release()
        self._write_part()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Add the file name to errors, because that of a full disk has none."""
        try:
            yield
        except OSError as error:
            error.filename = error.filename or str(self._path)
            raise

    def lines(self) -> Iterator[str]:
        """Yield the complete lines in the order they were written."""
        for part in self._parts():
            try:
                file = part.open(encoding="utf-8", newline="\n")
            except FileNotFoundError:  # another shard has moved the folder meanwhile
                return
            with file:
                yield from (line for line in file if line.endswith("\n"))

    def remove(self) -> None:
        """Delete its files."""
        for part in self._parts():
            part.unlink()

    def _parts(self) -> list[Path]:
        if not is_remote(self._path):
            return [self._path] if self._path.is_file() else []
        return sorted(self._path.parent.glob(f"{self._path.stem}-part*.jsonl"), key=str)

    def _write_part(self) -> None:
        if self._waiting:
            name = f"{self._path.stem}-part{len(self._parts()):08}.jsonl"
            write_atomically(self._path.with_name(name), "".join(self._waiting).encode())
        self._waiting = []
        self._written_at = time.monotonic()
