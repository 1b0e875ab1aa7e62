"""Devices and processes: one process, or several started by torchrun, by the same code."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed

from agmm.errors import TrainingError


def choose_device(name: str) -> torch.device:
    """The device a user asked for.

    Args:
        name: ``auto`` (a CUDA device if there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        TrainingError: If CUDA was asked for and there is none.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            f"Device '{name}' was asked for, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA "
            "devices. Use --device cpu, or check the driver with nvidia-smi."
        )
    return device


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Args:
        rank: Its number.
        num_ranks: How many there are.
        device: Where it computes.
    """

    rank: int
    num_ranks: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def require_equal(self, value: str, what: str) -> None:
        """Check that all ranks hold the same value; every rank must call it.

        Raises:
            TrainingError: On every rank, naming the ranks that differ from the first.
        """
        if self.num_ranks == 1:
            return
        values: list[str] = [""] * self.num_ranks
        distributed.all_gather_object(values, value)
        if differing := [rank for rank, other in enumerate(values) if other != values[0]]:
            raise TrainingError(
                f"Ranks {differing} have another {what} than rank 0 ({values[differing[0]]!r} against {values[0]!r}). "
                "Give every machine the same files and the same command."
            )


@contextmanager
def join_ranks(device_name: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started; without torchrun, be the only one.

    Args:
        device_name: As for ``choose_device``; under torchrun ``cuda`` becomes each process's own device.

    Yields:
        This process's place among them.

    Raises:
        TrainingError: If CUDA was asked for and there is none.
    """
    device = choose_device(device_name)
    if "WORLD_SIZE" not in os.environ:
        yield Ranks(0, 1, device)
        return
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    joined_before = distributed.is_initialized()  # by a caller who trains several times
    if not joined_before:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        if not joined_before:
            distributed.destroy_process_group()
