"""Any loss behind the seam: one file and one line of the registry reach training, ablation, reports and the command."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from agmm.config.loss import LOSSES, LossKind
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.losses.agmm import AGMM, AGMMLoss, ramp_factor
from agmm.losses.base import SparseLoss
from agmm.losses.build import build_loss
from agmm.losses.soft_cross_entropy import SoftCrossEntropy
from cli.agmm_cli import main
from tests.agmm.conftest import tiny_manifest

OFF = {"use_self": False, "use_spar": False, "use_con": False}


class Brightness(SparseLoss):
    """The mean logit, weighted, beside the cross-entropy: a loss that only a test needs."""

    term_names = ("seg", "bright")
    uses_teacher = True
    seen: list[float] = []  # noqa: RUF012

    def __init__(self, *, ignore_index: int = 255, weight: float = 1.0) -> None:
        super().__init__()
        self.ignore_index, self.weight = ignore_index, weight

    def set_progress(self, share):
        self.seen.append(share)

    def student_view(self, images):
        return images.flip(1)

    def forward(self, output, batch):
        assert not self.teacher.training
        assert self.teacher(batch.image).logits.shape == output.logits.shape
        target = batch.target.long()
        seg = nn.functional.cross_entropy(output.logits, target, ignore_index=self.ignore_index)
        bright = output.logits.mean() ** 2
        return seg + self.weight * bright, {"seg": seg, "bright": bright}


@pytest.fixture
def brightness(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("losses_of_a_test")
    module.Brightness = Brightness  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "losses_of_a_test", module)
    monkeypatch.setitem(LOSSES, "brightness", LossKind("losses_of_a_test:Brightness", "L_bright"))
    Brightness.seen.clear()


@pytest.mark.parametrize("kind", [kind for kind in LOSSES if kind != "auto"])
def test_every_registered_loss_keeps_the_contract(kind: str) -> None:
    terms = {"absence": 1.0} if kind == "combined" else {}
    loss = build_loss(TrainConfig(loss_kind=kind, loss=terms, ema_decay=0.9), ignore_index=9)
    assert isinstance(loss, SparseLoss) and loss.term_names[0] == "seg"
    assert not list(loss.parameters())
    images = torch.rand(2, 3, 8, 8)
    assert loss.student_view(images).shape == images.shape
    loss.set_progress(0.5)


def test_agmm_takes_preset_lambda_and_options() -> None:
    loss = build_loss(TrainConfig(preset="released", lambda_=0.5, lambda_ramp=0.5, loss={"use_con": False}), 7)
    assert isinstance(loss, AGMM)
    assert (loss.loss.preset, loss.loss.ignore_index, loss.loss.options.use_con) == ("released", 7, False)
    loss.set_progress(0.25)
    assert loss.loss.lambda_ == 0.25
    loss.set_progress(0.75)
    assert loss.loss.lambda_ == 0.5
    assert ramp_factor(0.1, 0.0) == 1.0


def test_soft_labels_are_learnt_by_cross_entropy_alone() -> None:
    for config in (TrainConfig(loss=OFF), TrainConfig(loss_kind="seg")):
        assert isinstance(build_loss(config, soft=True), SoftCrossEntropy)
    for config in (TrainConfig(), TrainConfig(preset="released", loss=OFF), TrainConfig(loss_kind="presence")):
        with pytest.raises(TrainingError, match="--loss-kind seg"):
            build_loss(config, soft=True)


def test_a_teacher_needs_an_average(brightness: None) -> None:
    with pytest.raises(ValueError, match="--ema-decay"):
        build_loss(TrainConfig(loss_kind="brightness"))


def test_unknown_kinds_and_options(brightness: None) -> None:
    with pytest.raises(ValueError, match="Unknown loss_kind 'bright'.*Did you mean brightness"):
        TrainConfig(loss_kind="bright")
    with pytest.raises(ValueError, match="use_slef"):
        build_loss(TrainConfig(loss={"use_slef": True}))


def test_valid_may_be_left_out_of_other_peoples_loops() -> None:
    torch.manual_seed(0)
    features, logits = torch.rand(2, 8, 4, 4), torch.randn(2, 3, 16, 16)
    target = torch.full((2, 16, 16), 255)
    target[:, 3, 5], target[:, 9, 9] = 1, 2
    loss = AGMMLoss()
    without, _ = loss(features, logits, target)
    beside, _ = loss(features, logits, target, torch.ones(2, 16, 16, dtype=torch.bool))
    assert without == beside


def test_a_new_loss_trains_and_is_named(brightness: None, tmp_path: Path) -> None:
    from agmm.report.runs import read_runs

    manifest = tiny_manifest(tmp_path / "data", num_images=4)
    words = [
        "train", str(manifest), "--out", str(tmp_path / "run"), "--set", "loss_kind=brightness", "--loss", "weight=0.5",
        "--ema-decay", "0.5", "--epochs", "2", "--batch-size", "2", "--crop-size", "32x32", "--workers", "0",
        "--encoder", "resnet10t.c3_in1k", "--set", "decoder_channels=8",
    ]  # fmt: skip
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"loss", "seg", "bright"} <= set(rows[0]) and "self" not in rows[0]
    total = float(rows[0]["seg"]) + 0.5 * float(rows[0]["bright"])
    assert float(rows[0]["loss"]) == pytest.approx(total, rel=1e-4)
    assert Brightness.seen[-2:] == [0.0, 0.5]  # three images make one step of two in each epoch
    (run,) = read_runs([tmp_path / "run"])
    assert run.method == run.loss == "L_seg + L_bright"


def test_a_combination_trains_by_command_and_is_named(tmp_path: Path) -> None:
    from agmm.config.recipes import load_config
    from agmm.report.runs import read_runs

    manifest = tiny_manifest(tmp_path / "data", num_images=4)
    words = [
        "train", str(manifest), "--out", str(tmp_path / "run"), "--recipe", "small-data", "--encoder-weights", "none",
        "--loss-kind", "combined", "--loss", "absence=0.5", "--loss", "mean_teacher={start=0.5, threshold=0.0}",
        "--epochs", "2", "--batch-size", "2", "--crop-size", "32x32", "--set", "workers=0",
        "--encoder", "resnet10t.c3_in1k", "--set", "decoder_channels=8",
    ]  # fmt: skip
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "run" / "log.csv").open() as file:
        first, second = csv.DictReader(file)
    assert float(first["mean_teacher"]) == 0 < float(second["mean_teacher"])
    (run,) = read_runs([tmp_path / "run"])
    assert run.loss == "L_seg + L_absence + L_teacher"
    again = load_config(config_path=tmp_path / "run" / "config.toml")
    assert again.loss == {"absence": 0.5, "mean_teacher": {"start": 0.5, "threshold": 0.0}}
