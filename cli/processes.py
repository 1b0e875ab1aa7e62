"""Which process this is among those that torchrun started, told without torch, whose import is slow."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this process speaks for all: the first of torchrun's, or the only one."""
    # Some clusters set the number of a process, but start just one: see ``agmm.distributed.join_ranks``.
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"


def require_one_process(what: str) -> None:
    """Refuse to do among several processes what each of them would do, into the same files.

    Args:
        what: Names it, to begin a sentence.

    Raises:
        UsageError: If torchrun started more than this one.
    """
    if os.environ.get("WORLD_SIZE", "1") != "1":
        import click  # not above: Ctrl-C is listened to before click is imported

        raise click.UsageError(f"{what} takes one process: start it without torchrun.")
