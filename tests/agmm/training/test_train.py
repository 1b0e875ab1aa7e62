"""What a training learns, keeps and scores."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import agmm.losses.agmm
import agmm.training.state
import agmm.training.train
from agmm.errors import TrainingError
from agmm.evaluation.evaluate import evaluate_rows
from agmm.losses.agmm import AGMM, AGMMLoss
from agmm.runs.checkpoint import load_checkpoint, load_run
from agmm.training.resume import resumed_config
from agmm.training.train import train_network
from data_manifests import Manifest, ManifestError, ManifestInfo, read_manifest, write_manifest
from tests.agmm.conftest import tiny_manifest
from tests.helpers.trainings import CONFIG, assert_same_state, log_of
from tests.helpers.two_ranks import train_both


def test_two_images_can_be_overfitted(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, num_images=2, splits=("train",)))
    config = replace(
        CONFIG, encoder="resnet10t.c3_in1k", crop_size=(64, 96), scale=(1.0, 1.0), flip=False, photometric=False,
        dropout=0.0, accumulate=1, epochs=20, optimizer="adamw", learning_rate=2e-3, new_layers_factor=1.0,
        ema_decay=0.0, val_split="train", val_every=10, supervision="full",
    )  # fmt: skip
    result = train_network(manifest, config, tmp_path / "run", quiet=True)
    assert result.info.best_miou is not None and result.info.best_miou > 0.9
    losses = [float(row["loss"]) for row in log_of(tmp_path / "run")]
    assert losses[-1] < losses[0] / 2


def test_a_run_folder_tells_its_story(seven: Manifest, undisturbed: Path) -> None:
    rows = log_of(undisturbed)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(float(row[name]) > 0 for row in rows for name in ("loss", "seg", "self", "spar", "val_miou"))
    description = json.loads((undisturbed / "run.json").read_text())
    assert description["run_again"].startswith(f"agmm train {seven.path} --config {undisturbed}/config.toml --out ")
    assert description["seed"] == 0
    run = load_run(undisturbed)
    best = max(range(3), key=lambda i: float(rows[i]["val_miou"]))
    assert run.info.epoch == run.info.best_epoch == best + 1
    result = evaluate_rows(run.model, seven, seven.rows_of("val"))
    assert result.miou == run.info.best_miou == pytest.approx(float(rows[best]["val_miou"]))
    validation = json.loads((undisturbed / "validation.json").read_text())
    assert validation["epoch"] == best + 1
    assert validation["miou"] == pytest.approx(result.miou)


def test_seeds_decide_everything_and_workers_nothing(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    train_network(seven, replace(CONFIG, workers=2), tmp_path / "again", quiet=True)
    assert_same_state(tmp_path / "again", undisturbed)
    train_network(seven, replace(CONFIG, seed=1), tmp_path / "other", quiet=True)
    ours, theirs = (load_checkpoint(run / "state.safetensors")[0] for run in (undisturbed, tmp_path / "other"))
    assert not torch.equal(ours["model.classifier.weight"], theirs["model.classifier.weight"])


def test_without_validation_the_last_epoch_is_kept(
    seven: Manifest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tuple(row for row in seven.rows if row.split == "train")
    only_train = Manifest(seven.path.with_name("only_train.csv"), rows, ManifestInfo(seven.label_space))
    write_manifest(only_train)
    result = train_network(only_train, replace(CONFIG, epochs=2, ema_decay=0.0), tmp_path / "run")
    assert (result.info.best_miou, result.info.best_epoch) == (None, 2)
    assert "No row of split 'val' has a full mask" in capsys.readouterr().err
    state = load_checkpoint(tmp_path / "run/state.safetensors")[0]
    weights = load_checkpoint(tmp_path / "run/weights.safetensors")[0]
    assert all(torch.equal(weights[name], state[f"model.{name}"]) for name in weights)


def test_a_validation_split_without_a_class_is_no_validation(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = SimpleNamespace(miou=float("nan"), scores={"miou": float("nan")}, iou={})
    monkeypatch.setattr(agmm.training.train, "evaluate_rows", lambda *_, **__: nothing)
    result = train_network(seven, replace(CONFIG, epochs=2), tmp_path / "run")
    assert (result.info.best_miou, result.info.best_epoch) == (None, 2)
    assert capsys.readouterr().err.count("No pixel of split 'val' has a class: the last epoch is kept") == 1


def test_training_images_are_scored_with_the_mixture(seven: Manifest, tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, gmm_images=2, supervision="full", preset="released", schedule="cosine")
    train_network(seven, config, tmp_path / "run", quiet=True)
    (row,) = log_of(tmp_path / "run")
    assert 0 < float(row["gmm_miou"]) < 1
    assert 0 <= float(row["train_miou"]) < 1
    assert float(row["absence"]) >= 0


def test_a_compiled_network_is_trained_and_kept_as_any_other(
    seven: Manifest, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.compile
    compiled = []

    def compile_(model: torch.nn.Module) -> object:
        compiled.append(model)
        return real(model, backend="eager")  # the graph as it is: another backend may round otherwise, and takes long

    monkeypatch.setattr(torch, "compile", compile_)
    train_network(seven, replace(CONFIG, compile=True), tmp_path / "run", quiet=True)
    assert compiled
    for name in ("state.safetensors", "weights.safetensors"):
        ours, usual = load_checkpoint(tmp_path / "run" / name)[0], load_checkpoint(undisturbed / name)[0]
        assert ours.keys() == usual.keys()
        assert all(torch.equal(ours[key], usual[key]) for key in usual)


def test_the_weight_of_the_mixture_rises(seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights: list[float] = []
    forward = AGMMLoss.forward

    def noting(self: AGMMLoss, *args: Any) -> Any:
        weights.append(self.lambda_)
        return forward(self, *args)

    monkeypatch.setattr(AGMMLoss, "forward", noting)
    config = replace(CONFIG, epochs=2, accumulate=1, lambda_=0.8, lambda_ramp=0.5, val_split="none")
    train_network(seven, config, tmp_path / "run", quiet=True)
    steps = len(weights)
    assert steps >= 4
    assert weights == pytest.approx([0.8 * min(1, step / (steps / 2)) for step in range(steps)])


def test_every_step_has_the_learning_rate_of_the_papers_formula(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[dict[str, Any]]] = []
    step = torch.optim.SGD.step

    def noting(self: torch.optim.SGD, *arguments: Any) -> Any:
        seen.append([dict(group) for group in self.param_groups])
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", noting)
    config = replace(CONFIG, learning_rate=1e-3, new_layers_factor=10.0, weight_decay=3e-4, val_split="none")
    train_network(seven, config, tmp_path / "run", quiet=True)
    per_step = config.batch_size * config.accumulate
    total = config.epochs * (len(seven.rows_of("train")) // per_step)
    assert len(seen) == total > 1
    for number, (encoder, new) in enumerate(seen):
        share = (1 - number / total) ** 0.9
        assert encoder["lr"] == pytest.approx(1e-3 * share) and new["lr"] == pytest.approx(1e-2 * share)
    model = load_run(tmp_path / "run").model
    in_encoder = sum(p.numel() for name, p in model.named_parameters() if name.startswith("encoder."))
    in_all = sum(p.numel() for p in model.parameters())
    for group, size in zip(seen[0], (in_encoder, in_all - in_encoder), strict=True):
        assert sum(p.numel() for p in group["params"]) == size
        assert (group["weight_decay"], group["momentum"], group["nesterov"]) == (3e-4, 0.9, False)


def test_gradients_are_no_longer_than_the_limit(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[float] = []
    step = torch.optim.SGD.step

    def noting(self: torch.optim.SGD, *arguments: Any) -> Any:
        grads = [p.grad.flatten() for group in self.param_groups for p in group["params"] if p.grad is not None]
        lengths.append(float(torch.cat(grads).norm()))
        return step(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", noting)
    for limit in (0.01, 0.0):
        config = replace(CONFIG, epochs=1, accumulate=2, clip_norm=limit, val_split="none")
        train_network(seven, config, tmp_path / f"run-{limit}", quiet=True)
    clipped, free = lengths
    assert clipped == pytest.approx(0.01, rel=1e-3) and free > 0.1


def test_mixed_precision_trains(seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, whose bfloat16 stands in for that of CUDA here."""
    monkeypatch.setattr(agmm.training.state.TrainingState, "uses_amp", True)
    train_network(seven, replace(CONFIG, epochs=1, gmm_images=1), tmp_path / "run", quiet=True)
    (row,) = log_of(tmp_path / "run")
    assert 0 < float(row["loss"]) < 10
    assert 0 <= float(row["gmm_miou"]) <= 1
    weights = load_checkpoint(tmp_path / "run/weights.safetensors")[0]
    assert weights["classifier.weight"].dtype == torch.float32


def test_a_loss_that_is_no_number_stops_the_training(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spoilt(AGMM):
        calls = 0

        def forward(self, *args: Any, **options: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            Spoilt.calls += 1
            total, terms = super().forward(*args, **options)
            factor = float("nan") if Spoilt.calls == 4 else 1.0
            return total * factor, {**terms, "spar": terms["spar"] * factor}

    monkeypatch.setattr(agmm.losses.agmm, "AGMM", Spoilt)
    with pytest.raises(
        TrainingError, match=r"at step 3: spar\. Training stopped; the checkpoint of the previous epoch"
    ):
        train_network(seven, replace(CONFIG, accumulate=1), tmp_path / "run", quiet=True)
    assert load_checkpoint(tmp_path / "run/state.safetensors")[1].epoch == 1


def test_weights_that_are_no_numbers_are_not_kept(
    seven: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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

    steps = len(seven.rows_of("train")) // config.batch_size
    monkeypatch.setattr(torch.optim.SGD, "step", spoil)
    with pytest.raises(TrainingError, match=r"1 of \d+ tensors contain values that are not finite .*first: .*decoder"):
        train_network(seven, config, tmp_path / "run", quiet=True)
    for name in ("state.safetensors", "weights.safetensors"):
        tensors, info = load_checkpoint(tmp_path / "run" / name)
        assert info.epoch == 1 and all(tensor.isfinite().all() for tensor in tensors.values())


def assert_close(one: Path, other: Path, but: str = "none") -> None:
    (ours, _), (theirs, _) = (load_checkpoint(run / "state.safetensors") for run in (one, other))
    for name, tensor in ours.items():
        if but not in name and tensor.is_floating_point():
            torch.testing.assert_close(tensor, theirs[name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_two_ranks_train_what_one_does(tmp_path: Path) -> None:
    manifest, other = (
        tiny_manifest(tmp_path / name, num_images=7, splits=("train", "val"), seed=seed)
        for seed, name in enumerate(("tiny", "other"))
    )
    script = str(Path(__file__).parents[2] / "helpers" / "two_ranks.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "--log-dir", tmp_path, script, manifest, other, tmp_path / "two"]
    subprocess.run(list(map(str, command)), check=True, env=environment, capture_output=True)
    train_both(manifest, tmp_path / "accumulated", batch_size=2, accumulate=2)
    train_both(manifest, tmp_path / "doubled", batch_size=4, accumulate=1)
    # Each rank normalises its own batch, just as accumulated batches are: here the whole network can be compared.
    assert_close(tmp_path / "two/plain", tmp_path / "doubled/plain")
    assert_close(tmp_path / "two/plain", tmp_path / "accumulated/plain")
    assert_close(tmp_path / "two/normed", tmp_path / "accumulated/normed", but="running_")
    assert_same_state(tmp_path / "two/in-parts", tmp_path / "two/whole")
    # The best epoch was chosen on all three images, by the network that was kept.
    run, opened = load_run(tmp_path / "two/normed"), read_manifest(manifest)
    assert run.info.best_miou == evaluate_rows(run.model, opened, opened.rows_of("val")).miou
    for rank in (0, 1):
        error = (tmp_path / f"two/error{rank}.txt").read_text()
        assert error.startswith("Ranks [1] differ from rank 0 in their manifest: rank 1 has ")
    again = r"was trained by 2 processes.* now there are 1.* torchrun --nproc-per-node 2 -m agmm train MANIFEST"
    with pytest.raises(TrainingError, match=again):
        train_network(opened, resumed_config(tmp_path / "two/normed", {}), tmp_path / "two/normed", resume=True)


@pytest.mark.parametrize("supervision", ["sparse", "full"])
def test_missing_files_are_all_named_before_the_first_step(tmp_path: Path, supervision: str) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data", num_images=4, splits=("train", "train", "val", "test")))
    names = ("images/a01", "masks/a02", "images/a03", "annotations/a00", "masks/a00")
    gone = [tmp_path / f"data/{name}.png" for name in names]
    for path in gone:
        path.unlink(missing_ok=True)
    with pytest.raises(ManifestError, match="3 files of 6 are missing") as error:
        train_network(manifest, replace(CONFIG, supervision=supervision), tmp_path / "run", quiet=True)
    named = {path.stem for path in gone if str(path) in str(error.value)}
    assert named == {"a00", "a01", "a02"} and "--data-root" in str(error.value)  # a03 is of no split that is read
    assert not (tmp_path / "run").exists()


def test_an_annotation_without_a_label_is_refused(seven: Manifest, tmp_path: Path) -> None:
    bare = [replace(row, num_labelled=0, classes_labelled=()) for row in seven.rows]
    with pytest.raises(TrainingError, match="labels no pixel of split 'train'"):
        train_network(replace(seven, rows=tuple(bare)), CONFIG, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
