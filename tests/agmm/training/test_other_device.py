"""Everything agmm computes, on a device other than the CPU; where there is no GPU, on a pretended one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils import backend_registration

from agmm.runs.checkpoint import load_checkpoint
from data_manifests.files.masks import read_mask
from tests.agmm.conftest import tiny_manifest
from tests.helpers.on_a_device import TRAININGS, run_everything

pytestmark = pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this version of torch has no devices written in Python",
)


def run_script(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # A process of its own, as torch cannot forget a device.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What was computed on the CPU, and what was on the device."""
    folder = tmp_path_factory.mktemp("devices")
    manifest = tiny_manifest(folder / "tiny")
    run_everything(manifest, folder / "cpu", torch.device("cpu"))
    done = run_script("-m", "tests.helpers.on_a_device", manifest, folder / "device")
    assert done.returncode == 0, done.stderr
    return folder / "cpu", folder / "device"


@pytest.mark.parametrize("run", [*TRAININGS, "stages/stage-2"])
def test_a_training_is_that_of_the_cpu(folders: tuple[Path, Path], run: str) -> None:
    (ours, info), (theirs, expected) = (load_checkpoint(folder / run / "weights.safetensors") for folder in folders)
    assert info.best_epoch == expected.best_epoch
    assert info.best_miou == pytest.approx(expected.best_miou, abs=1e-3)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}")  # type: ignore[misc]


def test_label_maps_and_scores_are_those_of_the_cpu(folders: tuple[Path, Path]) -> None:
    here, there = folders
    names = [path.relative_to(here) for path in sorted(here.rglob("*.png"))]
    assert {name.parts[1] for name in names} == {"label_maps", "mixture", "pseudo-labels-1"}
    for name in names:
        assert np.mean(read_mask(here / name) != read_mask(there / name)) < 0.01, name
    scores, expected = (json.loads((folder / "paper" / "evaluation.json").read_text()) for folder in (there, here))
    assert [record["protocol"] for record in scores["results"]] == [r["protocol"] for r in expected["results"]]
    for record, wanted in zip(scores["results"], expected["results"], strict=True):
        assert record["miou"] == pytest.approx(wanted["miou"], abs=0.01)
    for name in ("features.npy", *(path.relative_to(here) for path in here.rglob("probabilities/*.npy"))):
        np.testing.assert_allclose(np.load(there / name), np.load(here / name), atol=2e-3)


def test_a_step_waits_for_the_device_as_often_as_the_method_says(folders: tuple[Path, Path]) -> None:
    # docs/method.md names each of them.
    waited = json.loads((folders[1] / "waits.json").read_text())
    assert waited["host"] == {"paper": 0, "released": 0, "batch": 0}
    assert waited["device"] == {"paper": 3, "released": 4, "batch": 3}


def test_a_training_waits_no_oftener_for_more_batches(folders: tuple[Path, Path]) -> None:
    one, four = json.loads((folders[1] / "waits.json").read_text())["training"].values()
    assert one == four


def test_the_pretended_device_refuses_what_a_gpu_does() -> None:
    code = """
import torch
from tests.helpers.pretended_device import pretend
here, there = torch.ones(3), torch.ones(3).to(pretend())
assert (there * 2).sum().item() == 6 and there.device != here.device and there.cpu().device == here.device
for mistake in (
    lambda: there + here, lambda: here.mul_(there), lambda: torch.cat([there, here]), lambda: here[there > 0],
    lambda: torch.nn.Linear(3, 3)(there), lambda: there.numpy(),
):
    try:
        mistake()
    except (RuntimeError, TypeError) as error:
        print(error)
    else:
        print("nothing said")
"""
    done = run_script("-c", code)
    *mixed, to_numpy = done.stdout.splitlines()
    assert len(mixed) == 5, done.stderr
    assert all("same device" in told for told in mixed)
    assert "numpy" in to_numpy
