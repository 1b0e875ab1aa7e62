"""Devices and processes: the same code for one process and for several started by torchrun."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass

import torch
from torch import distributed

from agmm.errors import TrainingError

# Other variables that torchrun sets for each process.
_FROM_TORCHRUN = ("RANK", "MASTER_ADDR", "MASTER_PORT")


def choose_device(name: str) -> torch.device:
    """Return the requested device.

    Args:
        name: ``auto`` (a CUDA device if there is one), ``cpu``, ``mps`` (Apple), ``cuda`` or ``cuda:1``.

    Raises:
        TrainingError: If CUDA or MPS is requested but not available.
        ValueError: If there is no such kind of device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    unknown = ValueError(f"Unknown device '{name}'. Choose from: auto, cpu, mps, cuda, cuda:0, cuda:1, ...")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise unknown from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise unknown
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise TrainingError(
            f"Device 'mps' was requested, but torch {torch.__version__} finds no Apple GPU. Use --device cpu."
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise TrainingError(
            f"Device '{name}' was requested, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA "
            "devices. Use --device cpu, or check the driver with nvidia-smi."
        )
    return device


def widest_float(device: torch.device) -> torch.dtype:
    """The widest floating type of a device: float64, or float32 on Apple GPUs, which have no other."""
    return torch.float32 if device.type == "mps" else torch.float64


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together.

    Args:
        rank: Index of this process.
        num_ranks: Number of processes.
        device: Device of this process.
    """

    rank: int
    num_ranks: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def uses_bfloat16(self, wanted: bool) -> bool:
        """Whether to compute in bfloat16: if requested, on GPUs that support it natively (Ampere and later)."""
        on_cuda = self.device.type == "cuda"
        return wanted and on_cuda and torch.cuda.get_device_capability(self.device) >= (8, 0)

    def wait(self) -> None:
        """Wait until all processes reach this point; every rank must call it."""
        if self.num_ranks > 1:
            distributed.barrier()

    def require_equal(self, value: str, what: str) -> None:
        """Check that all ranks have the same value; every rank must call it.

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
    """Return the command that starts this many processes on one machine."""
    return "agmm" if num_ranks == 1 else f"torchrun --nproc-per-node {num_ranks} -m agmm"


def has_lost_a_rank(error: RuntimeError) -> bool:
    """Whether an error of gloo or NCCL only means that another process has ended."""
    words = ("onnection closed by peer", "onnection reset by peer", "Broken pipe", "remote process exited")
    return distributed.is_initialized() and any(word in str(error) for word in words)


def join_ranks(device_name: str) -> Ranks:
    """Join the processes started by torchrun; without torchrun, use a single process.

    The processes stay joined until they end, because torch cannot join the same ones twice.

    Args:
        device_name: As for ``choose_device``; under torchrun, ``cuda`` means each process's own device.

    Raises:
        TrainingError: If CUDA is requested but not available, or the environment of torchrun is incomplete.
    """
    device = choose_device(device_name)
    if "WORLD_SIZE" not in os.environ:
        return Ranks(0, 1, device)
    # Some clusters set only the number of processes.
    wanted = (*_FROM_TORCHRUN, *(["LOCAL_RANK"] if device.type == "cuda" else []))
    if missing := [name for name in wanted if name not in os.environ]:
        raise TrainingError(
            f"WORLD_SIZE is set, as torchrun does for each process, but {', '.join(missing)} is not. Start with "
            "torchrun --nproc-per-node N -m agmm, or unset WORLD_SIZE to train in one process."
        )
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    return Ranks(distributed.get_rank(), distributed.get_world_size(), device)
