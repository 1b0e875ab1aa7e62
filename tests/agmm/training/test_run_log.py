from pathlib import Path

import pytest
import torch

import agmm.training.run_log
from agmm.distributed import Ranks
from agmm.training.run_log import RunLog


@pytest.mark.parametrize(
    ("seconds", "first_epoch", "told"),
    [
        # Two epochs done in this call, of the same length; those before it say nothing of the time that this one takes.
        (10.0, 0, "10.0 s, 80 s left"),
        (10.0, 3, "10.0 s, 50 s left"),
        (60.0, 0, "60.0 s, 8 min left"),
        (3600.0, 5, "3600.0 s, 3.0 h left"),
    ],
)
def test_a_line_of_progress_says_how_long_the_rest_takes(
    seconds: float,
    first_epoch: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = [1000.0]
    monkeypatch.setattr(agmm.training.run_log.time, "monotonic", lambda: now[0])
    with RunLog(tmp_path, Ranks(0, 1, torch.device("cpu")), 10, 1, first_epoch, quiet=False) as log:
        for epoch in (first_epoch + 1, first_epoch + 2):
            now[0] += seconds
            log.epoch(epoch, {"loss": 1.5, "val_miou": 0.25})
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"epoch {first_epoch + 2}/10  loss 1.500  val_miou 25.0 %  {told}"


def test_terms_that_are_switched_off_are_left_out_of_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ranks = Ranks(0, 1, torch.device("cpu"))
    with RunLog(tmp_path, ranks, 1, 1, 0, quiet=False, term_names=("seg", "self", "con")) as log:
        log.epoch(1, {"seg": 1.5, "self": 0.0, "con": 1e-9, "val_miou": 0.0})
    assert "  seg 1.500  con 0.000  val_miou 0.0 %  " in capsys.readouterr().err
    assert (tmp_path / "log.csv").read_text().startswith("epoch,seg,self,con,val_miou,")


def test_other_ranks_say_and_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunLog(tmp_path, Ranks(1, 2, torch.device("cpu")), 10, 1, 0, quiet=False) as log:
        log.say("a warning")
        log.epoch(1, {"loss": 1.5})
    assert capsys.readouterr().err == ""
    assert not list(tmp_path.iterdir())
