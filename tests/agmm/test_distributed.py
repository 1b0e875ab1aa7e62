import pytest
import torch

from agmm.distributed import choose_device, join_ranks
from agmm.errors import TrainingError


def test_cuda_asked_for_and_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(TrainingError, match=r"'cuda' was asked for.* sees 0 CUDA devices.*--device cpu"):
        choose_device("cuda")


def test_an_unknown_device_is_named() -> None:
    with pytest.raises(ValueError, match="Unknown device 'gpu'"):
        choose_device("gpu")


def test_without_torchrun_there_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = join_ranks("cpu")
    assert (ranks.rank, ranks.num_ranks, ranks.is_first) == (0, 1, True)
    ranks.require_equal("x", "manifest")
