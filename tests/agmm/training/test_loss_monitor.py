import pytest
import torch

from agmm.distributed import Ranks
from agmm.errors import TrainingError
from agmm.training.loss_monitor import TermMonitor

ALONE = Ranks(0, 1, torch.device("cpu"))
NAN = float("nan")


def terms(seg: float, spar: float) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    return torch.tensor(seg + spar), {"seg": torch.tensor(seg), "spar": torch.tensor(spar)}


def test_means_over_an_epoch() -> None:
    monitor = TermMonitor(ALONE)
    monitor.add(0, *terms(1.0, 2.0))
    monitor.add(1, *terms(3.0, 0.0))
    assert monitor.means() == {"loss": 3.0, "seg": 2.0, "spar": 1.0}
    monitor.clear()
    monitor.add(2, *terms(5.0, 1.0))
    assert monitor.means() == {"loss": 6.0, "seg": 5.0, "spar": 1.0}


@pytest.mark.parametrize("bad", [NAN, float("inf"), float("-inf")])
def test_the_first_bad_term_is_named(bad: float) -> None:
    monitor = TermMonitor(ALONE)
    monitor.add(7, *terms(1.0, 2.0))
    monitor.add(8, *terms(1.0, bad))
    monitor.add(9, *terms(NAN, NAN))  # the weights are spoilt by now
    with pytest.raises(TrainingError, match=r"Not a finite number at step 8: spar\. "):
        monitor.means()
