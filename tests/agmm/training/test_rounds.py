"""Rounds: each network says where the next clicks go, or nothing does."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file

import agmm.training.rounds
import agmm.training.stages
from agmm.report.budget import budgets_of_runs
from agmm.report.runs import read_runs
from agmm.training.rounds import run_rounds
from agmm.training.stages import run_stages
from cli.agmm_cli import main
from cli.sparsekit_cli import main as sparsekit
from data_manifests import Manifest, open_dataset, read_manifest, read_marks
from data_manifests.files.masks import read_mask
from sparsekit import ClickAnnotator, ClickSettings, Guide, synthesize
from tests.agmm.conftest import tiny_manifest
from tests.agmm.training.test_stages import fast_config

SETTINGS = (
    "--encoder", "mobilenetv3_small_050.lamb_in1k", "--output-stride", "16", "--set", "aspp_rates=[1]",
    "--set", "decoder_channels=32", "--crop-size", "32x32", "--batch-size", "2", "--epochs", "1", "--device", "cpu",
    "--optimizer", "adamw", "--workers", "0", "--encoder-weights", "none",
)  # fmt: skip


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Four clicks on each of two training images, drawn by the command; a third image is for validation."""
    root = tmp_path_factory.mktemp("tiny")
    tiny_manifest(root / "made", num_images=3)
    for split, names in (("train", ("a00", "a01")), ("val", ("a02",))):
        for kind in ("images", "masks"):
            for name in names:
                (root / "town" / kind / split).mkdir(parents=True, exist_ok=True)
                shutil.copy(root / f"made/{kind}/{name}.png", root / "town" / kind / split / f"{name}.png")
    (root / "town/classes.csv").write_text("name,id\nc0,0\nc1,1\nc2,2\nc3,3\n")
    (summary,) = synthesize(open_dataset(root / "town"), ClickAnnotator((4,)), root / "sparse")
    return read_manifest(summary.folder)


def rounds(*arguments: object, expected: int = 0) -> Result:
    result = CliRunner().invoke(main, ["rounds", *map(str, arguments), *SETTINGS])
    assert result.exit_code == expected, result.output
    return result


@pytest.fixture(scope="module")
def done(manifest: Manifest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out_dir = tmp_path_factory.mktemp("runs") / "out"
    return out_dir, rounds(manifest.path, "--clicks", 3, "--rounds", 3, "--out", out_dir)


def marks_of(folder: Path) -> dict[str, Any]:
    return dict(read_marks(folder / "marks.csv"))


def test_each_round_learns_from_more_clicks(manifest: Manifest, done: tuple[Path, Result]) -> None:
    out_dir, result = done
    budgets = [4, 7, 10]
    folders = [manifest.path.parent, out_dir / "clicks-2", out_dir / "clicks-3"]
    for number, (folder, budget) in enumerate(zip(folders, budgets, strict=True), start=1):
        made = read_manifest(folder)
        assert made.info.settings["clicks_per_image"] == budget
        assert {row.num_labelled for row in made.rows if row.annotation} == {budget}
        run = json.loads((out_dir / f"round-{number}/run.json").read_text())
        assert (out_dir / f"round-{number}" / run["manifest"]).resolve() == made.path.resolve()
        assert CliRunner().invoke(sparsekit, ["verify", str(folder)]).exit_code == 0
    earlier = [marks_of(folder) for folder in folders]
    for name, marks in earlier[2].items():
        assert marks[:7] == earlier[1][name] and marks[:4] == earlier[0][name]
    summary = json.loads((out_dir / "rounds.json").read_text())
    assert [one["labels_per_image"] for one in summary["rounds"]] == budgets
    table = result.stdout.splitlines()
    assert table[0].split()[:2] == ["round", "labels"]
    for line, one in zip(table[1:4], summary["rounds"], strict=True):
        assert line.split()[:3] == [
            str(one["round"]),
            f"{one['labels_per_image']:.1f}",
            f"{100 * one['best_miou']:.1f}",
        ]


def test_budget_table_has_a_line_for_each_round(done: tuple[Path, Result]) -> None:
    out_dir, _ = done
    runs = [str(out_dir / f"round-{number}") for number in (1, 2, 3)]
    for run in runs:
        assert CliRunner().invoke(main, ["evaluate", run, "--device", "cpu"]).exit_code == 0
    result = CliRunner().invoke(main, ["table", "budget", *runs, "--format", "json"])
    assert result.exit_code == 0, result.output
    assert [row["marks/image"] for row in json.loads(result.stdout)] == [4, 7, 10]
    budgets = budgets_of_runs(read_runs(runs), lambda run: None)
    assert [point.way for point in budgets.points] == ["AGMM", "AGMM, uncertain", "AGMM, uncertain"]


def test_clicks_are_those_of_the_two_commands(manifest: Manifest, done: tuple[Path, Result], tmp_path: Path) -> None:
    """Prediction and drawing by hand, in the place of a round."""
    out_dir, _ = done
    words = [
        "predict",
        out_dir / "round-1",
        manifest.path,
        "--split",
        "train",
        "--probabilities",
        "--out",
        tmp_path / "p",
    ]
    assert CliRunner().invoke(main, [*map(str, words), "--device", "cpu"]).exit_code == 0
    words = ["points", "--strategy", "uncertain", "--probabilities", tmp_path / "p/probabilities", "--clicks", 3]
    more = ["--add-to", manifest.path, "--out", tmp_path]
    assert CliRunner().invoke(sparsekit, [*map(str, [*words, *more])]).exit_code == 0
    (made,) = tmp_path.glob("*+3clicks-uncertain")
    assert (made / "marks.csv").read_bytes() == (out_dir / "clicks-2/marks.csv").read_bytes()


def test_finished_rounds_are_neither_trained_nor_segmented_again(
    manifest: Manifest, done: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    out_dir, first = done
    monkeypatch.setattr(agmm.training.stages, "train_network", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(agmm.training.rounds, "predict_images", lambda *_, **__: pytest.fail("segmented again"))
    again = rounds(manifest.path, "--clicks", 3, "--rounds", 3, "--out", out_dir)
    assert again.stdout.splitlines()[:4] == first.stdout.splitlines()[:4]


@pytest.mark.parametrize(
    "lost", [("predicted-1",), ("round-3",), ("clicks-3", "round-3"), ("predicted-2", "clicks-3", "round-3")], ids=str
)
def test_a_broken_off_call_comes_to_the_same(
    manifest: Manifest, done: tuple[Path, Result], lost: tuple[str, ...]
) -> None:
    out_dir, _ = done
    copy = out_dir.with_name("-".join(lost))  # at the same depth, as manifests name images relative to themselves
    shutil.copytree(out_dir, copy)
    for name in lost:
        shutil.rmtree(copy / name)
    if lost == ("round-3",):  # as a full disk may leave it
        (copy / "predicted-1/network.json").write_text("{")
    rounds(manifest.path, "--clicks", 3, "--rounds", 3, "--out", copy)
    for name in ("clicks-3/marks.csv", "clicks-3/manifest.json", "rounds.json", "predicted-1/network.json"):
        assert (copy / name).read_bytes() == (out_dir / name).read_bytes()
    ours, theirs = (load_file(folder / "round-3/weights.safetensors") for folder in (copy, out_dir))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_other_clicks_settings_or_start_are_refused(manifest: Manifest, done: tuple[Path, Result]) -> None:
    out_dir, _ = done
    result = rounds(manifest.path, "--clicks", 5, "--rounds", 3, "--out", out_dir, expected=1)
    assert "(clicks_added 3 there, 5 here" in result.stderr
    result = rounds(manifest.path, "--clicks", 3, "--rounds", 3, "--out", out_dir, "--warm-start", expected=2)
    assert "round-2 was started fresh, but warm" in " ".join(result.stderr.split())


@pytest.mark.parametrize("option", [("--protocol", "sliding"), ("--strategy", "corrective")], ids=" ".join)
def test_predictions_that_clicks_were_drawn_by_are_not_replaced(
    option: tuple[str, str], manifest: Manifest, done: tuple[Path, Result]
) -> None:
    out_dir, _ = done
    before = {path: path.read_bytes() for path in out_dir.rglob("*") if path.is_file()}
    result = rounds(manifest.path, "--clicks", 3, "--rounds", 3, "--out", out_dir, *option, expected=1)
    assert "clicks-2: was drawn by other predictions" in result.stderr and "--overwrite" in result.stderr
    assert {path: path.read_bytes() for path in out_dir.rglob("*") if path.is_file()} == before


def test_corrective_clicks_lie_on_errors_and_warm_rounds_go_on(manifest: Manifest, tmp_path: Path) -> None:
    out_dir = tmp_path / "out"
    words = ("--clicks", 2, "--rounds", 2, "--out", out_dir, "--strategy", "corrective", "--warm-start", "--json")
    found = json.loads(rounds(manifest.path, *words).stdout)
    assert [one["labels_per_image"] for one in found["rounds"]] == [4, 6] and found["val_split"] == "val"
    made = read_manifest(out_dir / "clicks-2")
    for name, marks in marks_of(made.path.parent).items():
        predicted = read_mask(out_dir / f"predicted-1/label_maps/{name}.png")
        assert all(predicted[mark.row, mark.col] != mark.class_id for mark in marks[4:]) and len(marks) == 6
    assert not (out_dir / "predicted-1/probabilities").exists()


def test_uniform_clicks_need_no_network(manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agmm.training.rounds, "predict_images", lambda *_, **__: pytest.fail("segmented"))
    out_dir = tmp_path / "out"
    rounds(manifest.path, "--clicks", 2, "--rounds", 2, "--out", out_dir, "--strategy", "uniform")
    by_hand = synthesize(manifest, ClickAnnotator((2,)), tmp_path)
    assert (out_dir / "clicks-2/marks.csv").read_bytes() == (by_hand[0].folder / "marks.csv").read_bytes()


def test_what_has_no_marks_is_refused_before_training(manifest: Manifest, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(manifest.path.parent, bare)
    (bare / "marks.csv").unlink()
    result = rounds(bare, "--out", tmp_path / "out", expected=1)
    assert "has no marks beside it" in result.stderr and not (tmp_path / "out").exists()


def test_from_python(manifest: Manifest, tmp_path: Path) -> None:
    drawn = []

    def draw(source: Manifest, predicted: Path, folder: Path) -> None:
        drawn.append((source.name, predicted.name, folder.name))
        guide = Guide("uncertain", predicted / "probabilities", "entropy")
        synthesize(source, ClickAnnotator((1,), ClickSettings("uncertain"), guide), folder.parent, name=folder.name)

    config = fast_config(val_every=1)
    results = run_rounds(manifest, config, tmp_path / "out", draw, needs="probabilities", rounds=2, quiet=True)
    assert drawn == [(manifest.name, "predicted-1", "clicks-2")]
    assert [result.labels_per_image for result in results] == [4, 5]
    probabilities = np.load(next((tmp_path / "out/predicted-1").rglob("a00.npy")))
    assert probabilities.dtype == np.float16 and probabilities.shape[0] == 4
    for wrong, message in (({"rounds": 0}, "rounds must be"), ({"start": "hot"}, "Unknown start 'hot'")):
        with pytest.raises(ValueError, match=message):
            run_rounds(manifest, config, tmp_path / "out", draw, needs="nothing", **wrong)  # type: ignore[arg-type]
    full = replace(config, supervision="full")
    with pytest.raises(ValueError, match="supervision is full"):
        run_rounds(manifest, full, tmp_path / "out", draw, needs="nothing")


def test_uncertainty_is_chosen_as_by_points(manifest: Manifest, tmp_path: Path) -> None:
    words = ("--clicks", 2, "--rounds", 2, "--out", tmp_path / "out", "--uncertainty", "entropy", "--top-share", 0.5)
    rounds(manifest.path, *words)
    settings = read_manifest(tmp_path / "out/clicks-2").info.settings
    assert (settings["uncertainty"], settings["top_share"]) == ("entropy", 0.5)
    result = rounds(manifest.path, *words, "--strategy", "corrective", expected=2)
    assert "--uncertainty" in result.stderr


def test_two_processes_share_the_work(manifest: Manifest, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["--clicks", "2", "--rounds", "2", "--out", "out", "--json", *SETTINGS]
    command = [*torchrun, "--log-dir", str(tmp_path), "-m", "agmm", "rounds", str(manifest.path), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [one["labels_per_image"] for one in json.loads(done.stdout)["rounds"]] == [4, 6]
    probabilities = tmp_path / "out/predicted-1/probabilities"
    predicted = {path.relative_to(probabilities).with_suffix("").as_posix() for path in probabilities.rglob("*.npy")}
    assert predicted == {row.image_id for row in manifest.rows_of("train")}
    assert CliRunner().invoke(sparsekit, ["verify", str(tmp_path / "out/clicks-2")]).exit_code == 0


@pytest.mark.parametrize("module", [agmm.training.stages, agmm.training.rounds], ids=["stages", "rounds"])
def test_the_loss_that_auto_becomes_is_told(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: Any
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_stage", stop)
    config = fast_config(loss_kind="auto")
    with pytest.raises(KeyboardInterrupt):
        if module is agmm.training.stages:
            run_stages(manifest, config, tmp_path)
        else:
            run_rounds(manifest, config, tmp_path, stop, needs="nothing")
    assert "loss_kind auto is seg" in capsys.readouterr().err
