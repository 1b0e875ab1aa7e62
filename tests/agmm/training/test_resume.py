"""Trainings that were interrupted go on as if nothing had happened."""

import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import agmm.training.state
import agmm.training.train
from agmm.errors import TrainingError
from agmm.runs.checkpoint import load_checkpoint
from agmm.training.resume import resumed_config
from agmm.training.train import train_network
from data_manifests import Manifest, read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.helpers.faults import Fault, run
from tests.helpers.trainings import CONFIG, assert_same_state, log_of


def test_a_killed_training_goes_on_bit_by_bit(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    run_dir, config_path = tmp_path / "run", tmp_path / "config.toml"
    config_path.write_text(CONFIG.to_toml())
    fault = Fault(signal.SIGKILL, "os.rename", "state.safetensors", nth=2)  # between log and state
    killed = run("agmm", "train", seven.path, "--config", config_path, "--out", run_dir, fault=fault)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_checkpoint(run_dir / "state.safetensors")[1].epoch == 1
    assert [row["epoch"] for row in log_of(run_dir)] == ["1", "2"]
    train_network(seven, resumed_config(run_dir, {}), run_dir, resume=True, quiet=True)
    assert_same_state(run_dir, undisturbed)


@pytest.mark.parametrize("resume", [True, False], ids=["resumed", "replaced"])
def test_scores_of_single_images_go_with_their_weights(
    seven: Manifest, undisturbed: Path, tmp_path: Path, resume: bool
) -> None:
    run_dir, config = tmp_path / "run", replace(CONFIG, epochs=1, val_split="none")  # the last epoch is kept
    train_network(seven, config, run_dir, quiet=True)
    (run_dir / "per_image.csv").write_text("of the network before")
    config = replace(config, epochs=2 if resume else 1)
    train_network(seven, config, run_dir, resume=resume, overwrite=not resume, quiet=True)
    assert not (run_dir / "per_image.csv").exists()


def test_what_a_resumed_training_refuses(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    assert resumed_config(undisturbed, {"epochs": 9, "workers": 2}) == replace(CONFIG, epochs=9, workers=2)
    with pytest.raises(ValueError, match="keeps its settings, but lambda_ would change: lambda_ is .*, not 0.3"):
        resumed_config(undisturbed, {"lambda_": 0.3, "preset": "paper"})
    with pytest.raises(ValueError, match="keeps its settings, but learning_rate would change"):
        train_network(seven, replace(CONFIG, learning_rate=1.0), undisturbed, resume=True, quiet=True)
    with pytest.raises(TrainingError, match="no such checkpoint"):
        resumed_config(tmp_path, {})
    other = read_manifest(tiny_manifest(tmp_path, num_images=7, seed=1))
    with pytest.raises(TrainingError, match="was trained on another manifest"):
        train_network(other, CONFIG, undisturbed, resume=True, quiet=True)


def test_a_resumed_training_goes_by_its_edited_settings(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    path = run_dir / "config.toml"
    assert resumed_config(run_dir, {}) == CONFIG
    path.write_text(CONFIG.to_toml().replace("epochs = 3", "epochs = 5"))
    assert resumed_config(run_dir, {}) == replace(CONFIG, epochs=5)
    assert resumed_config(run_dir, {"epochs": 4}) == replace(CONFIG, epochs=4)
    path.write_text(replace(CONFIG, lambda_=0.25, epochs=5).to_toml())
    with pytest.raises(ValueError, match=r"but lambda_ would change \(by .*config.toml, which has been edited\)"):
        resumed_config(run_dir, {})
    path.write_text("epoch = 5\n")
    with pytest.raises(ValueError, match="config.toml: unknown setting 'epoch'"):
        resumed_config(run_dir, {})
    path.unlink()
    assert resumed_config(run_dir, {}) == CONFIG


def test_a_training_made_longer_stays_so_when_it_is_killed_at_once(
    seven: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    monkeypatch.setattr(agmm.training.train, "train_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_network(seven, resumed_config(run_dir, {"epochs": 4}), run_dir, resume=True, quiet=True)
    assert resumed_config(run_dir, {}).epochs == 4


def test_a_finished_training_says_that_there_is_nothing_to_do(
    seven: Manifest, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    before = (run_dir / "weights.safetensors").read_bytes()
    train_network(seven, resumed_config(run_dir, {}), run_dir, resume=True)
    assert capsys.readouterr().err.splitlines()[0].startswith("All 3 epochs are already trained")
    assert (run_dir / "weights.safetensors").read_bytes() == before


@pytest.mark.parametrize("log", [b"epoch,loss\none,1\n", b"loss\n1\n", b"\xff"])
def test_a_damaged_log_is_told(seven: Manifest, undisturbed: Path, tmp_path: Path, log: bytes) -> None:
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    (run_dir / "log.csv").write_bytes(log)
    with pytest.raises(TrainingError, match=r"log.csv: damaged .* delete it"):
        train_network(seven, replace(CONFIG, epochs=4), run_dir, resume=True, quiet=True)
