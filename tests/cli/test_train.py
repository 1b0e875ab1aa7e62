import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from agmm.data.dataset import ManifestDataset
from agmm.training import train as training
from cli.agmm_cli import main
from cli.sparsekit_cli import main as sparsekit
from data_manifests import read_manifest
from tests.agmm.conftest import tiny_manifest

FAST = [
    *("--encoder", "mobilenetv3_small_050.lamb_in1k", "--crop-size", "32x32", "--batch-size", "2", "--epochs", "1"),
    *(
        "--device",
        "cpu",
        "--workers",
        "0",
        "--set",
        "aspp_rates=[1]",
        "--set",
        "decoder_channels=32",
        "--loss",
        "use_con=false",
    ),
]


def agmm(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_manifest(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def run(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    run_dir = tmp_path_factory.mktemp("runs") / "first"
    return run_dir, agmm("train", manifest, "--out", run_dir, *FAST)


def test_train_says_where_everything_is(manifest: Path, run: tuple[Path, Result]) -> None:
    run_dir, result = run
    assert result.exit_code == 0, result.output
    last = result.stdout.splitlines()
    assert last[0].startswith("Best mIoU on val: ")
    assert last[1:] == [
        f"Weights, settings and log are in {run_dir}.",
        f"Next: agmm evaluate {run_dir} {manifest}",
    ]
    assert "epoch 1/1" in result.stderr
    config = (run_dir / "config.toml").read_text()
    assert "aspp_rates = [1]" in config and "crop_size = [32, 32]" in config and "use_con = false" in config
    # The rest comes from the default recipe.
    assert 'optimizer = "adamw"' in config


def test_each_command_names_one_that_can_follow(manifest: Path, run: tuple[Path, Result], tmp_path: Path) -> None:
    def follow(result: Result, *more: object) -> Result:
        assert result.exit_code == 0, result.output
        words = result.stdout.splitlines()[-1].removeprefix("Next: agmm ")
        return agmm(*shlex.split(words), *more)

    run_dir, trained = run
    evaluated = follow(trained)
    assert evaluated.stdout.splitlines()[-1] == f"Next: agmm report {run_dir} --manifest {manifest}"
    reported = follow(evaluated, "--out", tmp_path / "report", "--limit", "1", "--device", "cpu")
    assert reported.exit_code == 0, reported.output
    on_train = agmm("evaluate", run_dir, manifest, "--split", "train", "--limit", 1)
    assert on_train.stdout.splitlines()[-1].endswith(" --split train")
    moved = agmm("evaluate", run_dir, manifest, "--limit", 1, "--data-root", manifest.parent)
    assert moved.stdout.splitlines()[-1].endswith(f" --manifest {manifest} --data-root {manifest.parent}")
    # A report reads the scores in the run's folder.
    elsewhere = agmm("evaluate", run_dir, manifest, "--limit", 1, "--out", tmp_path / "scores")
    assert elsewhere.exit_code == 0 and "Next:" not in elsewhere.stdout


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (("train", "test"), "agmm evaluate {run} {manifest} --split test"),
        (("train",), "sparsekit split {manifest} --val 0.2 --out {folder}-split"),
    ],
    ids=["test", "none"],
)
def test_without_validation_it_names_what_can_be_scored(tmp_path: Path, splits: tuple[str, ...], expected: str) -> None:
    manifest = tiny_manifest(tmp_path / "data", splits=splits)
    run_dir = tmp_path / "run"
    result = agmm("train", manifest, "--out", run_dir, *FAST)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0].startswith("Trained 1 epoch without validation")
    follows = expected.format(run=run_dir, manifest=manifest, folder=manifest.parent)
    assert result.stdout.splitlines()[-1] == f"Next: {follows}"
    if len(splits) == 1:
        done = CliRunner().invoke(sparsekit, shlex.split(follows.removeprefix("sparsekit ")))
        assert done.exit_code == 0 and read_manifest(Path(f"{manifest.parent}-split")).rows_of("val")


def test_the_command_in_the_run_folder_gives_the_same_network(
    manifest: Path, run: tuple[Path, Result], tmp_path: Path
) -> None:
    run_dir, _ = run
    result = agmm("train", manifest, "--config", run_dir / "config.toml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again/weights.safetensors").read_bytes() == (run_dir / "weights.safetensors").read_bytes()


def test_resume_trains_longer(manifest: Path, run: tuple[Path, Result]) -> None:
    run_dir, _ = run
    result = agmm("train", manifest, "--resume", run_dir, "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert "epoch 2/2" in result.stderr and "epoch 1/2" not in result.stderr


def test_a_run_gets_a_folder_by_default(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = agmm("train", manifest, *FAST)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / manifest.parent.name / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ["--recipe", "voc-r100"],
            2,
            "Unknown recipe 'voc-r100'. Choose from: cityscapes-r50, few-clicks, small-cpu, small-data, voc-r101.",
        ),
        (["--set", "epoch=3"], 2, "unknown setting 'epoch'. Did you mean epochs"),
        (["--set", "epochs"], 2, "--set expects NAME=VALUE, got 'epochs'."),
        (["--loss", "use_cone=false"], 2, "Unknown loss option 'use_cone'. Did you mean 'use_con'?"),
        (["--epochs", "0"], 2, "0 is not in the range x>=1"),
        (["--config", "none.toml"], 1, "none.toml: no such file"),
        (["--encoder", "resnet5"], 1, "resnet5"),
        (["--encoder-weights", "none.pth"], 1, "none.pth: no such file of encoder weights"),
        (["--train-split", "test"], 1, "split 'test' has no rows"),
        (["--batch-size", "1"], 1, "--batch-size 2"),
        (["--device", "cuda:200"], 2, "cuda:200"),  # torch counts to 127
        (["--resume", "somewhere", "--out", "x"], 2, "--resume continues a run in its folder"),
        (["--resume", "somewhere"], 1, "no such checkpoint"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_usage_in_one_line(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = agmm("train", manifest, *arguments)
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not os.listdir(tmp_path)  # noqa: PTH208


def test_cuda_asked_for_and_absent(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    result = agmm("train", manifest, "--device", "cuda", "--out", tmp_path / "x")
    assert result.exit_code == 1
    assert "Error: Device 'cuda' " in result.stderr
    assert not (tmp_path / "x").exists()


def test_too_little_memory_is_told_in_one_line(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total of 4 GiB")

    monkeypatch.setattr(training, "train_network", fail)
    result = CliRunner().invoke(main, ["train", str(manifest), "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The GPU has too little memory (CUDA out of memory). Train with a smaller")
    monkeypatch.setattr(training, "train_network", lambda *_, **__: torch.zeros(2) @ torch.zeros(3))
    other = CliRunner().invoke(main, ["train", str(manifest), "--out", str(tmp_path / "run"), "--device", "cpu"])
    assert type(other.exception) is RuntimeError  # what is no lack of memory is not called one


@pytest.mark.parametrize("allocate", [lambda size: torch.empty(size, dtype=torch.uint8), lambda size: np.empty(size)])
def test_too_little_memory_without_a_gpu(
    allocate: Callable[[int], object], manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "train_network", lambda *_, **__: allocate(1 << 50))
    result = agmm("train", manifest, "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 1
    assert re.fullmatch(
        r"Error: This machine has too little memory \(.*allocate.*\)\. Train with a smaller .*\n", result.stderr
    )


def test_a_network_that_cannot_be_compiled_is_one_line(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.compile

    def without_compiler(*_: object) -> None:
        raise FileNotFoundError("g++")

    monkeypatch.setattr(torch, "compile", lambda network: real(network, backend=without_compiler))
    result = agmm("train", manifest, "--out", tmp_path / "run", *FAST, "--compile")
    assert result.exit_code == 1
    assert re.search(r"^Error: torch.compile cannot .*g\+\+.* without --compile", result.stderr, re.MULTILINE)
    assert not (tmp_path / "run").exists()


def test_a_number_of_a_process_among_one_is_passed_over(
    manifest: Path, run: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")  # as some clusters set it, with no WORLD_SIZE
    assert "Best mIoU on val" in agmm("train", manifest, "--out", tmp_path / "run", *FAST).stdout
    assert "mIoU" in agmm("evaluate", run[0], manifest, "--out", tmp_path).stdout


def test_the_end_of_a_loading_process_is_one_line(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = os.getpid()
    real = ManifestDataset.__getitem__

    def die_in_a_worker(self: ManifestDataset, key: object) -> object:
        return real(self, key) if os.getpid() == parent else os._exit(1)

    monkeypatch.setattr(ManifestDataset, "__getitem__", die_in_a_worker)
    result = agmm("train", manifest, "--out", tmp_path / "run", *FAST, "--workers", 1)
    assert result.exit_code == 1
    assert re.search(r"Error: A process that loads images has ended \(DataLoader worker.*--workers 0", result.stderr)
    assert not (tmp_path / "run").exists()


def test_interrupted_before_there_is_anything_to_go_on_with(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agmm.training.train.train_epoch", interrupt)
    result = agmm("train", manifest, "--out", tmp_path / "x", *FAST)
    assert result.exit_code == 130
    assert result.stderr.endswith("Interrupted before the first epoch finished; nothing is kept\n")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("rank", "num_ranks", "told"),
    [
        (0, 1, "Interrupted; resume with: agmm train {manifest} --resume {run}\n"),
        (0, 2, "Interrupted; resume with: torchrun --nproc-per-node 2 -m agmm train {manifest} --resume {run}\n"),
        (1, 2, ""),
    ],
)
def test_interrupted_later_it_says_how_to_go_on(
    manifest: Path, run: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch, rank: int, num_ranks: int, told: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agmm.training.train.train_network", interrupt)
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(num_ranks))
    result = agmm("train", manifest, "--resume", run[0])
    assert (result.exit_code, result.stderr) == (130, told.format(manifest=manifest, run=run[0]))


def test_the_end_of_another_process_is_one_line(
    manifest: Path, run: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object, **__: object) -> None:
        raise RuntimeError("[pair.cc:534] Connection closed by peer [127.0.0.1]:4711")

    monkeypatch.setattr("agmm.training.train.train_network", end)
    assert isinstance(agmm("train", manifest, "--resume", run[0]).exception, RuntimeError)  # alone: not to be explained
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    result = agmm("train", manifest, "--resume", run[0])
    assert result.exit_code == 1
    assert result.stderr == "Error: Another of the processes started together has ended; it says why.\n"


@pytest.mark.parametrize(
    "command", [("predict", "{run}", "{out}", "--out"), ("export", "{run}", "--format", "onnx", "--out")]
)
def test_what_takes_one_process_says_so(
    run: tuple[Path, Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = agmm(*(word.format(run=run[0], out=tmp_path) for word in command), tmp_path / "out")
    assert result.exit_code == 2 and "start it without torchrun" in result.stderr
    assert not (tmp_path / "out").exists()


def test_recipes() -> None:
    listed = agmm("recipes").stdout.splitlines()
    names = [line.split()[0] for line in listed]
    assert names == ["cityscapes-r50", "few-clicks", "small-cpu", "small-data", "voc-r101"]
    assert listed[2].endswith("[default]")
    assert 'encoder = "resnet101s.gluon_in1k"' in agmm("recipes", "voc-r101").stdout
    wrong = agmm("recipes", "voc")
    assert wrong.exit_code == 2
    assert "Unknown recipe 'voc'" in wrong.stderr


@pytest.mark.parametrize(("classes", "loss"), [(3, "seg"), (8, "presence")])
def test_few_clicks_learns_which_classes_an_image_holds_where_it_holds_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: int, loss: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_manifest(tmp_path / "made", num_classes=3)
    names = tmp_path / "classes.txt"
    names.write_text("\n".join(f"class {number}" for number in range(classes)))
    folders = ("--images", "made/images", "--masks", "made/masks", "--classes", names)
    clicked = CliRunner().invoke(sparsekit, ["points", *map(str, folders), "--strategy", "per-class", "--clicks", "1"])
    assert clicked.exit_code == 0, clicked.output
    fast = [*FAST[:-2], "--recipe", "few-clicks", "--encoder-weights", "none", "--out", tmp_path / "run"]
    result = agmm("train", next(Path("sparse").iterdir()), *fast)
    assert result.exit_code == 0, result.output
    assert f'loss_kind = "{loss}"' in (tmp_path / "run/config.toml").read_text()
    resumed = agmm("train", next(Path("sparse").iterdir()), "--resume", tmp_path / "run", "--epochs", "2")
    assert resumed.exit_code == 0, resumed.output
