import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import agmm.training.stages
from agmm.config.training import TrainConfig
from agmm.errors import TrainingError
from agmm.evaluation.evaluate_run import evaluate_run
from agmm.inference.protocols import Protocol
from agmm.runs.checkpoint import read_checkpoint_info
from agmm.training.stages import SEG_ONLY, StageResult, run_stages
from cli.agmm_cli import main
from data_manifests import Manifest, read_manifest
from tests.agmm.conftest import tiny_manifest


def fast_config(**changes: Any) -> TrainConfig:
    return TrainConfig(
        encoder="mobilenetv3_small_050.lamb_in1k", output_stride=16, aspp_rates=(1,), decoder_channels=32,
        crop_size=(32, 32), batch_size=2, epochs=1, optimizer="adamw", device="cpu", workers=0, **changes,
    )  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(tiny_manifest(tmp_path_factory.mktemp("tiny"), num_images=3, splits=("train", "train", "val")))


def stages(manifest: Manifest, out_dir: Path, config: TrainConfig | None = None, **settings: Any) -> list[StageResult]:
    return run_stages(manifest, config or fast_config(), out_dir, protocol=Protocol(), quiet=True, **settings)


@pytest.fixture(scope="module")
def done(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StageResult]]:
    out_dir = tmp_path_factory.mktemp("runs") / "mt"
    return out_dir, stages(manifest, out_dir, stages=3)


def test_each_stage_trains_on_the_labels_of_the_one_before(
    manifest: Manifest, done: tuple[Path, list[StageResult]]
) -> None:
    out_dir, results = done
    assert [r.run_dir.name for r in results] == ["stage-1", "stage-2", "stage-3"]
    assert results[0].manifest.path == manifest.path
    for number in (1, 2):
        labels = read_manifest(out_dir / f"pseudo-labels-{number}")
        assert results[number].manifest.path == labels.path
        assert labels.info.settings["checkpoint"] == f"../stage-{number}/weights.safetensors"
        # The classes of an image and its true labels always come from the first annotation.
        assert (labels.path.parent / labels.info.settings["source"]).resolve() == manifest.path.resolve()
        assert labels.rows[0].num_labelled == labels.rows[0].height * labels.rows[0].width
    configs = [read_checkpoint_info(r.run_dir / "weights.safetensors").config for r in results]
    assert configs[0].loss == {} and configs[1].loss == configs[2].loss == SEG_ONLY
    summary = json.loads((out_dir / "stages.json").read_text())["stages"]
    assert [s["manifest"] for s in summary[1:]] == ["pseudo-labels-1/manifest.csv", "pseudo-labels-2/manifest.csv"]
    assert [s["best_miou"] for s in summary] == [r.info.best_miou for r in results]


@pytest.mark.parametrize(
    ("kind", "loss", "later"),
    [
        ("presence", {"weight": 0.5}, {"weight": 0.5}),
        ("combined", {"absence": 1.0, "presence": 2.0}, {"weight": 2.0}),
        ("combined", {"agmm": 1.0, "presence": {"weight": 0.1}}, {"weight": 0.1}),
    ],
)
def test_later_stages_keep_the_classifier_of_the_image(
    manifest: Manifest, tmp_path: Path, kind: str, loss: dict[str, Any], later: dict[str, Any]
) -> None:
    results = stages(manifest, tmp_path / "mt", fast_config(loss_kind=kind, loss=loss), stages=2)
    second = read_checkpoint_info(results[1].run_dir / "weights.safetensors")
    assert (second.config.loss_kind, second.config.loss) == ("presence", later)
    assert second.model.presence_head
    assert "presence" in (results[1].run_dir / "log.csv").read_text().splitlines()[0]
    (score,) = evaluate_run(results[1].run_dir, manifest, split="val", device="cpu")
    assert score["num_images"] == 1
    with pytest.raises(ValueError, match="presence"):
        stages(manifest, tmp_path / "soft", fast_config(loss_kind=kind, loss=loss), stages=2, soft=True)
    assert not (tmp_path / "soft").exists()


def test_finished_stages_are_not_trained_again(
    manifest: Manifest, done: tuple[Path, list[StageResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out_dir, results = done
    monkeypatch.setattr(agmm.training.stages, "train_network", lambda *_, **__: pytest.fail("trained again"))
    assert stages(manifest, out_dir, stages=3) == results
    assert len(stages(manifest, out_dir, stages=2)) == 2


def test_another_length_or_start_is_another_training(manifest: Manifest, done: tuple[Path, list[StageResult]]) -> None:
    """A longer training goes on from a state that another schedule led to, so it is not what was asked for."""
    out_dir, _ = done
    with pytest.raises(ValueError, match="stage-1: .*epochs = 1, but 2"):
        stages(manifest, out_dir, replace(fast_config(), epochs=2), stages=3)
    with pytest.raises(ValueError, match="stage-1: .*val_every = 1, but 3"):
        stages(manifest, out_dir, fast_config(val_every=3), stages=3)
    with pytest.raises(ValueError, match="mt: .*fresh, but warm"):
        stages(manifest, out_dir, stages=3, start="warm")


def test_other_settings_or_data_are_refused(
    manifest: Manifest, done: tuple[Path, list[StageResult]], tmp_path: Path
) -> None:
    out_dir, _ = done
    with pytest.raises(ValueError, match="seed would change"):
        stages(manifest, out_dir, fast_config(seed=1))
    other = read_manifest(tiny_manifest(tmp_path, num_images=3, seed=5))
    with pytest.raises(TrainingError, match="was trained on another annotation than"):
        stages(other, out_dir)


def test_edited_settings_of_a_stage_do_not_give_way_in_silence(
    manifest: Manifest, done: tuple[Path, list[StageResult]], capsys: pytest.CaptureFixture[str]
) -> None:
    out_dir, results = done
    path = out_dir / "stage-2/config.toml"
    as_trained = path.read_text()
    try:
        for was, now in (("epochs = 1", "epochs = 5"), ("learning_rate = 0.001", "learning_rate = 0.5")):
            assert was in as_trained
            path.write_text(as_trained.replace(was, now))
            with pytest.raises(ValueError, match=rf"stage-2/config.toml: has been edited \({now}\), but stages use"):
                stages(manifest, out_dir, stages=3)
        path.write_text(as_trained.replace("workers = 0", "workers = 3"))
        assert run_stages(manifest, fast_config(), out_dir, stages=3, protocol=Protocol()) == results
        assert f"Warning: {path}: workers = 3" in capsys.readouterr().err
        assert run_stages(manifest, replace(fast_config(), workers=3), out_dir, stages=3, protocol=Protocol())
        assert "Warning" not in capsys.readouterr().err  # what was edited is what is asked for
    finally:
        path.write_text(as_trained)


def test_a_fresh_network_begins_as_stage_1_and_a_warm_one_from_it(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: dict[str, list[dict[str, torch.Tensor]]] = {"fresh": [], "warm": []}
    train_epoch = agmm.training.train.train_epoch
    for start, seen in starts.items():

        def spy(state: Any, epoch: int, log: Any, seen: list[dict[str, torch.Tensor]] = seen) -> Any:
            seen.append({name: tensor.clone() for name, tensor in state.eval_model.state_dict().items()})
            return train_epoch(state, epoch, log)

        monkeypatch.setattr(agmm.training.train, "train_epoch", spy)
        stages(manifest, tmp_path / start, fast_config(ema_decay=0.5), start=start)
    first, second = starts["fresh"]
    assert all(torch.equal(first[name], second[name]) for name in first)
    before, warm = load_file(tmp_path / "warm/stage-1/weights.safetensors"), starts["warm"][1]
    assert all(torch.equal(before[name], warm[name]) for name in before)
    assert any(not torch.equal(first[name], warm[name]) for name in first)


def test_a_warm_start_is_gone_on_with_by_the_processes_that_made_it(
    manifest: Manifest, done: tuple[Path, list[StageResult]], tmp_path: Path
) -> None:
    state = tmp_path / "state.safetensors"
    agmm.training.stages._begin_from(done[0] / "stage-1", manifest, fast_config(), 2, state)
    with pytest.raises(TrainingError, match="was trained by 2 processes, but now there are 1"):
        agmm.training.train.train_network(manifest, fast_config(), tmp_path, resume=True, quiet=True)


def test_an_interrupted_stage_is_gone_on_with(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = fast_config()
    config = replace(config, epochs=2)
    undisturbed = stages(manifest, tmp_path / "whole", config)
    save, calls = agmm.training.train.save_checkpoint, []

    def save_then_stop(path: Path, *rest: Any) -> None:
        save(path, *rest)
        if path.name.startswith("state"):
            calls.append(path)
            if len(calls) in (1, 3):  # after the first epoch of each stage
                raise KeyboardInterrupt

    monkeypatch.setattr(agmm.training.train, "save_checkpoint", save_then_stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            stages(manifest, tmp_path / "stopped", config)
    resumed = stages(manifest, tmp_path / "stopped", config)
    assert [path.parent.name for path in calls] == ["stage-1", "stage-1", "stage-2", "stage-2"]
    for a, b in zip(undisturbed, resumed, strict=True):
        whole, stopped = (load_file(r.run_dir / "weights.safetensors") for r in (a, b))
        assert all(torch.equal(whole[name], stopped[name]) for name in whole)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stages": 0}, "stages must be 1 to 1000, got 0"),
        ({"start": "cold"}, "Unknown start 'cold'. Choose from: fresh, warm"),
        ({"threshold": -0.1}, r"threshold must lie in \[0, 1\]"),
        ({"config": fast_config(supervision="full")}, "supervision is full"),
    ],
    ids=["stages", "start", "threshold", "supervision"],
)
def test_wrong_settings_are_refused(manifest: Manifest, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stages(manifest, tmp_path / "mt", **settings)
    assert not (tmp_path / "mt").exists()


def test_command(manifest: Manifest, tmp_path: Path) -> None:
    out_dir = tmp_path / "mt"
    config = tmp_path / "fast.toml"
    config.write_text(fast_config().to_toml())
    arguments = ["stages", str(manifest.path), "--config", str(config), "--out", str(out_dir), "--first", "seg"]
    refused = CliRunner().invoke(main, [*arguments, "--loss-kind", "presence"])
    assert refused.exit_code == 2 and "--first seg is cross-entropy alone" in refused.stderr and not out_dir.exists()
    result = CliRunner().invoke(main, [*arguments, "--protocol", "whole"])
    assert result.exit_code == 0, result.output
    told = [line for line in result.stderr.splitlines() if line.startswith(("stage", "epoch"))]
    assert told[0] == f"stage 1/2: {out_dir}/stage-1 learns from {manifest.path.parent.name}"
    assert told[1].startswith("epoch 1/1") and told[2] == "stage 1/2: labels the training images with its network"
    assert told[3] == f"stage 2/2: {out_dir}/stage-2 learns from pseudo-labels-1" and told[4].startswith("epoch 1/1")
    again = CliRunner().invoke(main, [*arguments, "--protocol", "whole"])
    assert f"stage 1/2: {out_dir}/stage-1 is trained already\n" in again.stderr and "epoch" not in again.stderr
    assert "stage 1/2: has labelled the training images with its network\n" in again.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Stage 1: mIoU ") and lines[1].startswith("Stage 2: mIoU ")
    assert lines[-1] == f"Next: agmm evaluate {out_dir / 'stage-2'} {manifest.path}"
    assert read_checkpoint_info(out_dir / "stage-1/weights.safetensors").config.loss == SEG_ONLY
    changed = CliRunner().invoke(main, [*arguments, "--protocol", "whole", "--threshold", "0.5"])
    assert changed.exit_code == 1
    assert "holds other pseudo-labels (threshold: 0.0 there, 0.5 requested)" in changed.stderr
    assert len(json.loads((out_dir / "stages.json").read_text())["stages"]) == 2
    changed = CliRunner().invoke(main, [*arguments, "--protocol", "whole", "--pseudo-classes", "labelled"])
    assert "holds other pseudo-labels (pseudo_classes: all there, unset requested)" in changed.stderr
    wrong = CliRunner().invoke(main, [*arguments[:-2], "--loss", "use_slef=false"])
    assert wrong.exit_code == 2
    assert "Did you mean 'use_self'?" in wrong.stderr


def test_soft_labels_are_learned_and_their_run_can_be_run_again(
    manifest: Manifest, done: tuple[Path, list[StageResult]], tmp_path: Path
) -> None:
    out_dir = tmp_path / "mt"
    config = tmp_path / "fast.toml"
    config.write_text(fast_config().to_toml())
    start = ["stages", str(manifest.path), "--config", str(config), "--out", str(out_dir), "--protocol", "whole"]
    result = CliRunner().invoke(main, [*start, "--soft"])
    assert result.exit_code == 0, result.output
    weights = [load_file(folder / "stage-2/weights.safetensors") for folder in (out_dir, done[0])]
    assert any(not torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    first = [load_file(folder / "stage-1/weights.safetensors") for folder in (out_dir, done[0])]
    assert all(torch.equal(first[0][name], first[1][name]) for name in first[0])
    # The manifest says that its labels are soft, so a training of its own learns them too.
    labels = out_dir / "pseudo-labels-1"
    again = ["train", str(labels), "--config", str(out_dir / "stage-2/config.toml"), "--out", str(tmp_path / "again")]
    result = CliRunner().invoke(main, again)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again/weights.safetensors").read_bytes() == (
        out_dir / "stage-2/weights.safetensors"
    ).read_bytes()
    more = CliRunner().invoke(main, ["train", str(labels), "--config", str(config), "--out", str(tmp_path / "more")])
    assert more.exit_code == 1
    assert "train with cross-entropy alone. Give --loss-kind seg" in more.stderr
    assert not (tmp_path / "more").exists()
    hard = CliRunner().invoke(main, start)
    assert hard.exit_code == 1 and "holds other pseudo-labels (soft: True there, unset requested)" in hard.stderr


def test_the_loss_of_soft_labels_is_that_of_the_log(manifest: Manifest, tmp_path: Path) -> None:
    stages(manifest, tmp_path / "mt", soft=True)
    lines = (tmp_path / "mt/stage-2/log.csv").read_text().splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert row["loss"] == row["seg"] and 0 < float(row["seg"]) < 3
    assert "self" not in row


def test_a_missing_crf_is_told_before_the_first_stage(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    result = CliRunner().invoke(
        main, ["stages", str(manifest.path), "--device", "cpu", "--out", str(tmp_path / "mt"), "--refine", "crf"]
    )
    assert result.exit_code == 1
    assert "pip install pydensecrf2" in result.stderr
    assert not (tmp_path / "mt").exists()


def test_refined_labels_through_the_command(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("training.stages", "requirements"):
        monkeypatch.setattr(f"agmm.{module}.require_crf", lambda: None)
    monkeypatch.setattr("agmm.training.pseudo_labels.refine", lambda _, probs: probs)
    (tmp_path / "fast.toml").write_text(fast_config().to_toml())
    words = ["stages", str(manifest.path), "--config", str(tmp_path / "fast.toml"), "--out", str(tmp_path / "mt")]
    result = CliRunner().invoke(main, [*words, "--refine", "crf", "--protocol", "whole"])
    assert result.exit_code == 0, result.output
    settings = read_manifest(tmp_path / "mt/pseudo-labels-1").info.settings
    assert settings["protocol"] == "whole image, single scale, dense CRF"


def test_two_processes_share_the_work(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "fast.toml").write_text(fast_config().to_toml())
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    settings = ["--config", "fast.toml", "--out", "mt", "--warm-start", "--protocol", "whole", "--soft"]
    command = [*torchrun, "--log-dir", str(tmp_path), "-m", "agmm", "stages", str(manifest.path), *settings]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Stage 2: mIoU") == 1  # the first process alone speaks
    labels = read_manifest(tmp_path / "mt/pseudo-labels-1")
    assert [row.num_labelled for row in labels.rows] == [64 * 96, 64 * 96, 0]
