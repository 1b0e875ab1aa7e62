from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agmm import given_files
from agmm.errors import TrainingError
from agmm.evaluate_run import evaluate_run
from agmm.given_files import LOG_NAME, RUN_NAME
from agmm.inference import Protocol, make_protocol
from agmm.report.runs import _protocol_options, choose_records, choose_scores, read_runs, run_names, scored_split
from data_manifests import known_label_space, read_manifest
from data_manifests.schema import PSEUDO_LABELS
from tests.agmm.conftest import tiny_label_space, tiny_manifest
from tests.agmm.report.written_runs import SEG, add_scores, empty_manifest, write_run

SPACE = tiny_label_space()


def test_what_a_run_says_of_itself(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path / "data", known_label_space("cityscapes"), clicks_per_image=20)
    write_run(tmp_path / "a", manifest)
    write_run(tmp_path / "b", manifest, loss=SEG)
    write_run(tmp_path / "c", manifest, supervision="full", loss={"use_con": False})
    a, b, c = read_runs([tmp_path / "a", tmp_path / "b", tmp_path / "c" / "weights.safetensors"])
    assert (a.annotation, a.published_as, a.loss) == ("20 clicks", "20", "L_seg + L_self + L_spar + L_con")
    assert (b.loss, b.uses_mixture, a.uses_mixture) == ("L_seg", False, True)
    assert (c.annotation, c.published_as, c.loss, c.is_full) == ("full masks", "", "L_seg + L_self + L_spar", True)
    assert a.manifest_path == tmp_path / "data/manifest.csv" and a.seconds == 4.5
    assert a.curve("val_miou") == [(1, 0.1), (3, 0.4)] and a.curve("nothing") == []


def test_lambda_zero_is_a_baseline(tmp_path: Path) -> None:
    (run,) = read_runs([write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE), lambda_=0.0)])
    assert run.loss == "L_seg" and not run.uses_mixture


def test_a_later_stage_is_named_after_the_first(tmp_path: Path) -> None:
    source = empty_manifest(tmp_path / "data", SPACE, clicks_per_image=20)
    write_run(tmp_path / "stage-1", source, loss={"use_con": False})
    labels = empty_manifest(
        tmp_path / "pseudo", SPACE, PSEUDO_LABELS, checkpoint="../stage-1/weights.safetensors", source_command="points",
        source_settings={"clicks_per_image": 20},
    )  # fmt: skip
    write_run(tmp_path / "stage-2", labels, loss=SEG)
    (run,) = read_runs([tmp_path / "stage-2"])
    assert run.is_later_stage and run.first_stage.folder == tmp_path / "stage-1"
    assert (run.loss, run.annotation, run.published_as) == ("L_seg + L_self + L_spar, MT", "20 clicks", "20")
    (tmp_path / "stage-1/weights.safetensors").unlink()
    (alone,) = read_runs([tmp_path / "stage-2"])
    assert (alone.loss, alone.annotation, alone.first_stage) == ("pseudo-labels, MT", "20 clicks", alone)


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


def test_names_are_as_short_as_they_can_be() -> None:
    paths = [Path("x/a/seed-0"), Path("x/b/seed-0"), Path("x/b/seed-1")]
    assert run_names(paths) == ["a/seed-0", "b/seed-0", "b/seed-1"]
    assert run_names(paths[1:]) == ["seed-0", "seed-1"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ([{}], ["AGMM, 20 clicks"]),
        ([{"loss": SEG}, {}], ["L_seg", "AGMM"]),
        ([{"loss": {**SEG, "absence_weight": 0.0}}, {"loss": {"stop_gradient": False}}], ["L_seg", "AGMM"]),
        ([{"loss": {"use_con": False}}, {}], ["L_seg + L_self + L_spar", "AGMM"]),
        ([{}, {"loss": {"stop_gradient": True}}], ["AGMM", "AGMM, stop gradient"]),
        ([{"preset": "paper"}, {"preset": "released"}], ["AGMM (paper)", "AGMM (released)"]),
        ([{"lambda_": 0.5}, {"lambda_": 1.0}], ["lambda 0.5", "lambda 1.0"]),
        ([{"seed": 0}, {"seed": 1}, {"seed": 2}], ["seed 0", "seed 1", "seed 2"]),
        ([{}, {}, {"scale": (1.0, 1.0)}, {"photometric": True, "epochs": 7}],
         ["a", "b", "AGMM, scale 1.0/1.0", "AGMM, photometric, epochs 7"]),
        ([{"clicks": 20}, {"clicks": 50}, {"clicks": 100}], ["20 clicks", "50 clicks", "100 clicks"]),
        ([{"clicks": 20}, {"clicks": 50, "loss": SEG}], ["AGMM, 20 clicks", "L_seg, 50 clicks"]),
        ([{"loss": SEG}, {}, {"supervision": "full", "loss": SEG}],
         ["L_seg, 20 clicks", "AGMM, 20 clicks", "full masks"]),
        ([{"data": "one"}, {"data": "two"}], ["one", "two"]),
        ([{}, {"gmm_images": 3, "device": "cpu"}], ["a", "b"]),
        ([{}, {"epochs": 7, "batch_size": 3, "momentum": 0.5, "flip": False}], ["a", "b"]),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_runs_are_called_by_what_tells_them_apart(
    settings: list[dict[str, Any]], names: list[str], tmp_path: Path
) -> None:
    paths = []
    for letter, given in zip("abcd", settings, strict=False):
        more = dict(given)
        clicks, data = more.pop("clicks", 20), more.pop("data", "data")
        manifest = empty_manifest(tmp_path / (data if clicks == 20 else f"{clicks}"), SPACE, clicks_per_image=clicks)
        paths.append(write_run(tmp_path / letter, manifest, scores=None, **more))
    assert [run.name for run in read_runs(paths)] == names
    # and it plays no part in which order they stand
    assert [run.name for run in read_runs(paths[::-1])] == names[::-1]


def test_names_can_be_given(tmp_path: Path) -> None:
    paths = [write_run(tmp_path / name, empty_manifest(tmp_path, SPACE)) for name in "ab"]
    assert [run.name for run in read_runs(paths, ["ours", "theirs"])] == ["ours", "theirs"]
    with pytest.raises(ValueError, match="a name for each of the 2 runs, in their order; got 1"):
        read_runs(paths, ["ours"])
    for names in (["ours", "ours"], ["ours", " "]):
        with pytest.raises(ValueError, match="Each name must tell its run from the others"):
            read_runs(paths, names)


def test_the_split_to_show_is_the_one_most_runs_are_scored_on(tmp_path: Path) -> None:
    for name, splits in (("a", ["val", "test"]), ("b", ["test"]), ("c", ["val"]), ("d", [])):
        write_run(tmp_path / name, empty_manifest(tmp_path, SPACE), scores=None)
        for split in splits:
            add_scores(tmp_path / name, SPACE, 0.5, split=split)
    found = {run.folder.name: run for run in read_runs([tmp_path / name for name in "abcd"])}
    for names, split in (("ab", "test"), ("ac", "val"), ("abc", "val"), ("b", "test"), ("bd", "test"), ("d", "val")):
        assert scored_split([found[name] for name in names]) == split


def test_tables_and_training_agree_on_file_names() -> None:
    assert (LOG_NAME, RUN_NAME) == (given_files.LOG_NAME, given_files.RUN_NAME)


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


def test_scores_of_weights_that_were_there_before_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE), scores=0.5)
    (run,) = read_runs([tmp_path / "a"])
    path = tmp_path / "a" / "evaluation.json"
    data = json.loads(path.read_text())
    data["results"][0]["epoch"] = run.info.best_epoch - 1
    path.write_text(json.dumps(data))
    assert len(run.records) == 1 and read_runs([tmp_path / "a"])[0].records == ()


def test_scores_that_are_missing_or_cannot_be_compared(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, SPACE)
    write_run(tmp_path / "a", manifest, scores=None)
    (a,) = read_runs([tmp_path / "a"])
    with pytest.raises(TrainingError, match="Make them with: agmm evaluate .*/a .*/manifest.csv --split val$"):
        choose_records([a], "val")
    add_scores(tmp_path / "a", SPACE, 0.5, num_images=2)
    write_run(tmp_path / "b", manifest)
    write_run(tmp_path / "c", manifest, scores=None)
    runs = read_runs([tmp_path / name for name in "abc"])
    with pytest.raises(
        TrainingError, match="b: has no scores .* like those of .*/a. .* --split val .1 more run likewise"
    ):
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
    """Its manifest, and no more pictures of it."""
    manifest = read_manifest(tiny_manifest(tmp_path / "data dir", num_images=8))
    for name in ("a", "b"):
        write_run(tmp_path / name, empty_manifest(tmp_path, SPACE), scores=None)
    for limit, words in ((1, " --limit 1"), (None, "")):
        evaluate_run(tmp_path / "a", manifest, limit=limit, device="cpu")
        chosen = choose_scores(read_runs([tmp_path / "a", tmp_path / "b"]), "val")
        command = f"agmm evaluate {tmp_path}/b '{manifest.path}' --split val{words}"
        assert chosen.missing[0].endswith(f"Make them with: {command}")


@pytest.mark.parametrize(
    "protocol",
    [
        Protocol(), Protocol(crf=True), Protocol("sliding", tile_size=721), Protocol("multi-scale"),
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
