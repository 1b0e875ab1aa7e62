from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agmm.errors import TrainingError
from agmm.evaluation.evaluate_run import evaluate_run
from agmm.inference.protocols import Protocol, make_protocol
from agmm.report.runs import _protocol_options, choose_records, choose_scores, read_runs, scored_split
from agmm.runs.files import LOG_NAME, RUN_NAME
from cli.agmm_cli import main
from data_manifests import read_manifest
from data_manifests.manifest.schema import PSEUDO_LABELS
from tests.agmm.conftest import tiny_label_space, tiny_manifest
from tests.agmm.report.written_runs import add_scores, empty_manifest, write_run

SPACE = tiny_label_space()


def test_other_classes_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE))
    write_run(tmp_path / "b", empty_manifest(tmp_path, tiny_label_space(3)))
    with pytest.raises(
        TrainingError, match=f"{tmp_path}/a: label space 'tiny' with 4 classes does not fit .* 3 classes"
    ):
        read_runs([tmp_path / "a", tmp_path / "b"])


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="holds no weights"):
        read_runs([tmp_path])
    write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE))
    with pytest.raises(TrainingError, match="a: is given twice"):
        read_runs([tmp_path / "a", tmp_path / "a" / ".." / "a"])
    (tmp_path / "a" / LOG_NAME).write_text("epoch,loss\n1,much\n")
    with pytest.raises(TrainingError, match="log.csv is damaged"):
        read_runs([tmp_path / "a"])
    (tmp_path / "a" / LOG_NAME).unlink()
    with pytest.raises(TrainingError, match=f"{LOG_NAME}: no such file"):
        read_runs([tmp_path / "a"])
    (tmp_path / "a" / RUN_NAME).write_text(json.dumps({"manifest": "m"}))
    with pytest.raises(TrainingError, match="run.json or log.csv is damaged"):
        read_runs([tmp_path / "a"])


def damage(folder: Path, name: str, content: bytes | None) -> Path:
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("weights.safetensors", None, "holds no weights.safetensors"),
        ("weights.safetensors", b"\x10", "damaged or incomplete"),
        (RUN_NAME, None, "no such file"),
        (RUN_NAME, b"", "is damaged"),
        (RUN_NAME, b"[]", "is damaged"),
        (RUN_NAME, b'{"annotation": null}', "is damaged"),
        (LOG_NAME, b"\0\0\0\0", "is damaged"),
        (LOG_NAME, b"epoch,loss\n,1\n", "is damaged"),
        (LOG_NAME, b"epoch,loss\n1.5,1\n", "is damaged"),
        (LOG_NAME, b"epoch,loss\ninf,1\n", "is damaged"),
        (LOG_NAME, b"epoch,loss\n1,2,3\n", "is damaged"),
    ],
)
def test_a_damaged_run_is_an_error_or_left_out(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    for letter in "abc":
        write_run(tmp_path / letter, empty_manifest(tmp_path, SPACE), seed=ord(letter))
    paths = [damage(tmp_path / "a", name, content), tmp_path / "b", tmp_path / "c"]
    with pytest.raises(TrainingError, match=f"/a.*{message}"):
        read_runs(paths)
    problems: list[str] = []
    assert [run.folder.name for run in read_runs(paths, on_problem=problems.append)] == ["b", "c"]
    assert len(problems) == 1 and f"{tmp_path}/a" in problems[0] and message in problems[0]
    assert [run.name for run in read_runs(paths, ["x", "y", "z"], problems.append)] == ["y", "z"]
    with pytest.raises(TrainingError, match=message):
        read_runs(paths[:1], on_problem=problems.append)
    with pytest.raises(TrainingError, match="no such checkpoint"):
        read_runs([tmp_path / "b", tmp_path / "slip"], on_problem=problems.append)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("miou"), lambda record: record.update(miou="high"),
        lambda record: record.update(protocol=None), lambda record: record["classes"].pop(),
        lambda record: record["classes"][0].pop("iou"), lambda record: record["confusion"].pop(),
        lambda record: record["confusion"][1].append(3), lambda record: record["classes"][0].update(name="sky"),
    ],
)  # fmt: skip
def test_damaged_scores_are_an_error_or_left_out(change: Callable[[dict[str, Any]], object], tmp_path: Path) -> None:
    for letter in "ab":
        write_run(tmp_path / letter, empty_manifest(tmp_path, SPACE), seed=ord(letter))
    path = tmp_path / "a/evaluation.json"
    data = json.loads(path.read_text())
    change(data["results"][0])
    path.write_text(json.dumps(data))
    paths, problems = [tmp_path / "a", tmp_path / "b"], list[str]()
    with pytest.raises(TrainingError, match=r"a/evaluation.json: .*Delete it and evaluate again"):
        read_runs(paths)
    runs = read_runs(paths, on_problem=problems.append)
    assert [len(run.records) for run in runs] == [0, 1]
    assert len(problems) == 1 and "Delete it and evaluate again" in problems[0]


def test_a_number_that_is_none_is_passed_over(tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE))
    damage(tmp_path / "a", LOG_NAME, b"epoch,loss\n1,nan\n2,inf\n3,1.5\n")
    assert read_runs([tmp_path / "a"])[0].curve("loss") == [(3, 1.5)]


def test_an_earlier_stage_that_is_damaged_spoils_no_later_one(tmp_path: Path) -> None:
    write_run(tmp_path / "stage-1", empty_manifest(tmp_path / "data", SPACE))
    made = {"checkpoint": "../stage-1/weights.safetensors", "source_command": "points"}
    write_run(tmp_path / "stage-2", empty_manifest(tmp_path / "labels", SPACE, PSEUDO_LABELS, **made))
    write_run(tmp_path / "stage-2b", empty_manifest(tmp_path / "labels", SPACE, PSEUDO_LABELS, **made), seed=1)
    damage(tmp_path / "stage-1", "evaluation.json", b"")  # which says nothing of the later one
    assert read_runs([tmp_path / "stage-2"])[0].before is not None
    damage(tmp_path / "stage-1", LOG_NAME, b"")
    damage(tmp_path / "stage-1", RUN_NAME, b"{}")
    paths = [tmp_path / "stage-2", tmp_path / "stage-2b"]
    with pytest.raises(TrainingError, match="stage-1: run.json or log.csv is damaged"):
        read_runs(paths)
    problems: list[str] = []
    runs = read_runs(paths, on_problem=problems.append)
    assert [run.before for run in runs] == [None, None] and len(problems) == 1


def test_names_can_be_given(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / name, empty_manifest(tmp_path, SPACE)) for name in "ab"]
    assert [run.name for run in read_runs(paths, ["ours", "theirs"])] == ["ours", "theirs"]
    with pytest.raises(ValueError, match="a name for each of the 2 runs, in their order; got 1"):
        read_runs(paths, ["ours"])
    for names in (["ours", "ours"], ["ours", " "]):
        with pytest.raises(ValueError, match="Names must be unique"):
            read_runs(paths, names)


def test_the_split_to_show_is_the_one_most_runs_are_scored_on(tmp_path: Path) -> None:
    for name, splits in (("a", ["val", "test"]), ("b", ["test"]), ("c", ["val"]), ("d", [])):
        write_run(tmp_path / name, empty_manifest(tmp_path, SPACE), scores=None)
        for split in splits:
            add_scores(tmp_path / name, SPACE, 0.5, split=split)
    found = {run.folder.name: run for run in read_runs([tmp_path / name for name in "abcd"])}
    for names, split in (("ab", "test"), ("ac", "val"), ("abc", "val"), ("b", "test"), ("bd", "test"), ("d", "val")):
        assert scored_split([found[name] for name in names]) == split


def test_scores_are_the_newest_that_can_be_compared(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, SPACE)
    for name in ("a", "b"):
        write_run(tmp_path / name, manifest, scores=0.5)
    add_scores(tmp_path / "a", SPACE, 0.7, protocol="multi-scale (scales 1)")
    add_scores(tmp_path / "b", SPACE, 0.6, num_images=3)
    a, b = read_runs([tmp_path / "a", tmp_path / "b"])
    assert [r["num_images"] for r in choose_records([a, b], "val")] == [6, 6]
    assert choose_records([a], "val")[0]["protocol"].startswith("multi-scale")
    assert choose_records([a], "val", "whole")[0]["protocol"].startswith("whole")
    with pytest.raises(
        TrainingError, match="b: has no scores of split 'val' by protocol multi-scale like those of .*/a. "
    ):
        choose_records([a, b], "val", "multi-scale")


def test_a_quick_look_at_a_few_images_does_not_hide_the_scores_of_all(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, SPACE)
    for name in ("a", "b"):
        write_run(tmp_path / name, manifest, scores=0.5)
        add_scores(tmp_path / name, SPACE, 0.9, num_images=2)
    runs = read_runs([tmp_path / "a", tmp_path / "b"])
    assert [record["num_images"] for record in choose_records(runs, "val")] == [6, 6]
    assert choose_records(runs[:1], "val")[0]["num_images"] == 6
    add_scores(tmp_path / "a", SPACE, 0.7, protocol="multi-scale (scales 1)")  # of as many, and newer
    assert choose_records(read_runs([tmp_path / "a"]), "val")[0]["protocol"].startswith("multi-scale")
    table = CliRunner().invoke(main, ["table", "per-class", str(tmp_path / "b")])
    assert table.exit_code == 0 and "6 images" in table.stdout


def test_scores_that_are_missing_or_cannot_be_compared(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, SPACE)
    write_run(tmp_path / "a", manifest, scores=None)
    (a,) = read_runs([tmp_path / "a"])
    with pytest.raises(TrainingError, match="agmm evaluate .*/a .*/manifest.csv --split val$"):
        choose_records([a], "val")
    add_scores(tmp_path / "a", SPACE, 0.5, num_images=2)
    write_run(tmp_path / "b", manifest)
    write_run(tmp_path / "c", manifest, scores=None)
    runs = read_runs([tmp_path / name for name in "abc"])
    with pytest.raises(TrainingError, match="a: has no scores .* like those of .*/b. .* --split val .1 more run"):
        choose_records(runs, "val")


def test_scores_are_those_that_most_runs_have(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, SPACE)
    for name in "abcd":
        write_run(tmp_path / name, manifest, scores=None if name == "d" else 0.5)
    add_scores(tmp_path / "a", SPACE, 0.7, protocol="sliding window (tile 65, overlap 0.50), dense CRF")
    runs = read_runs([tmp_path / name for name in "abcd"])
    chosen = choose_scores(runs, "val")
    assert [r and r["protocol"] for r in chosen.records] == ["whole image, single scale"] * 3 + [None]
    assert (
        chosen.first == chosen.records[0] and len(chosen.missing) == 1 and chosen.missing[0].startswith(f"{tmp_path}/d")
    )
    two = choose_scores([runs[3], runs[0]], "val")
    assert two.records[0] is None and two.first == two.records[1]
    assert two.missing[0].endswith("manifest.csv --split val --protocol sliding --tile 65 --overlap 0.50 --crf")
    none = choose_scores([runs[3]], "val", "multi-scale")
    assert none.first is None and none.missing[0].endswith("--split val --protocol multi-scale")


def test_the_command_scores_as_the_other_run_was_scored(tmp_path: Path) -> None:
    """Its manifest, and no more images of it."""
    manifest = read_manifest(tiny_manifest(tmp_path / "data dir", num_images=8))
    for name in ("a", "b"):
        write_run(tmp_path / name, empty_manifest(tmp_path, SPACE), scores=None)
    for limit, words in ((1, " --limit 1"), (None, "")):
        evaluate_run(tmp_path / "a", manifest, limit=limit, device="cpu")
        chosen = choose_scores(read_runs([tmp_path / "a", tmp_path / "b"]), "val")
        command = f"agmm evaluate {tmp_path}/b '{manifest.path}' --split val{words}"
        assert chosen.missing[0].endswith(f": {command}")


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(), Protocol(crf=True), Protocol("flip"), Protocol("sliding", tile_size=721), Protocol("multi-scale"),
        Protocol("sliding", tile_size=65, overlap=0.25, crf=True), Protocol("multi-scale", tile_size=300),
    ],
    ids=str,
)  # fmt: skip
def test_options_say_the_protocol(protocol: Protocol) -> None:
    from cli.agmm_commands.evaluate import evaluate

    words = ["run", "manifest", *_protocol_options(str(protocol))]
    given = evaluate.make_context("evaluate", words).params
    made = make_protocol(
        given["protocol"], (9, 9), tile_size=given["tile_size"], overlap=given["overlap"], crf=given["crf"]
    )
    assert str(made) == str(protocol)


def test_scores_of_the_mixture_are_no_scores_of_the_network(tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE))
    add_scores(tmp_path / "a", SPACE, 0.9, protocol="Gaussian mixture with the sparse labels given")
    assert choose_records(read_runs([tmp_path / "a"]), "val")[0]["protocol"] == "whole image, single scale"
