"""Trainings that were killed or are finished, and go on."""

import shutil
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from tests.agmm.conftest import tiny_manifest
from tests.cli.test_train import FAST, agmm


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def finished(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "two"
    result = agmm("train", manifest, "--out", run_dir, *FAST, "--epochs", 2)
    assert result.exit_code == 0, result.output
    return run_dir


def test_fewer_epochs_than_are_trained_are_refused(manifest: Path, finished: Path) -> None:
    before = (finished / "config.toml").read_bytes()
    result = agmm("train", manifest, "--resume", finished, "--epochs", 1)
    assert result.exit_code == 2 and "2 epochs are already trained" in result.stderr
    assert (finished / "config.toml").read_bytes() == before
    result = agmm("train", manifest, "--resume", finished, "--epochs", 2)
    assert result.exit_code == 0 and "All 2 epochs are already trained" in result.stderr


@pytest.mark.parametrize("arguments", [("--resume",), ("--overwrite", *FAST, "--out")], ids=["resumed", "replaced"])
def test_what_a_killed_training_was_writing_is_removed(
    manifest: Path, finished: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(finished, run_dir)
    left = [".tmpDfw01w", ".state.safetensors.6b588e95748391c3.22128.partial", ".log.csv.partial"]
    # Scores may be written while the run is trained, and by other processes.
    kept = [".evaluation.json.6b588e95748391c3.22128.partial", ".tmp-notes-of-mine", "notes.txt"]
    for name in left + kept:
        (run_dir / name).write_bytes(b"half")
    result = agmm("train", manifest, *arguments, run_dir)
    assert result.exit_code == 0, result.output
    assert not [name for name in left if (run_dir / name).exists()]
    assert all((run_dir / name).read_bytes() == b"half" for name in kept)
    assert (run_dir / "state.safetensors").exists() and (run_dir / "weights.safetensors").exists()


def test_a_training_goes_on_without_the_weights_it_started_from(manifest: Path, tmp_path: Path) -> None:
    weights, run_dir = tmp_path / "encoder.safetensors", tmp_path / "run"
    save_file(timm.create_model("mobilenetv3_small_050", pretrained=False).state_dict(), weights)
    begun = agmm("train", manifest, "--out", run_dir, *FAST, "--epochs", 1, "--encoder-weights", weights)
    assert begun.exit_code == 0, begun.output
    weights.unlink()
    result = agmm("train", manifest, "--resume", run_dir, "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert "epoch 2/2" in result.stderr


def test_the_loss_auto_is_the_same_when_resumed(manifest: Path, finished: Path, tmp_path: Path) -> None:
    auto = ("--loss-kind", "auto")
    begun = agmm("train", manifest, "--out", tmp_path / "run", *FAST[:-2], "--epochs", 1, *auto)
    assert begun.exit_code == 0, begun.output
    assert 'loss_kind = "seg"' in (tmp_path / "run/config.toml").read_text()
    assert agmm("train", manifest, "--resume", tmp_path / "run", "--epochs", 2, *auto).exit_code == 0
    other = agmm("train", manifest, "--resume", finished, *auto)
    assert other.exit_code == 2 and "loss_kind is agmm, not seg" in other.stderr
    assert "(auto is seg on this annotation)" in other.stderr
