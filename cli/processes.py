"""Which process this is among those that torchrun started, told without torch, whose import is slow."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Whether this process speaks for all: the first of torchrun's, or the only one."""
    # Some clusters set the number of a process, but start just one: see ``agmm.distributed.join_ranks``.
    return "WORLD_SIZE" not in os.environ or os.environ.get("RANK", "0") == "0"
