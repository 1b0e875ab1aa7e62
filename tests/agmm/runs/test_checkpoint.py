import json
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import agmm.runs.checkpoint
from agmm.config.model import ModelConfig
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.models import build_model
from agmm.runs.checkpoint import (
    CHECKPOINT_VERSION,
    WEIGHTS_NAME,
    CheckpointInfo,
    load_checkpoint,
    load_run,
    optimizer_tensors,
    read_checkpoint_info,
    restore_optimizer,
    save_checkpoint,
)
from agmm.runs.files import STATE_NAME
from agmm.training.resume import resumed_config
from agmm.training.train import train_network
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_label_space, tiny_manifest

MODEL = ModelConfig(num_classes=4, encoder="resnet10t.c3_in1k", aspp_rates=(1,))
INFO = CheckpointInfo(MODEL, tiny_label_space(), TrainConfig(lambda_=0.5, loss={"use_con": False}), "abc", 3, 0.25, 2)


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    tensors = {"a": torch.randn(3, 4).T, "b": torch.tensor(3), "c": torch.zeros(2, dtype=torch.uint8)}
    save_checkpoint(tmp_path / "x.safetensors", tensors, INFO)
    loaded, info = load_checkpoint(tmp_path / "x.safetensors")
    assert info == INFO
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)
    assert list(tmp_path.iterdir()) == [tmp_path / "x.safetensors"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "x.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_headers_of_any_length_come_back(tmp_path: Path) -> None:
    starts = set()
    for length in range(0, 256, 8):
        info = replace(INFO, manifest_sha256="a" * length)
        save_checkpoint(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, info)
        starts.add((tmp_path / "x.safetensors").read_bytes()[0])
        assert read_checkpoint_info(tmp_path / "x.safetensors") == info
    assert 0x80 in starts  # the first byte of a pickle


def test_a_run_predicts_as_it_did(tmp_path: Path) -> None:
    model = build_model(MODEL).eval()
    save_checkpoint(tmp_path / WEIGHTS_NAME, model.state_dict(), INFO)
    run = load_run(tmp_path)
    images = torch.rand(1, 3, 40, 56)
    with torch.no_grad():
        as_loaded = model.to(memory_format=torch.channels_last)  # the order of memory moves the last digits
        assert torch.equal(run.model(images).logits, as_loaded(images).logits)
    assert not run.model.training
    assert run.label_space == tiny_label_space()
    assert load_run(tmp_path / WEIGHTS_NAME).info == INFO


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW], ids=["sgd", "adamw"])
def test_an_optimizer_goes_on_where_it_was(make: type[torch.optim.Optimizer]) -> None:
    options = {"momentum": 0.9} if make is torch.optim.SGD else {}

    def fresh() -> tuple[nn.Linear, torch.optim.Optimizer]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        return layer, make(layer.parameters(), lr=0.1, **options)  # type: ignore[call-arg]

    def step(layer: nn.Linear, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        layer(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    layer, optimizer = fresh()
    step(layer, optimizer)
    other, other_optimizer = fresh()
    other.load_state_dict(layer.state_dict())
    restore_optimizer(other_optimizer, {k: v.clone() for k, v in optimizer_tensors(optimizer).items()})
    step(layer, optimizer)
    step(other, other_optimizer)
    assert torch.equal(layer.weight, other.weight)


def test_tensors_and_header_are_of_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a training that goes on puts the next checkpoint in the place of the one that is being read."""
    path = tmp_path / "a"
    save_checkpoint(path, {"a": torch.zeros(2)}, replace(INFO, epoch=1))
    opened = agmm.runs.checkpoint.safe_open

    def replaced_while_read(*arguments: Any) -> Any:
        file = opened(*arguments)
        save_checkpoint(path, {"a": torch.ones(2)}, replace(INFO, epoch=2))
        return file

    monkeypatch.setattr(agmm.runs.checkpoint, "safe_open", replaced_while_read)
    tensors, info = load_checkpoint(path)
    assert tensors["a"].tolist() == [0.0, 0.0] and info.epoch == 1


def test_what_is_no_number_is_not_saved(tmp_path: Path) -> None:
    path = tmp_path / "a"
    save_checkpoint(path, {"a": torch.zeros(2), "n": torch.tensor(3)}, INFO)
    for value in (float("nan"), float("inf")):
        with pytest.raises(TrainingError, match=r"1 of 2 tensors contain values that are not finite \(first: a\)"):
            save_checkpoint(path, {"a": torch.tensor([0.0, value]), "n": torch.tensor(3)}, INFO)
    assert load_checkpoint(path)[0]["a"].tolist() == [0.0, 0.0]


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    save_checkpoint(good, {"a": torch.zeros(100)}, INFO)

    bad.write_bytes(good.read_bytes()[:-50])
    with pytest.raises(TrainingError, match="bad: damaged or incomplete"):
        load_checkpoint(bad)
    bad.write_bytes(good.read_bytes()[:5])
    with pytest.raises(TrainingError, match="bad: damaged or incomplete"):
        load_checkpoint(bad)
    for old_format in (False, True):
        torch.save({"a": torch.zeros(2)}, bad, _use_new_zipfile_serialization=not old_format)
        with pytest.raises(TrainingError, match="a pickle, which can run code"):
            load_checkpoint(bad)
    save_file({"a": torch.zeros(2)}, bad)
    with pytest.raises(TrainingError, match=r"was not written by `agmm train`.*--encoder-weights"):
        load_checkpoint(bad)
    with pytest.raises(TrainingError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none")
    (tmp_path / "\udcff").write_bytes(good.read_bytes())  # a byte that is no UTF-8
    with pytest.raises(TrainingError, match="the path is not UTF-8, but safetensors requires it"):
        load_checkpoint(tmp_path / "\udcff")
    with pytest.raises(TrainingError, match="holds no weights.safetensors"):
        load_run(tmp_path)


def test_headers_of_other_versions(tmp_path: Path) -> None:
    path = tmp_path / "x"
    data = json.loads(INFO.to_json())
    data["version"] = CHECKPOINT_VERSION + 1
    save_file({"a": torch.zeros(2)}, path, metadata={"agmm": json.dumps(data)})
    with pytest.raises(TrainingError, match="checkpoint version 2 is newer than 1"):
        read_checkpoint_info(path)
    del data["model"]
    data["version"] = CHECKPOINT_VERSION
    save_file({"a": torch.zeros(2)}, path, metadata={"agmm": json.dumps(data)})
    with pytest.raises(TrainingError, match="header is damaged"):
        read_checkpoint_info(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("config",), []), (("model",), None), (("model", "encoder"), 5), (("model", "decoder_channels"), True),
        (("model", "num_classes"), 5), (("model", "multi_grid"), [1.5]), (("best_miou",), "high"), (("epoch",), 1e999),
        (("label_space",), "tiny"), (("version",), None), ((), [1]),
    ],
    ids=str,
)  # fmt: skip
def test_damaged_headers(tmp_path: Path, place: tuple[str, ...], value: object) -> None:
    data = json.loads(INFO.to_json())
    holder = data
    for key in place[:-1]:
        holder = holder[key]
    if place:
        holder[place[-1]] = value
    save_file({"a": torch.zeros(2)}, tmp_path / "x", metadata={"agmm": json.dumps(data if place else value)})
    with pytest.raises(TrainingError, match="x: the checkpoint's header is damaged"):
        read_checkpoint_info(tmp_path / "x")


def test_weights_of_another_network(tmp_path: Path) -> None:
    weights = build_model(MODEL).state_dict()
    weights["classifier.bias"] = torch.zeros(9)
    for name in [name for name in weights if "conv1" in name]:
        weights[name.replace("conv1", "conv9")] = weights.pop(name)
    save_checkpoint(tmp_path / WEIGHTS_NAME, weights, INFO)
    with pytest.raises(TrainingError) as error:
        load_run(tmp_path)
    count = sum("conv9" in name for name in weights)
    first = "encoder.backbone.conv1.0.weight, encoder.backbone.conv1.1.weight, encoder.backbone.conv1.1.bias"
    for part in (f"{count} missing: {first} and {count - 3} more", f"{count} unknown: encoder.backbone.conv9",
                 "1 of another shape: classifier.bias"):  # fmt: skip
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "claimed",
    [{"decoder_channels": 16384}, {"encoder": "vit_giant_patch14_clip_224.laion2b"}, {"aspp_rates": [1] * 100_000}],
    ids=["wide", "large", "branched"],
)
@pytest.mark.parametrize("file", [WEIGHTS_NAME, STATE_NAME])
def test_a_header_that_lies_costs_no_memory(tmp_path: Path, claimed: dict[str, Any], file: str) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path / "data"))
    config = TrainConfig.from_dict({"encoder": MODEL.encoder, "workers": 0} | claimed)
    info = CheckpointInfo(config.model(4), manifest.label_space, config, manifest.sha256(), 1)
    save_checkpoint(tmp_path / file, {"model.x" if file == STATE_NAME else "x": torch.zeros(2)}, info)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TrainingError, match=r"do not fit the network|holds 1 weights of"):
        if file == STATE_NAME:
            train_network(manifest, resumed_config(tmp_path, {}), tmp_path, resume=True, quiet=True)
        else:
            load_run(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


def test_a_state_is_no_network_to_use(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "state.safetensors", {"model.a": torch.zeros(2), "optimizer.0.b": torch.zeros(2)}, INFO)
    with pytest.raises(TrainingError, match=r"--resume .*Give the folder, or its weights"):
        load_run(tmp_path / "state.safetensors")


def test_other_classes_are_rejected() -> None:
    INFO.require_classes(tiny_label_space(), "there")
    with pytest.raises(TrainingError, match="there: label space 'tiny' with 5 classes does not fit .* with 4 classes"):
        INFO.require_classes(tiny_label_space(5), "there")
    renamed = replace(tiny_label_space(), classes=tiny_label_space().classes[::-1])
    with pytest.raises(TrainingError, match="class 0 is 'c3' there and 'c0' here"):
        INFO.require_classes(renamed, "there")


_FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from agmm.runs.checkpoint import save_checkpoint
from agmm.errors import TrainingError
from tests.agmm.runs.test_checkpoint import INFO
path = Path(sys.argv[1])
save_checkpoint(path, {"a": torch.zeros(10)}, INFO)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    save_checkpoint(path, {"a": torch.ones(100_000)}, INFO)
except TrainingError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    done = subprocess.run([sys.executable, "-c", _FULL_DISK, path], capture_output=True, text=True, check=True)
    assert "could not be written" in done.stdout and "The previous checkpoint is unchanged" in done.stdout
    tensors, _ = load_checkpoint(path)
    assert torch.equal(tensors["a"], torch.zeros(10))
    assert list(tmp_path.iterdir()) == [path]
