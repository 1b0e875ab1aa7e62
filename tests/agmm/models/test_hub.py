"""Weights from the Hugging Face hub where it cannot be reached."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from agmm import ModelConfig, build_model
from agmm.errors import TrainingError
from agmm.models.network import SegmentationModel

ENCODER = "mobilenetv3_small_050.lamb_in1k"
CONFIG = ModelConfig(3, encoder=ENCODER, encoder_weights="imagenet", aspp_rates=(1,), decoder_channels=8)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """A hub that hangs up; the connections that it got."""
    found: list[object] = []
    server = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        while True:
            try:
                connection, address = server.accept()
            except OSError:
                return
            found.append(address)
            connection.close()

    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    thread = threading.Thread(target=hang_up)
    thread.start()
    yield found
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_hub_that_does_not_answer_is_asked_once(calls: list[object]) -> None:
    with pytest.raises(TrainingError, match=r"could not be downloaded.*--encoder-weights FILE"):
        build_model(CONFIG)
    assert len(calls) == 1
    with pytest.raises(TrainingError, match="no such folder"):
        SegmentationModel.from_pretrained("me/town")
    assert len(calls) == 2 and constants.HF_HUB_OFFLINE is False


def test_weights_in_the_cache_load_without_a_network(calls: list[object]) -> None:
    state = {name: torch.rand_like(t) if t.is_floating_point() else t for name, t in _state().items()}
    cached = Path(constants.HF_HUB_CACHE) / f"models--timm--{ENCODER}"
    for folder in ("refs", "snapshots/abc"):
        (cached / folder).mkdir(parents=True)
    (cached / "refs/main").write_text("abc")
    save_file(state, cached / "snapshots/abc/model.safetensors")
    own = build_model(CONFIG).encoder.backbone.state_dict()
    torch.testing.assert_close(own["conv_stem.weight"], state["conv_stem.weight"])
    assert len(calls) == 1


def _state() -> dict[str, torch.Tensor]:
    return timm.create_model(ENCODER, pretrained=False).state_dict()
