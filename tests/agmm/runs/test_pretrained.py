"""Networks in folders of two files, as the Hugging Face hub keeps them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from agmm import ModelConfig, build_model, load_run
from agmm.errors import TrainingError
from agmm.models.network import SegmentationModel
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest
from tests.helpers.tiny_run import tiny_run


@pytest.mark.parametrize("decoder", ["auto", "fpn"])
def test_a_network_comes_back_from_its_folder(tmp_path: Path, decoder: str) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data"))
    model = load_run(tiny_run(tmp_path / "run", manifest, decoder=decoder)).model
    model.save_pretrained(tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {"model.safetensors", "config.json"}
    back = SegmentationModel.from_pretrained(str(tmp_path / "saved"))
    images = torch.rand(1, 3, 40, 50)
    with torch.inference_mode():
        assert not back.training and torch.equal(back(images).logits, model(images).logits)
    assert back.config == model.config


def test_it_needs_no_file_that_its_encoder_started_from(tmp_path: Path) -> None:
    config = ModelConfig(3, encoder="resnet10t", encoder_weights="gone.pth", freeze_batchnorm=True, decoder_channels=8)
    build_model(config, load_encoder_weights=False).save_pretrained(tmp_path)
    assert "gone" not in (tmp_path / "config.json").read_text()
    assert SegmentationModel.from_pretrained(tmp_path).config.encoder == "resnet10t"


def test_a_repository_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def snapshot_download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision, allow_patterns))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    build_model(ModelConfig(3, encoder="resnet10t", decoder_channels=8)).save_pretrained(tmp_path)
    SegmentationModel.from_pretrained("me/town", revision="v1")
    assert asked == [("me/town", "v1", ["model.safetensors", "config.json"])]


def test_what_is_no_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in ("nobody/nothing", "a/b/c"):
        with pytest.raises(TrainingError, match=rf"{name}: no such folder, and the Hugging Face hub gave"):
            SegmentationModel.from_pretrained(name)
    saved, wrong = tmp_path / "saved", tmp_path / "wrong"
    build_model(ModelConfig(3, encoder="resnet10t", decoder_channels=8)).save_pretrained(saved)
    config = json.loads((saved / "config.json").read_text())
    for change, message in (
        ({"decoder_channels": 1 << 14}, "the weights do not fit the network"),
        ({"decoder_channels": 10**6}, "decoder_channels must be at most"),
        ({"decoder": "unet"}, "Unknown decoder 'unet'"),
        ({"colour": "red"}, "unknown setting 'colour'"),
        ({"num_classes": True}, "num_classes is True"),
        ({"num_classes": 10**9}, "at most 65,535"),
        ({"encoder": None}, "encoder must be of type str"),
        ({"dropout": 10**400}, "dropout"),
    ):
        shutil.copytree(saved, wrong, dirs_exist_ok=True)
        (wrong / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(TrainingError, match=message):
            SegmentationModel.from_pretrained(wrong)
    (wrong / "config.json").unlink()
    with pytest.raises(TrainingError, match=r"config\.json"):
        SegmentationModel.from_pretrained(wrong)
    shutil.copytree(saved, wrong, dirs_exist_ok=True)
    (wrong / "model.safetensors").write_bytes(b"half")
    with pytest.raises(TrainingError, match=r"model\.safetensors"):
        SegmentationModel.from_pretrained(wrong)
