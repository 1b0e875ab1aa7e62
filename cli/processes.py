"""Rank of this process under torchrun, found without importing torch, which is slow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def is_first_process() -> bool:
    """Whether this is the first of torchrun's processes, or the only process."""
    # Some clusters set a rank but start only one process; see ``agmm.distributed.join_ranks``.
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"


def require_one_process(what: str) -> None:
    """Refuse to run under torchrun, where each process would write the same files.

    Args:
        what: Name of the operation, as the start of a sentence.

    Raises:
        UsageError: If torchrun started several processes.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        import click  # imported late: Ctrl-C is handled before click is imported

        raise click.UsageError(f"{what} runs in one process: start it without torchrun.")


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other commands out of an output folder, whose files would be a mixture; those of torchrun share it.

    Raises:
        DataError: If another command writes there.
    """
    from data_manifests.files.lock import FolderLock  # imported late: Ctrl-C is handled before

    lock = FolderLock(folder)
    if is_first_process():
        lock.acquire(folder)
    try:
        yield
    finally:
        lock.release()
