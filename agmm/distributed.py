"""Devices and processes: one process, or several started by torchrun, by the same code."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass

import torch
from torch import distributed

from agmm.errors import TrainingError

# What else torchrun sets for each process.
_FROM_TORCHRUN = ("RANK", "MASTER_ADDR", "MASTER_PORT")


def choose_device(name: str) -> torch.device:
    """The device a user asked for.

    Args:
        name: ``auto`` (a CUDA device if there is one), ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        TrainingError: If CUDA was asked for and there is none.
        ValueError: If there is no such kind of device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"Unknown device '{name}'. Choose from: auto, cpu, cuda, cuda:0, cuda:1, ...") from error
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

    def uses_bfloat16(self, wanted: bool) -> bool:
        """Whether to compute in bfloat16: if it is wanted, on GPUs that do not merely emulate it (from Ampere on)."""
        on_cuda = self.device.type == "cuda"
        return wanted and on_cuda and torch.cuda.get_device_capability(self.device) >= (8, 0)

    def wait(self) -> None:
        """Let all processes come to the same point; every rank must call it."""
        if self.num_ranks > 1:
            distributed.barrier()

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
            first = differing[0]
            own, other = (
                ", ".join(line for line in one.splitlines() if line not in two.splitlines()) or "nothing more"
                for one, two in ((values[0], values[first]), (values[first], values[0]))
            )
            raise TrainingError(
                f"Ranks {differing} differ from rank 0 in their {what}: rank {first} has {other}; rank 0 has {own}. "
                "Give every machine the same files and the same command."
            )


def launch_command(num_ranks: int) -> str:
    """How so many processes on one machine are started."""
    return "agmm" if num_ranks == 1 else f"torchrun --nproc-per-node {num_ranks} -m agmm"


def has_lost_a_rank(error: RuntimeError) -> bool:
    """Whether an error says no more than that another process has ended, by words of gloo or NCCL."""
    words = ("onnection closed by peer", "onnection reset by peer", "Broken pipe", "remote process exited")
    return distributed.is_initialized() and any(word in str(error) for word in words)


def join_ranks(device_name: str) -> Ranks:
    """Join the processes that torchrun started, if it did; without torchrun, be the only one.

    The processes stay joined until they end, as torch cannot join the same ones twice.

    Args:
        device_name: As for ``choose_device``; under torchrun ``cuda`` becomes each process's own device.

    Raises:
        TrainingError: If CUDA was asked for and there is none, or the environment names processes that nobody joins.
    """
    device = choose_device(device_name)
    if "WORLD_SIZE" not in os.environ:
        return Ranks(0, 1, device)
    # Some clusters set the number of processes alone.
    wanted = (*_FROM_TORCHRUN, *(["LOCAL_RANK"] if device.type == "cuda" else []))
    if missing := [name for name in wanted if name not in os.environ]:
        raise TrainingError(
            f"WORLD_SIZE is set, as torchrun does for each of its processes, but not {', '.join(missing)}. Start with "
            "torchrun --nproc-per-node N -m agmm, or unset WORLD_SIZE to train in one process."
        )
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return Ranks(distributed.get_rank(), distributed.get_world_size(), device)
