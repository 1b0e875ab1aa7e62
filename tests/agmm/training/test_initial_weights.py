"""Fine-tuning: a run that starts from the network of an earlier one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from agmm import load_run
from agmm.distributed import Ranks
from agmm.errors import TrainingError
from agmm.training.resume import resumed_config
from agmm.training.state import TrainingState, prepare
from agmm.training.train import train_network
from cli.agmm_cli import main
from data_manifests import LabelClass, LabelSpace, Manifest
from tests.helpers.trainings import CONFIG

RANKS = Ranks(0, 1, torch.device("cpu"))


def started(manifest: Manifest, run: Path) -> TrainingState:
    return prepare(manifest, replace(CONFIG, init=str(run)), RANKS)


def with_classes(manifest: Manifest, *names: str) -> Manifest:
    classes = tuple(LabelClass(name, (i, i, i), (i,)) for i, name in enumerate(names))
    return replace(manifest, info=replace(manifest.info, label_space=LabelSpace("other", classes)))


@pytest.mark.parametrize("name", ["", "weights.safetensors"])
def test_equal_classes_take_all_weights(seven: Manifest, undisturbed: Path, name: str) -> None:
    weights = load_run(undisturbed).model.state_dict()
    state = started(seven, undisturbed / name)
    for own in (state.model.state_dict(), state.eval_model.state_dict()):
        assert own.keys() == weights.keys() and all(torch.equal(own[key], weights[key]) for key in own)


def test_images_are_normalised_as_the_settings_say(seven: Manifest, undisturbed: Path) -> None:
    means = {"image_mean": (0.25, 0.5, 0.75), "image_std": (0.5, 0.5, 1.0)}
    model = prepare(seven, replace(CONFIG, init=str(undisturbed), **means), RANKS).model
    for name, values in means.items():
        assert getattr(model, name).flatten().tolist() == list(values) == list(getattr(model.config, name))


@pytest.mark.parametrize("names", [("c0", "c1", "c3", "c2"), ("c0", "c1", "c2", "c3", "c4")], ids=["order", "number"])
def test_other_classes_get_a_new_classifier(seven: Manifest, undisturbed: Path, names: tuple[str, ...]) -> None:
    weights = load_run(undisturbed).model.state_dict()
    other = with_classes(seven, *names)
    own, random = started(other, undisturbed).model.state_dict(), prepare(other, CONFIG, RANKS).model.state_dict()
    new = {key for key in own if key.startswith("classifier")}
    assert len(new) == 2 and all(torch.equal(own[key], random[key]) for key in new)
    assert all(torch.equal(own[key], weights[key]) for key in own.keys() - new)


def test_a_run_says_where_it_started_and_resumes_without_it(
    seven: Manifest, undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = shutil.copytree(undisturbed, tmp_path / "first")
    config = replace(CONFIG, init=str(first), epochs=1, log="csv")
    train_network(seven, config, tmp_path / "run")
    assert f"Starting from all weights of {first}/weights.safetensors." in capsys.readouterr().err
    shutil.rmtree(first)
    resumed = resumed_config(tmp_path / "run", {"epochs": 2})
    assert train_network(seven, resumed, tmp_path / "run", resume=True).info.epoch == 2
    assert "Starting from" not in capsys.readouterr().err


def test_other_networks_are_refused(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, init=str(undisturbed), decoder="fpn", decoder_channels=16)
    message = r"decoder is auto there, fpn here, decoder_channels is 32 there, 16 here.*--config \S+/config\.toml"
    with pytest.raises(TrainingError, match=message):
        train_network(seven, config, tmp_path / "run", quiet=True)
    with pytest.raises(TrainingError, match="no such checkpoint|nothing"):
        train_network(seven, replace(CONFIG, init=str(tmp_path / "nothing")), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_replace_the_one_it_starts_from(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    with pytest.raises(TrainingError, match="is the run to start from"):
        train_network(seven, replace(CONFIG, init=str(run)), run, overwrite=True, quiet=True)
    assert {path.name for path in run.iterdir()} == {path.name for path in undisturbed.iterdir()}


def test_the_command(seven: Manifest, undisturbed: Path, tmp_path: Path) -> None:
    config, out = undisturbed / "config.toml", tmp_path / "run"
    words = ["train", seven.path, "--init", undisturbed, "--config", config, "--epochs", 1, "--out", out]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert f"Starting from all weights of {undisturbed}/weights.safetensors." in result.stderr
    assert load_run(out).info.config.init == str(undisturbed)
