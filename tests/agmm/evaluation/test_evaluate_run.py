from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import agmm.evaluation.evaluate
from agmm.config.loss import resolve_options
from agmm.errors import TrainingError
from agmm.evaluation.evaluate import evaluate_mixture, evaluate_rows
from agmm.evaluation.evaluate_run import evaluate_run
from agmm.runs.checkpoint import load_run
from agmm.runs.scores import format_table, read_records, save_records
from cli.agmm_cli import main
from data_manifests import Manifest, read_manifest, write_manifest
from data_manifests.files.lock import FolderLock
from tests.agmm.conftest import tiny_label_space, tiny_manifest
from tests.helpers.tiny_run import tiny_run


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(tiny_manifest(tmp_path / "data"))


@pytest.fixture
def run(tmp_path: Path, manifest: Manifest) -> Path:
    return tiny_run(tmp_path / "run", manifest)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_writes_the_scores_of_the_loaded_network(run: Path, manifest: Manifest) -> None:
    (record,) = evaluate_run(run, manifest, device="cpu")
    expected = evaluate_rows(load_run(run).model, manifest, manifest.rows_of("val")).to_dict()
    about = {"dataset": "tiny", "split": "val", "manifest": "../data/manifest.csv", "epoch": 2}
    ids = "\n".join(sorted(row.image_id for row in manifest.rows_of("val")))
    images = hashlib.sha256(ids.encode()).hexdigest()[:16]
    assert record == about | {"weights": "weights.safetensors", "images_sha256": images} | expected
    assert json.loads((run / "evaluation.json").read_text()) == {"results": [record]}
    lines = rows_of(run / "evaluation.csv")
    assert [line["class"] for line in lines] == ["c0", "c1", "c2", "c3"]
    assert [line["iou"] for line in lines] == [str(c["iou"]) for c in record["classes"]]
    assert {line["boundary_iou"] for line in lines} == {""}
    confusion = rows_of(run / "confusion.csv")
    assert [[int(line[f"c{i}"]) for i in range(4)] for line in confusion] == record["confusion"]


def test_splits_and_protocols_stand_side_by_side_and_a_new_score_replaces_the_old(
    run: Path, manifest: Manifest
) -> None:
    evaluate_run(run, manifest, device="cpu")
    evaluate_run(run, manifest, device="cpu", protocol="sliding")
    evaluate_run(run, manifest, device="cpu", split="train")
    evaluate_run(run, manifest, device="cpu", split="train", limit=1)
    evaluate_run(run, manifest, device="cpu", boundary=True)
    records = read_records(run)
    assert [(r["split"], r["protocol"]) for r in records] == [
        ("val", "sliding window (tile 48, overlap 0.67)"),  # the longer side of the training crop
        ("train", "whole image, single scale"),
        ("train", "whole image, single scale"),
        ("val", "whole image, single scale"),
    ]
    assert [r["num_images"] for r in records] == [1, 3, 1, 1]
    assert records[0]["boundary_miou"] is None
    assert records[3]["boundary_miou"] is not None
    assert len(rows_of(run / "evaluation.csv")) == len(rows_of(run / "confusion.csv")) == 16


def test_mixture_is_scored_with_the_options_of_the_training(run: Path, manifest: Manifest) -> None:
    _, mixture = evaluate_run(run, manifest, split="train", gmm=True, device="cpu")
    rows, model = manifest.rows_of("train"), load_run(run).model
    released, paper = (
        evaluate_mixture(model, manifest, rows, options=resolve_options(preset)).to_dict()
        for preset in ("released", "paper")
    )
    assert released["confusion"] != paper["confusion"]
    assert mixture["confusion"] == released["confusion"]
    assert mixture["protocol"] == "Gaussian mixture with the sparse labels given"


def test_other_classes_are_refused(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    info = dataclasses.replace(manifest.info, label_space=tiny_label_space(5))
    with pytest.raises(TrainingError, match="5 classes does not fit a network trained on 'tiny' with 4 classes"):
        evaluate_run(run, dataclasses.replace(manifest, info=info), device="cpu")
    assert not (run / "evaluation.json").exists()


@pytest.fixture
def nothing_segmented(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("images were segmented for nothing")

    monkeypatch.setattr(agmm.evaluation.evaluate, "to_network", fail)


@pytest.mark.usefixtures("nothing_segmented")
def test_a_damaged_record_is_told_at_once_and_not_overwritten(run: Path, manifest: Manifest) -> None:
    (run / "evaluation.json").write_text('{"results": [{}]}')
    with pytest.raises(TrainingError, match=r"evaluation.json: damaged .* Delete it"):
        evaluate_run(run, manifest, device="cpu")
    assert (run / "evaluation.json").read_text() == '{"results": [{}]}'


def record(**changes: object) -> dict[str, object]:
    classes = [
        {"name": "road", "iou": 0.75, "accuracy": 0.8, "boundary_iou": 0.5},
        {"name": "sky, bright", "iou": None, "accuracy": None, "boundary_iou": None},
    ]
    return {
        "dataset": "d", "split": "val", "protocol": "p", "num_images": 2, "miou": 0.75, "pixel_accuracy": 0.9,
        "boundary_miou": None, "classes": classes, "confusion": [[3, 1], [0, 0]],
    } | changes  # fmt: skip


@pytest.mark.parametrize("change", [{"miou": 5.0}, {"num_images": -3}, {"confusion": [[3, -1], [0, 0]]}], ids=str)
def test_scores_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, object]) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps({"results": [record(**change)]}))
    with pytest.raises(TrainingError, match=r"evaluation.json: damaged .*out of range"):
        read_records(tmp_path)


def test_two_splits_of_one_name_and_size_stand_side_by_side(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    for number, chosen in enumerate((0, 1, 0)):
        rows = [row for row in manifest.rows if row.split == "train"]
        one = Manifest(manifest.path.with_name(f"one{number}.csv"), (rows[chosen],), manifest.info)
        evaluate_run(run, one, split="train", device="cpu", out_dir=tmp_path)
    records = read_records(tmp_path)
    assert [Path(record["manifest"]).name for record in records] == ["one1.csv", "one2.csv"]


def test_table_is_in_per_cent_with_a_dash_for_absent_classes() -> None:
    assert format_table(record()) == (
        "val split, 2 images: p\n"
        "class                    IoU      accuracy\n"
        "road                  75.0 %        80.0 %\n"
        "sky, bright                -             -\n"
        "mIoU                  75.0 %\n"
        "pixel accuracy        90.0 %"
    )
    lines = format_table(record(boundary_miou=0.5, num_images=1)).splitlines()
    assert lines[0] == "val split, 1 image: p"
    assert lines[2].split() == ["road", "75.0", "%", "80.0", "%", "50.0", "%"]
    assert lines[6].split() == ["boundary", "mIoU", "50.0", "%"]


def test_saved_records_come_back_and_absent_scores_are_empty_cells(tmp_path: Path) -> None:
    save_records(tmp_path, [record(), record(split="test")])
    save_records(tmp_path, [record(miou=0.5)])
    assert read_records(tmp_path) == [record(split="test"), record(miou=0.5)]
    assert [line["iou"] for line in rows_of(tmp_path / "evaluation.csv")] == ["0.75", "", "0.75", ""]
    assert rows_of(tmp_path / "confusion.csv")[0] == {
        "dataset": "d", "split": "test", "protocol": "p", "num_images": "2", "true_class": "road",
        "road": "3", "sky, bright": "1",
    }  # fmt: skip


def test_command_prints_a_table_and_says_where_the_files_are(run: Path, manifest: Manifest) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(run), str(manifest.path), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert format_table(read_records(run)[0]) in result.stdout
    assert f"{run}/evaluation.json" in result.stdout


def test_command_takes_all_options_and_prints_json(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    arguments = [
        "evaluate", str(run / "weights.safetensors"), str(manifest.path), "--split", "train", "--gmm", "--boundary",
        "--protocol", "multi-scale", "--tile", "32", "--overlap", "0.5", "--limit", "1", "--workers", "1", "--amp",
        "--device", "cpu", "--out", str(tmp_path / "scores"), "--json",
    ]  # fmt: skip
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"results": read_records(tmp_path / "scores")}
    first, second = read_records(tmp_path / "scores")
    assert first["protocol"].endswith("flipped too; tile 32, overlap 0.50)")
    assert second["boundary_miou"] is not None
    assert not (run / "evaluation.json").exists()


def test_files_are_the_same_for_any_number_of_workers(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    options = ["--split", "train", "--gmm", "--boundary", "--per-image", "--device", "cpu"]
    for workers in ("1", "4"):
        out = ["--workers", workers, "--out", str(tmp_path / workers / "scores")]
        result = CliRunner().invoke(main, ["evaluate", str(run), str(manifest.path), *options, *out])
        assert result.exit_code == 0, result.output
    one, four = ({path.name: path.read_bytes() for path in (tmp_path / n / "scores").iterdir()} for n in "14")
    assert one == four
    assert {"evaluation.json", "confusion.csv", "per_image.csv"} <= set(one)


@pytest.mark.usefixtures("nothing_segmented")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--split", "test"], 1, "split 'test' has no rows"),
        (["--protocol", "half"], 2, "'half'"),
        (["--overlap", "1"], 2, "--overlap"),
        (["--tile", "0"], 2, "--tile"),
        (["--tile", "32"], 2, "The protocol 'whole' has no tiles."),
        (["--overlap", "0.5"], 2, "An overlap needs tiles."),
        (["--protocol", "multi-scale", "--overlap", "0.5"], 2, "An overlap needs tiles."),
        (["--gmm"], 1, "'a03' of split 'val' has no annotation"),
        (["--device", "cuda:99"], 1, "cuda:99"),
    ],
)
def test_command_refuses(run: Path, manifest: Manifest, arguments: list[str], code: int, message: str) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(run), str(manifest.path), *arguments])
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert not (run / "evaluation.json").exists()


@pytest.mark.usefixtures("nothing_segmented")
def test_command_names_a_missing_run_or_mask(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["evaluate", str(tmp_path / "absent"), str(manifest.path)])
    assert result.exit_code == 1
    assert "absent" in result.stderr
    rows = (*manifest.rows[:2], dataclasses.replace(manifest.rows[2], full_mask=""), manifest.rows[3])
    write_manifest(dataclasses.replace(manifest, rows=rows))
    words = ["evaluate", str(run), str(manifest.path), "--device", "cpu", "--split", "train"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert result.stderr == f"Error: {manifest.path}: image 'a02' has no full mask to compare with.\n"


#: Adds thirty records of its own to the scores in a folder, one after the other, once it is told to begin.
_ADD_MANY = """
import json, sys
from pathlib import Path
from agmm.runs.scores import save_records
folder, who = Path(sys.argv[1]), sys.argv[2]
record = json.loads((folder / "evaluation.json").read_bytes())["results"][0]
print("ready", flush=True)
sys.stdin.readline()
for number in range(30):
    save_records(folder, [record | {"split": f"{who}-{number}"}])
"""


def test_scores_written_at_the_same_time_are_all_kept(run: Path, manifest: Manifest) -> None:
    evaluate_run(run, manifest, device="cpu")
    files = sorted(path.name for path in run.iterdir())
    names = ["a", "b"]
    with ExitStack() as stack:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        commands = [[sys.executable, "-c", _ADD_MANY, str(run), name] for name in names]
        started = [stack.enter_context(subprocess.Popen(command, **pipes)) for command in commands]
        for process in started:
            assert process.stdout.readline() == "ready\n"
        for process in started:
            process.stdin.write("go\n")
            process.stdin.flush()
    assert [process.returncode for process in started] == [0, 0]
    splits = {record["split"] for record in read_records(run)}
    assert splits == {"val"} | {f"{name}-{number}" for name in names for number in range(30)}
    assert {line["split"] for line in rows_of(run / "confusion.csv")} == splits
    assert sorted(path.name for path in run.iterdir()) == files


def test_scores_are_written_while_the_run_is_still_training(run: Path, manifest: Manifest) -> None:
    training = FolderLock(run)
    assert training.try_acquire()
    try:
        evaluate_run(run, manifest, device="cpu")
    finally:
        training.release()
    assert [record["split"] for record in read_records(run)] == ["val"]


def test_a_folder_that_cannot_be_written_to_is_told_before_the_first_image(
    run: Path, manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not (path == run and mode == os.W_OK))
    seen: list[None] = []
    with pytest.raises(TrainingError, match="run: is not writable. Choose another folder with --out"):
        evaluate_run(run, manifest, device="cpu", on_image=lambda: seen.append(None))
    with pytest.raises(TrainingError, match="is not writable"):  # nor can the folder be made
        evaluate_run(run, manifest, device="cpu", out_dir=run / "new/scores", on_image=lambda: seen.append(None))
    assert not seen
    evaluate_run(run, manifest, device="cpu", out_dir=tmp_path / "new/scores")
    assert read_records(tmp_path / "new/scores")


def test_the_manifest_that_a_run_was_trained_on_is_found(run: Path, manifest: Manifest, tmp_path: Path) -> None:
    """`run.json` names it; what it names may have moved, and a run may not say."""
    words = ["evaluate", str(run), "--device", "cpu", "--json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and "has no run.json that names its manifest" in result.stderr
    (run / "run.json").write_text(json.dumps({"manifest": "../data/manifest.csv"}))
    for of_run in (run, run / "weights.safetensors"):
        result = CliRunner().invoke(main, ["evaluate", str(of_run), *words[2:]])
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["results"][0]["manifest"] == "../data/manifest.csv"
    (tmp_path / "data/images").rename(tmp_path / "data/moved")
    (tmp_path / "disk").mkdir()
    for name in ("moved", "masks"):
        (tmp_path / "data" / name).rename(tmp_path / "disk" / name.replace("moved", "images"))
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and "--data-root" in result.stderr
    result = CliRunner().invoke(main, [*words, "--data-root", str(tmp_path / "disk")])
    assert result.exit_code == 0, result.output
    manifest.path.unlink()
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and "manifest.csv: no such manifest, but" in result.stderr
    for damaged in ("[]", "{}", '{"manifest": 3}', "[" * 100_000):
        (run / "run.json").write_text(damaged)
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 1 and "run.json: damaged" in result.stderr
