"""Ctrl-C and SIGTERM end every command with one line and the exit code that shells expect, and leave no process."""

import os
import signal
import socket
from pathlib import Path

import pytest

from tests.helpers.faults import Fault, run

INT, TERM = signal.SIGINT, signal.SIGTERM
CONTINUE = "Interrupted; run the same command to continue\n"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals reach processes in another way here")


@pytest.mark.parametrize(
    ("fault", "workers"),
    [
        (Fault(INT, "import", "click"), 1),
        (Fault(TERM, "import", "numpy"), 1),
        (Fault(INT, "os.rename", nth=3), 1),
        (Fault(INT, "os.rename", nth=3, group=True), 2),
        (Fault(TERM, "os.rename", nth=3), 2),
    ],
    ids=str,
)
def test_annotating(scenes: Path, tmp_path: Path, fault: Fault, workers: int) -> None:
    command = ["sparsekit", "points", scenes, "--clicks", 3, "--out", tmp_path / "out", "--workers", workers]
    result = run(*command, fault=fault)
    assert (result.returncode, result.stderr, result.stdout) == (128 + fault.number, CONTINUE, "")
    assert run(*command).returncode == 0


def test_stages_while_they_import(clicked: Path, tmp_path: Path) -> None:
    result = run("agmm", "stages", clicked, "--out", tmp_path / "out", fault=Fault(INT, "import", "torch"))
    assert (result.returncode, result.stderr, result.stdout) == (130, CONTINUE, "")


def test_a_training_says_how_to_go_on(clicked: Path, config_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    fault = Fault(INT, "os.rename", "state.safetensors", nth=2, group=True)
    result = run("agmm", "train", clicked, "--config", config_path, "--out", out, fault=fault)
    assert result.returncode == 130
    assert result.stderr.splitlines()[-1] == f"Interrupted; resume with: agmm train {clicked} --resume {out}"
    assert "Traceback" not in result.stderr


def test_processes_that_train_together(clicked: Path, config_path: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["torch.distributed.run", "--nproc-per-node", 2, "--master-port", port, "-m", "agmm"]
    fault = Fault(TERM, "os.rename", "state.safetensors", nth=2, group=True)
    result = run(*launch, "train", clicked, "--config", config_path, "--out", tmp_path / "run", fault=fault)
    told = [line for line in result.stderr.splitlines() if line.startswith("Interrupted")]
    assert told == [
        f"Interrupted; resume with: torchrun --nproc-per-node 2 -m agmm train {clicked} --resume {tmp_path / 'run'}"
    ]
    assert "agmm/" not in result.stderr.partition("Traceback")[2].partition("torch/distributed/run.py")[0]
    assert "left over" not in result.stderr
