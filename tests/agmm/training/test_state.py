from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import agmm.training.state
from agmm.config.training import TrainConfig
from agmm.distributed import Ranks
from agmm.models import build_model
from agmm.training.state import prepare
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest


def test_statistics_over_several_gpus_leave_the_network_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path))
    config = TrainConfig(encoder="mobilenetv3_small_050.lamb_in1k", workers=0)
    # As if there were two GPUs: only what needs one is left out.
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)
    monkeypatch.setattr(agmm.training.state, "DistributedDataParallel", lambda net, **_: net)
    model: Any = prepare(manifest, config, Ranks(0, 2, torch.device("cuda:0"))).model
    torch.manual_seed(config.seed)
    alone = build_model(config.model(manifest.label_space.num_classes))
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert all(isinstance(module, nn.SyncBatchNorm) for module in norms)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model.eval()(images).logits, alone.eval()(images).logits)


@pytest.mark.parametrize("decay", [0.5, 0.9, 0.99])
def test_the_moving_average_warms_up_to_the_decay_of_the_settings(tmp_path: Path, decay: float) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path))
    config = TrainConfig(encoder="mobilenetv3_small_050.lamb_in1k", workers=0, ema_decay=decay)
    state = prepare(manifest, config, Ranks(0, 1, torch.device("cpu")))
    assert state.ema is not None
    kept, values = 0.0, np.random.default_rng(0).normal(size=200)
    for num, value in enumerate(values):
        share = 0.0 if num == 0 else min(decay, (1 + num) / (10 + num))  # the first update takes the weights over
        kept = share * kept + (1 - share) * value
        with torch.no_grad():
            for parameter in state.model.parameters():
                parameter.fill_(value)
        state.ema.update_parameters(state.model)
        for parameter in state.ema.module.parameters():
            assert parameter.flatten()[0].item() == pytest.approx(kept, abs=1e-5)
    assert state.tensors()["ema.n_averaged"] == len(values)
