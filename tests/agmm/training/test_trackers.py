"""Experiment trackers get every epoch and the previews; without one, log.csv is all."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agmm.config.training import LOGS, TrainConfig
from agmm.errors import TrainingError
from agmm.training.resume import resumed_config
from agmm.training.run_log import read_whole_table
from agmm.training.trackers import require_tracker, start_tracker
from agmm.training.train import train_network
from data_manifests import Manifest
from tests.helpers.trainings import CONFIG


def losses_of(run_dir: Path) -> list[float]:
    return [float(row["loss"]) for row in read_whole_table(run_dir / "log.csv")[1]]


def train(manifest: Manifest, run_dir: Path, log: str, epochs: int = 2) -> Path:
    """Train, and resume for the last epoch."""
    train_network(manifest, replace(CONFIG, log=log, epochs=epochs), run_dir, quiet=True)
    config = resumed_config(run_dir, {"epochs": epochs + 1})
    train_network(manifest, config, run_dir, resume=True, quiet=True)
    return run_dir


def test_log_csv_is_all_there_is(undisturbed: Path) -> None:
    assert {path.name for path in undisturbed.iterdir()} == {
        "config.toml", "log.csv", "run.json", "state.safetensors", "validation.json", "weights.safetensors",
    }  # fmt: skip


def test_tensorboard(seven: Manifest, tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="needs tensorboard"
    )
    run_dir = train(seven, tmp_path / "run", "tensorboard")
    events = accumulator.EventAccumulator(str(run_dir / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {f"val_iou/c{i}" for i in range(4)} <= set(tags["scalars"]) and "val/a03" in tags["images"]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses_of(run_dir))
    shown = events.Images("val/a03")
    assert [event.step for event in shown] == [1, 2, 3]
    assert Image.open(io.BytesIO(shown[-1].encoded_image_string)).size == (3 * 96, 64)


@pytest.mark.filterwarnings("ignore")  # of mlflow
def test_mlflow(seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    run_dir = train(seven, tmp_path / "first", "mlflow")
    again, first = mlflow.search_runs(output_format="list")
    assert first.info.run_name == again.info.run_name == "first" and first.data.params["epochs"] == "2"
    history = mlflow.MlflowClient().get_metric_history
    found = [(m.step, m.value) for run in (first, again) for m in history(run.info.run_id, "loss")]
    assert found == [(n, pytest.approx(loss)) for n, loss in enumerate(losses_of(run_dir), start=1)]
    assert "val_iou/c0" in first.data.metrics
    assert any("val" in path.name for path in tmp_path.rglob("*.png"))


@pytest.mark.filterwarnings("ignore")  # of wandb
def test_wandb_offline(seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="needs wandb")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    logged: list[tuple[int, dict[str, Any]]] = []
    log = wandb.sdk.wandb_run.Run.log
    monkeypatch.setattr(
        wandb.sdk.wandb_run.Run, "log", lambda run, data, step: (logged.append((step, data)), log(run, data, step))
    )
    run_dir = train(seven, tmp_path / "first", "wandb")
    assert [data["loss"] for _, data in logged if "loss" in data] == pytest.approx(losses_of(run_dir))
    assert [step for step, data in logged if "val/a03" in data] == [1, 2, 3]
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2


def test_every_name_is_a_module_or_the_log_alone(tmp_path: Path) -> None:
    folder = Path(__import__("agmm.training.trackers", fromlist=["start_tracker"]).__file__).parent
    assert {path.stem for path in folder.glob("[a-z]*.py")} == {*LOGS} - {"csv"}
    assert start_tracker("csv", tmp_path, {}, 0) is None
    assert "log" not in TrainConfig().to_dict() and TrainConfig(log="wandb").to_dict()["log"] == "wandb"
    with pytest.raises(ValueError, match="Unknown log 'paper'. Choose from: csv, tensorboard"):
        TrainConfig(log="paper")


def test_a_missing_package_is_told_before_anything_is_written(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agmm.training.trackers.find_spec", lambda name: None)
    require_tracker("csv")
    with pytest.raises(TrainingError, match=r"sparsekit-agmm\[wandb\]"):
        train_network(seven, replace(CONFIG, log="wandb"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
