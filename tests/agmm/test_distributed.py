import pytest
import torch

from agmm.distributed import Ranks, choose_device, join_ranks, widest_float
from agmm.errors import TrainingError


def test_cuda_asked_for_and_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(TrainingError, match=r"'cuda' .*sees 0 CUDA devices.*--device cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True)], ids=str)
def test_gpus_that_emulate_bfloat16_compute_without(
    capability: tuple[int, int], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    gpu, cpu = (Ranks(0, 1, torch.device(name)) for name in ("cuda:0", "cpu"))
    assert gpu.uses_bfloat16(True) == expected
    assert not gpu.uses_bfloat16(False) and not cpu.uses_bfloat16(True)


@pytest.mark.parametrize("name", ["gpu", "meta", "xpu", "cuda:-1"])
def test_an_unknown_device_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"Unknown device '{name}'"):
        choose_device(name)


def test_apple_gpus_compute_without_float64() -> None:
    types = {name: widest_float(torch.device(name)) for name in ("cpu", "cuda", "mps")}
    assert types == {"cpu": torch.float64, "cuda": torch.float64, "mps": torch.float32}


def test_without_torchrun_there_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = join_ranks("cpu")
    assert (ranks.rank, ranks.num_ranks, ranks.is_first) == (0, 1, True)
    ranks.require_equal("x", "manifest")


@pytest.mark.parametrize(
    ("device", "names", "missing"),
    [
        ("cpu", ["WORLD_SIZE"], "RANK, MASTER_ADDR, MASTER_PORT"),
        ("cpu", ["WORLD_SIZE", "RANK", "MASTER_ADDR"], "MASTER_PORT"),
        ("cuda", ["WORLD_SIZE", "RANK", "MASTER_ADDR", "MASTER_PORT"], "LOCAL_RANK"),
    ],
)
def test_half_an_environment_of_torchrun_is_told(
    device: str, names: list[str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name in names:
        monkeypatch.setenv(name, "1")
    with pytest.raises(TrainingError, match=rf"WORLD_SIZE is set, .* but {missing} is not\. Start with torchrun"):
        join_ranks(device)
