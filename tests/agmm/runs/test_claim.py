"""Whose a run's folder is, and what a training that fails leaves in it."""

import errno
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import agmm.training.state
import agmm.training.train
from agmm.errors import TrainingError
from agmm.training.train import train_network
from data_manifests import DataError, Manifest, read_manifest
from data_manifests.files.lock import FolderLock
from tests.agmm.conftest import tiny_manifest
from tests.helpers.trainings import CONFIG


def test_a_folder_in_use_is_kept(seven: Manifest, undisturbed: Path) -> None:
    before = (undisturbed / "weights.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="already holds a run"):
        train_network(seven, CONFIG, undisturbed, quiet=True)
    assert (undisturbed / "weights.safetensors").read_bytes() == before


def test_what_a_training_left_that_was_killed_in_its_first_epoch_is_no_obstacle(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, config = tmp_path / "run", replace(CONFIG, epochs=1, log="tensorboard")
    code = (
        "import os, agmm.training.train\n"
        "agmm.training.train.train_epoch = lambda *_: os.kill(os.getpid(), 9)\n"
        "from pathlib import Path\n"
        "from agmm.config.training import TrainConfig\n"
        "from data_manifests import read_manifest\n"
        f"config = TrainConfig.from_dict({config.to_dict()!r})\n"
        f"agmm.training.train.train_network(read_manifest(Path({str(seven.path)!r})), config, Path({str(run_dir)!r}))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert {"config.toml", "run.json"} <= {path.name for path in run_dir.iterdir()}
    (run_dir / ".state.safetensors.0123456789abcdef.99.partial").write_bytes(b"half")  # as a kill would leave it
    assert train_network(seven, config, run_dir, quiet=True).info.epoch == 1
    assert len(list((run_dir / "tensorboard").glob("events.*"))) == 1
    assert not list(run_dir.glob(".*"))


def test_first_weights_without_a_state_are_no_obstacle_but_finished_ones_are(
    seven: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint = agmm.training.train.save_checkpoint

    def killed_before_the_state(path: Path, *content: Any) -> None:
        if path.name == "state.safetensors":
            shutil.copytree(path.parent, tmp_path / "killed")
            raise TrainingError("killed")
        save_checkpoint(path, *content)

    config = replace(CONFIG, epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(agmm.training.train, "save_checkpoint", killed_before_the_state)
        with pytest.raises(TrainingError, match="killed"):
            train_network(seven, config, tmp_path / "run", quiet=True)
    assert (tmp_path / "killed/weights.safetensors").exists()
    assert train_network(seven, config, tmp_path / "killed", quiet=True).info.epoch == 2

    finished = shutil.copytree(undisturbed, tmp_path / "finished")  # three epochs, and its state was deleted
    (finished / "state.safetensors").unlink()
    one_epoch = shutil.copytree(finished, tmp_path / "one_epoch")
    (one_epoch / "log.csv").write_text("epoch,loss\n1,2.0\n")
    (one_epoch / "config.toml").write_text("epochs = 1\n")
    weights_alone = shutil.copytree(finished, tmp_path / "weights", ignore=shutil.ignore_patterns("log.csv"))
    for run in (finished, one_epoch, weights_alone):
        with pytest.raises(TrainingError, match=r"\(weights.safetensors\). Choose another"):
            train_network(seven, config, run, quiet=True)
        assert (run / "weights.safetensors").exists()


@pytest.mark.parametrize("name", ["config.toml", "log.csv", "evaluation.json"])
def test_files_that_no_training_wrote_are_kept(seven: Manifest, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("# mine")
    with pytest.raises(TrainingError, match=f"already holds a {name} that no run wrote"):
        train_network(seven, replace(CONFIG, epochs=1), tmp_path, quiet=True)
    assert (tmp_path / name).read_text() == "# mine"


def test_one_training_at_a_time_in_a_folder(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    other = FolderLock(run)
    assert other.try_acquire()
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(TrainingError, match="another process is training here"):
            train_network(seven, CONFIG, run, quiet=True, **options)
    other.release()
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_a_disk_too_full_for_the_first_state_leaves_nothing(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint = agmm.training.train.save_checkpoint

    def full(path: Path, *content: Any) -> None:
        if path.name == "state.safetensors":
            assert (path.parent / "weights.safetensors").exists()
            raise TrainingError("full")
        save_checkpoint(path, *content)

    monkeypatch.setattr(agmm.training.train, "save_checkpoint", full)
    with pytest.raises(TrainingError, match="full"):
        train_network(seven, CONFIG, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_told_before_tensorboard_meets_it(
    seven: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = sorted(run.rglob("*"))
    monkeypatch.setattr("agmm.runs.folder.write_atomically", no_space)
    with pytest.raises(OSError, match="No space left on device: .*config.toml"):
        train_network(seven, replace(CONFIG, epochs=4), run, resume=True, quiet=True)
    assert sorted(run.rglob("*")) == before  # its own thread would print a traceback


def test_a_batch_of_one(seven: Manifest, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="--batch-size 2"):
        train_network(seven, replace(CONFIG, batch_size=1), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_false_start_leaves_nothing(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=7))
    config = replace(CONFIG, epochs=1)
    (tmp_path / "empty").mkdir()
    # One image that cannot be read is met somewhere in the first epoch, all of them at once.
    for rows in (manifest.rows_of("train")[-1:], manifest.rows_of("train")):
        for row in rows:
            manifest.resolve(row.annotation).unlink(missing_ok=True)
        for folder in (tmp_path / "new/deep/run", tmp_path / "empty"):
            with pytest.raises(DataError, match=r"missing: .*annotations/a\d\d\.png"):
                train_network(manifest, config, folder, quiet=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "empty"]
        assert not list((tmp_path / "empty").iterdir())


def test_an_interruption_before_the_first_checkpoint_leaves_nothing(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        assert (tmp_path / "run/config.toml").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(agmm.training.train, "train_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_network(seven, CONFIG, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_training_that_is_replaced_takes_its_scores_along(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    for name in ("evaluation.json", "evaluation.csv", "confusion.csv"):
        (run / name).touch()
    (run / "notes.txt").touch()
    train_network(seven, replace(CONFIG, epochs=1), run, overwrite=True, quiet=True)
    assert {"config.toml", "notes.txt"} <= (left := {path.name for path in run.iterdir()})
    assert not {name for name in left if name.startswith(("evaluation", "confusion"))}


def test_a_false_start_with_overwrite_keeps_the_earlier_training(undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    other = read_manifest(tiny_manifest(tmp_path / "data"))
    shutil.rmtree(tmp_path / "data/images")
    with pytest.raises(DataError, match="missing: "):
        train_network(other, CONFIG, run, overwrite=True, quiet=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
