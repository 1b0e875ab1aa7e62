import csv
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import agmm.task
import agmm.train
from agmm.checkpoint import load_checkpoint, load_run
from agmm.config import TrainConfig
from agmm.errors import TrainingError
from agmm.evaluate import evaluate_rows
from agmm.losses import AGMMLoss
from agmm.train import resumed_config, train_network
from data_manifests import DataError, Manifest, ManifestInfo, read_manifest, write_manifest
from data_manifests.folder_lock import FolderLock
from data_manifests.image_io import encode_label_map, pixel_sha256, read_mask, write_atomically
from tests.agmm.conftest import tiny_manifest
from tests.agmm.two_ranks import train_both

#: Small, and with everything in it that a resumed training could forget.
SETTINGS: dict[str, Any] = {
    "encoder": "resnet10t.c3_in1k", "aspp_rates": [1], "decoder_channels": 32,
    "dropout": 0.3, "crop_size": [48, 48], "photometric": True,
    "batch_size": 2, "accumulate": 2, "epochs": 3, "clip_norm": 1.0, "ema_decay": 0.5, "device": "cpu", "workers": 0,
}  # fmt: skip
CONFIG = TrainConfig.from_dict(SETTINGS)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(tiny_manifest(tmp_path_factory.mktemp("tiny"), num_images=7))


@pytest.fixture(scope="module")
def undisturbed(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("run") / "first"
    train_network(manifest, CONFIG, run_dir, quiet=True)
    return run_dir


def log_of(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "log.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def test_two_images_can_be_overfitted(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, num_images=2, splits=("train",)))
    config = replace(
        CONFIG, crop_size=(64, 96), scale=(1.0, 1.0), flip=False, photometric=False, dropout=0.0, accumulate=1,
        epochs=20, optimizer="adamw", learning_rate=2e-3, new_layers_factor=1.0, ema_decay=0.0, val_split="train",
        val_every=10, supervision="full",
    )  # fmt: skip
    result = train_network(manifest, config, tmp_path / "run", quiet=True)
    assert result.info.best_miou is not None and result.info.best_miou > 0.9
    losses = [float(row["loss"]) for row in log_of(tmp_path / "run")]
    assert losses[-1] < losses[0] / 2


def test_a_run_folder_tells_its_story(manifest: Manifest, undisturbed: Path) -> None:
    rows = log_of(undisturbed)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(float(row[name]) > 0 for row in rows for name in ("loss", "seg", "self", "spar", "val_miou"))
    description = json.loads((undisturbed / "run.json").read_text())
    assert description["run_again"].startswith(f"agmm train {manifest.path} --config {undisturbed}/config.toml --out ")
    assert description["seed"] == 0
    run = load_run(undisturbed)
    best = max(range(3), key=lambda i: float(rows[i]["val_miou"]))
    assert run.info.epoch == run.info.best_epoch == best + 1
    result = evaluate_rows(run.model, manifest, manifest.rows_of("val"))
    assert result.miou == run.info.best_miou == pytest.approx(float(rows[best]["val_miou"]))
    validation = json.loads((undisturbed / "validation.json").read_text())
    assert validation["epoch"] == best + 1
    assert validation["miou"] == pytest.approx(result.miou)
    assert list((undisturbed / "tensorboard").glob("events.*"))


def test_seeds_decide_everything_and_workers_nothing(manifest: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    train_network(manifest, replace(CONFIG, workers=2), tmp_path / "again", quiet=True)
    assert_same_state(tmp_path / "again", undisturbed)
    train_network(manifest, replace(CONFIG, seed=1), tmp_path / "other", quiet=True)
    ours, theirs = (load_checkpoint(run / "state.safetensors")[0] for run in (undisturbed, tmp_path / "other"))
    assert not torch.equal(ours["model.classifier.weight"], theirs["model.classifier.weight"])


def assert_same_state(one: Path, other: Path) -> None:
    for name in ("state.safetensors", "weights.safetensors"):
        (ours, info), (theirs, other_info) = load_checkpoint(one / name), load_checkpoint(other / name)
        assert ours.keys() == theirs.keys()
        assert not [key for key in ours if not torch.equal(ours[key], theirs[key])]
        assert replace(info, config=CONFIG) == replace(other_info, config=CONFIG)
    assert log_of(one) == log_of(other)


def test_a_killed_training_goes_on_bit_by_bit(manifest: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    run_dir, config_path = tmp_path / "run", tmp_path / "config.toml"
    config_path.write_text(CONFIG.to_toml())
    command = [sys.executable, "-m", "agmm", "train", manifest.path, "--config", config_path, "--out", run_dir]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not (run_dir / "state.safetensors").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 1 <= load_checkpoint(run_dir / "state.safetensors")[1].epoch < 3, "the training was not interrupted"
    with (run_dir / "log.csv").open("a") as file:
        file.write("3" + "," * 20 + "\n")  # as if it had been killed between log and state
    train_network(manifest, resumed_config(run_dir, {}), run_dir, resume=True, quiet=True)
    assert_same_state(run_dir, undisturbed)


def test_what_a_resumed_training_refuses(manifest: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    assert resumed_config(undisturbed, {"epochs": 9, "workers": 2}) == replace(CONFIG, epochs=9, workers=2)
    with pytest.raises(ValueError, match="keeps its settings, but lambda_ would change"):
        resumed_config(undisturbed, {"lambda_": 0.3, "preset": "paper"})
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
    with pytest.raises(ValueError, match=r"but lambda_ would change \(by .*config.toml, edited since\)"):
        resumed_config(run_dir, {})
    path.write_text("epoch = 5\n")
    with pytest.raises(ValueError, match="config.toml: unknown setting 'epoch'"):
        resumed_config(run_dir, {})
    path.unlink()
    assert resumed_config(run_dir, {}) == CONFIG


def test_a_training_made_longer_stays_so_when_it_is_killed_at_once(
    manifest: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    monkeypatch.setattr(agmm.train, "train_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_network(manifest, resumed_config(run_dir, {"epochs": 4}), run_dir, resume=True, quiet=True)
    assert resumed_config(run_dir, {}).epochs == 4


def test_a_finished_training_says_that_there_is_nothing_to_do(
    manifest: Manifest, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    before = (run_dir / "weights.safetensors").read_bytes()
    train_network(manifest, resumed_config(run_dir, {}), run_dir, resume=True)
    assert capsys.readouterr().err == "All 3 epochs are trained already; a larger --epochs trains longer.\n"
    assert (run_dir / "weights.safetensors").read_bytes() == before


def test_a_folder_in_use_is_kept(manifest: Manifest, undisturbed: Path) -> None:
    before = (undisturbed / "weights.safetensors").read_bytes()
    with pytest.raises(TrainingError, match="already holds a training"):
        train_network(manifest, CONFIG, undisturbed, quiet=True)
    assert (undisturbed / "weights.safetensors").read_bytes() == before


def test_what_a_training_left_that_was_killed_in_its_first_epoch_is_no_obstacle(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, config = tmp_path / "run", replace(CONFIG, epochs=1)
    code = (
        "import os, agmm.train\n"
        "agmm.train.train_epoch = lambda *_: os.kill(os.getpid(), 9)\n"
        "from pathlib import Path\n"
        "from agmm.config import TrainConfig\n"
        "from data_manifests import read_manifest\n"
        f"config = TrainConfig.from_dict({config.to_dict()!r})\n"
        f"agmm.train.train_network(read_manifest(Path({str(manifest.path)!r})), config, Path({str(run_dir)!r}))\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert {"config.toml", "run.json"} <= {path.name for path in run_dir.iterdir()}
    (run_dir / ".state.safetensors.0123456789abcdef.99.partial").write_bytes(b"half")  # as a kill would leave it
    assert train_network(manifest, config, run_dir, quiet=True).info.epoch == 1
    assert len(list((run_dir / "tensorboard").glob("events.*"))) == 1
    assert not list(run_dir.glob(".*"))


def test_first_weights_without_a_state_are_no_obstacle_but_finished_ones_are(
    manifest: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint = agmm.train.save_checkpoint

    def killed_before_the_state(path: Path, *content: Any) -> None:
        if path.name == "state.safetensors":
            shutil.copytree(path.parent, tmp_path / "killed")
            raise TrainingError("killed")
        save_checkpoint(path, *content)

    config = replace(CONFIG, epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(agmm.train, "save_checkpoint", killed_before_the_state)
        with pytest.raises(TrainingError, match="killed"):
            train_network(manifest, config, tmp_path / "run", quiet=True)
    assert (tmp_path / "killed/weights.safetensors").exists()
    assert train_network(manifest, config, tmp_path / "killed", quiet=True).info.epoch == 2

    finished = shutil.copytree(undisturbed, tmp_path / "finished")  # three epochs, and its state was deleted
    (finished / "state.safetensors").unlink()
    one_epoch = shutil.copytree(finished, tmp_path / "one_epoch")
    (one_epoch / "log.csv").write_text("epoch,loss\n1,2.0\n")
    (one_epoch / "config.toml").write_text("epochs = 1\n")
    weights_alone = shutil.copytree(finished, tmp_path / "weights", ignore=shutil.ignore_patterns("log.csv"))
    for run in (finished, one_epoch, weights_alone):
        with pytest.raises(TrainingError, match=r"already holds a training \(weights.safetensors\). Choose another"):
            train_network(manifest, config, run, quiet=True)
        assert (run / "weights.safetensors").exists()


def test_settings_that_no_training_wrote_are_kept(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("# mine")
    with pytest.raises(TrainingError, match="already holds a config.toml that is no training's"):
        train_network(manifest, replace(CONFIG, epochs=1), tmp_path, quiet=True)
    assert (tmp_path / "config.toml").read_text() == "# mine"


def test_one_training_at_a_time_in_a_folder(manifest: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    other = FolderLock(run)
    assert other.try_acquire()
    for options in ({"resume": True}, {"overwrite": True}):
        with pytest.raises(TrainingError, match="another process is training here"):
            train_network(manifest, CONFIG, run, quiet=True, **options)
    other.release()
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_without_validation_the_last_epoch_is_kept(
    manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tuple(row for row in manifest.rows if row.split == "train")
    only_train = Manifest(manifest.path.with_name("only_train.csv"), rows, ManifestInfo(manifest.label_space))
    write_manifest(only_train)
    result = train_network(only_train, replace(CONFIG, epochs=2, ema_decay=0.0), tmp_path / "run")
    assert (result.info.best_miou, result.info.best_epoch) == (None, 2)
    assert "No row of split 'val' has a full mask" in capsys.readouterr().err
    state = load_checkpoint(tmp_path / "run/state.safetensors")[0]
    weights = load_checkpoint(tmp_path / "run/weights.safetensors")[0]
    assert all(torch.equal(weights[name], state[f"model.{name}"]) for name in weights)


def test_a_validation_split_without_a_class_is_no_validation(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = SimpleNamespace(miou=float("nan"), pixel_accuracy=float("nan"), iou={})
    monkeypatch.setattr(agmm.train, "evaluate_rows", lambda *_, **__: nothing)
    result = train_network(manifest, replace(CONFIG, epochs=2), tmp_path / "run")
    assert (result.info.best_miou, result.info.best_epoch) == (None, 2)
    assert capsys.readouterr().err.count("No pixel of split 'val' has a class: the last epoch is kept") == 1


def test_a_disk_too_full_for_the_first_state_leaves_nothing(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint = agmm.train.save_checkpoint

    def full(path: Path, *content: Any) -> None:
        if path.name == "state.safetensors":
            assert (path.parent / "weights.safetensors").exists()
            raise TrainingError("full")
        save_checkpoint(path, *content)

    monkeypatch.setattr(agmm.train, "save_checkpoint", full)
    with pytest.raises(TrainingError, match="full"):
        train_network(manifest, CONFIG, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("log", [b"epoch,loss\none,1\n", b"loss\n1\n", b"\xff"])
def test_a_damaged_log_is_told(manifest: Manifest, undisturbed: Path, tmp_path: Path, log: bytes) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    (run / "log.csv").write_bytes(log)
    with pytest.raises(TrainingError, match=r"log.csv: damaged .* delete it to go on without"):
        train_network(manifest, replace(CONFIG, epochs=4), run, resume=True, quiet=True)


def test_a_full_disk_is_told_before_tensorboard_meets_it(
    manifest: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = sorted(run.rglob("*"))
    monkeypatch.setattr("agmm.run_folder.write_atomically", no_space)
    with pytest.raises(OSError, match="No space left on device: .*config.toml"):
        train_network(manifest, replace(CONFIG, epochs=4), run, resume=True, quiet=True)
    assert sorted(run.rglob("*")) == before  # its own thread would print a traceback


def test_training_pictures_are_scored_with_the_mixture(manifest: Manifest, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, gmm_images=2, supervision="full", preset="released", schedule="cosine")
    train_network(manifest, config, tmp_path / "run", quiet=True)
    (row,) = log_of(tmp_path / "run")
    assert 0 < float(row["gmm_miou"]) < 1
    assert 0 <= float(row["train_miou"]) < 1
    assert float(row["absence"]) >= 0


def test_a_compiled_network_is_trained_and_kept_as_any_other(
    manifest: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.compile
    compiled = []

    def compile_(model: torch.nn.Module) -> object:
        compiled.append(model)
        return real(model, backend="eager")  # the graph as it is: another backend may round otherwise, and takes long

    monkeypatch.setattr(torch, "compile", compile_)
    train_network(manifest, replace(CONFIG, compile=True), tmp_path / "run", quiet=True)
    assert compiled
    for name in ("state.safetensors", "weights.safetensors"):
        ours, usual = load_checkpoint(tmp_path / "run" / name)[0], load_checkpoint(undisturbed / name)[0]
        assert ours.keys() == usual.keys()
        assert all(torch.equal(ours[key], usual[key]) for key in usual)


@pytest.mark.parametrize("lacking", ["full masks", "validation"])
def test_training_pictures_that_cannot_be_scored_are_told(
    lacking: str, manifest: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    without = manifest
    if lacking == "full masks":
        rows = tuple(
            replace(row, full_mask="", full_mask_sha256="") if row.split == "train" else row for row in manifest.rows
        )
        without = replace(manifest, path=manifest.path.with_name("bare.csv"), rows=rows)
        write_manifest(without)
    config = replace(CONFIG, epochs=1, gmm_images=2, val_split="val" if lacking == "full masks" else "none")
    train_network(without, config, tmp_path / "run")
    assert "Warning: no training picture is scored, though gmm_images is 2" in capsys.readouterr().err
    train_network(manifest, replace(CONFIG, epochs=1, gmm_images=1), tmp_path / "other")
    assert "Warning" not in capsys.readouterr().err


def test_the_weight_of_the_mixture_rises(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[float] = []
    forward = AGMMLoss.forward

    def noting(self: AGMMLoss, *args: Any) -> Any:
        weights.append(self.lambda_)
        return forward(self, *args)

    monkeypatch.setattr(AGMMLoss, "forward", noting)
    config = replace(CONFIG, epochs=2, accumulate=1, lambda_=0.8, lambda_ramp=0.5, val_split="none")
    train_network(manifest, config, tmp_path / "run", quiet=True)
    steps = len(weights)
    assert steps >= 4
    assert weights == pytest.approx([0.8 * min(1, step / (steps / 2)) for step in range(steps)])


def test_mixed_precision_trains(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, whose bfloat16 stands in for that of CUDA here."""
    monkeypatch.setattr(agmm.task.Task, "uses_amp", True)
    train_network(manifest, replace(CONFIG, epochs=1, gmm_images=1), tmp_path / "run", quiet=True)
    (row,) = log_of(tmp_path / "run")
    assert 0 < float(row["loss"]) < 10
    assert 0 <= float(row["gmm_miou"]) <= 1
    weights = load_checkpoint(tmp_path / "run/weights.safetensors")[0]
    assert weights["classifier.weight"].dtype == torch.float32


def test_a_loss_that_is_no_number_stops_the_training(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spoilt(AGMMLoss):
        calls = 0

        def forward(self, *args: Any, **options: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            Spoilt.calls += 1
            total, terms = super().forward(*args, **options)
            factor = float("nan") if Spoilt.calls == 4 else 1.0
            return total * factor, {**terms, "spar": terms["spar"] * factor}

    monkeypatch.setattr(agmm.task, "AGMMLoss", Spoilt)
    with pytest.raises(TrainingError, match=r"at step 3: spar\. Training stopped; the checkpoint of the epoch before"):
        train_network(manifest, replace(CONFIG, accumulate=1), tmp_path / "run", quiet=True)
    assert load_checkpoint(tmp_path / "run/state.safetensors")[1].epoch == 1


def test_weights_that_are_no_numbers_are_not_kept(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of an epoch's last step is finite, but not what the step makes of the weights."""
    config = replace(CONFIG, accumulate=1, epochs=2, ema_decay=0.0)
    step, calls = torch.optim.SGD.step, list[int]()

    def spoil(self: torch.optim.SGD, *arguments: Any) -> Any:
        result = step(self, *arguments)
        calls.append(1)
        if len(calls) == 2 * steps:
            self.param_groups[1]["params"][0].data.fill_(float("nan"))
        return result

    steps = len(manifest.rows_of("train")) // config.batch_size
    monkeypatch.setattr(torch.optim.SGD, "step", spoil)
    with pytest.raises(TrainingError, match=r"1 of \d+ tensors hold values that are not finite .*first: .*decoder"):
        train_network(manifest, config, tmp_path / "run", quiet=True)
    for name in ("state.safetensors", "weights.safetensors"):
        tensors, info = load_checkpoint(tmp_path / "run" / name)
        assert info.epoch == 1 and all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_batch_of_one(manifest: Manifest, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch of one picture .* --batch-size 2"):
        train_network(manifest, replace(CONFIG, batch_size=1), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_false_start_leaves_nothing(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=7))
    config = replace(CONFIG, epochs=1)
    (tmp_path / "empty").mkdir()
    # One picture that cannot be read is met somewhere in the first epoch, all of them at once.
    for rows in (manifest.rows_of("train")[-1:], manifest.rows_of("train")):
        for row in rows:
            manifest.resolve(row.annotation).unlink(missing_ok=True)
        for folder in (tmp_path / "new/deep/run", tmp_path / "empty"):
            with pytest.raises(DataError, match=r"annotations/a\d\d\.png: no such file"):
                train_network(manifest, config, folder, quiet=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "empty"]
        assert not list((tmp_path / "empty").iterdir())


def test_an_interruption_before_the_first_checkpoint_leaves_nothing(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        assert (tmp_path / "run/config.toml").exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(agmm.train, "train_epoch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_network(manifest, CONFIG, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_training_that_is_replaced_takes_its_scores_along(
    manifest: Manifest, undisturbed: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    for name in ("evaluation.json", "evaluation.csv", "confusion.csv"):
        (run / name).touch()
    (run / "notes.txt").touch()
    train_network(manifest, replace(CONFIG, epochs=1), run, overwrite=True, quiet=True)
    assert {"config.toml", "notes.txt"} <= (left := {path.name for path in run.iterdir()})
    assert not {name for name in left if name.startswith(("evaluation", "confusion"))}


def test_a_false_start_with_overwrite_keeps_the_earlier_training(undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    other = read_manifest(tiny_manifest(tmp_path / "data"))
    shutil.rmtree(tmp_path / "data/images")
    with pytest.raises(DataError, match="no such file"):
        train_network(other, CONFIG, run, overwrite=True, quiet=True)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("num_classes", "warned"), [(1, True), (2, False)])
def test_a_single_class_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], num_classes: int, warned: bool
) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=2, num_classes=num_classes))
    train_network(manifest, replace(CONFIG, accumulate=1, epochs=1), tmp_path / "run")
    assert ("Warning: 'c0' is the only class" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(
    ("labelled", "supervision", "told"),
    [
        ((0, 1, 2, 3), "sparse", ""),
        ((0, 3), "sparse", "Warning: no pixel of split 'train' is labelled c1, c2: the network cannot learn"),
        ((), "sparse", "Warning: no pixel of split 'train' is labelled c0, c1, c2, c3: the network cannot learn"),
        ((), "full", ""),
    ],
)
def test_classes_that_are_never_labelled_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], labelled: tuple[int, ...], supervision: Any, told: str
) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=3, splits=("train", "train", "val")))
    rows = []
    for row in manifest.rows:
        if row.annotation:
            sparse = read_mask(manifest.resolve(row.annotation)).copy()
            sparse[~np.isin(sparse, labelled)] = 255
            write_atomically(manifest.resolve(row.annotation), encode_label_map(sparse, manifest.label_space))
            present = tuple(np.unique(sparse[sparse != 255]).tolist())
            row = replace(
                row, num_labelled=int((sparse != 255).sum()), classes_labelled=present,
                annotation_sha256=pixel_sha256(sparse),
            )  # fmt: skip
        rows.append(row)
    write_manifest(replace(manifest, rows=tuple(rows)))
    config = replace(CONFIG, accumulate=1, epochs=1, supervision=supervision)
    train_network(read_manifest(manifest.path), config, tmp_path / "run")
    warnings = [line for line in capsys.readouterr().err.splitlines() if "is labelled" in line]
    assert [line[: len(told)] for line in warnings] == ([told] if told else [])
    assert math.isfinite(float(log_of(tmp_path / "run")[0]["loss"]))


@pytest.mark.parametrize(("warmup_steps", "warned"), [(1, False), (2, True), (500, True)])
def test_a_warmup_that_outlasts_the_training_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], warmup_steps: int, warned: bool
) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=4))
    # Three pictures in batches of two make one step of each of two epochs.
    config = replace(CONFIG, accumulate=1, epochs=2, val_split="test", warmup_steps=warmup_steps)
    train_network(manifest, config, tmp_path / "run")
    told = f"warmup_steps is {warmup_steps}, but the training has 2 steps: the learning rate never reaches its value"
    assert (told in capsys.readouterr().err) == warned


def test_two_ranks_train_what_one_does(tmp_path: Path) -> None:
    manifest, other = (
        tiny_manifest(tmp_path / name, num_images=7, splits=("train", "val"), seed=seed)
        for seed, name in enumerate(("tiny", "other"))
    )
    script = str(Path(__file__).with_name("two_ranks.py"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, script, manifest, other, tmp_path / "two"]
    subprocess.run(list(map(str, command)), check=True, env=environment, capture_output=True)
    train_both(manifest, tmp_path / "accumulated", batch_size=2, accumulate=2)
    train_both(manifest, tmp_path / "doubled", batch_size=4, accumulate=1)
    # Each rank normalises its own batch, just as accumulated batches are: here the whole network can be compared.
    assert_close(tmp_path / "two/plain", tmp_path / "doubled/plain")
    assert_close(tmp_path / "two/plain", tmp_path / "accumulated/plain")
    assert_close(tmp_path / "two/normed", tmp_path / "accumulated/normed", but="running_")
    # The best epoch was chosen on all three pictures, by the network that was kept.
    run, opened = load_run(tmp_path / "two/normed"), read_manifest(manifest)
    assert run.info.best_miou == evaluate_rows(run.model, opened, opened.rows_of("val")).miou
    for rank in (0, 1):
        error = (tmp_path / f"two/error{rank}.txt").read_text()
        assert error.startswith("Ranks [1] differ from rank 0 in their manifest: rank 1 has ")
    again = r"was trained by 2 processes .* now there are 1: .* torchrun --nproc-per-node 2 -m agmm train MANIFEST"
    with pytest.raises(TrainingError, match=again):
        train_network(opened, resumed_config(tmp_path / "two/normed", {}), tmp_path / "two/normed", resume=True)


def assert_close(one: Path, other: Path, but: str = "none") -> None:
    (ours, _), (theirs, _) = (load_checkpoint(run / "state.safetensors") for run in (one, other))
    for name, tensor in ours.items():
        if but not in name and tensor.is_floating_point():
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
