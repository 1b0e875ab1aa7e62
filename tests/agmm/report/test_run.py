from __future__ import annotations

import json
from pathlib import Path

import pytest

from agmm.errors import TrainingError
from agmm.report.runs import read_runs
from data_manifests import known_label_space
from data_manifests.manifest.schema import PSEUDO_LABELS
from tests.agmm.conftest import tiny_label_space
from tests.agmm.report.written_runs import SEG, empty_manifest, write_run

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
    assert a.manifest_path == tmp_path / "data/manifest.csv" and (a.seconds, a.last_epoch) == (4.5, 3)
    assert a.curve("val_miou") == [(1, 0.1), (3, 0.4)] and a.curve("nothing") == []


def test_terms_of_the_mixture_count_whatever_the_loss_is_called(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path / "data", SPACE)
    write_run(tmp_path / "a", manifest, loss_kind="combined", loss={"agmm": 1.0, "entropy": {"weight": 0.1}})
    write_run(tmp_path / "b", manifest, loss_kind="mixture_labels")
    write_run(tmp_path / "c", manifest, loss_kind="entropy", lambda_=0.5)
    runs = read_runs([tmp_path / letter for letter in "abc"])
    assert [run.uses_mixture for run in runs] == [True, True, False]
    assert [run.lambda_ for run in runs] == [None] * 3 and "lambda" not in runs[2].settings


@pytest.mark.parametrize("change", [{"manifest_sha256": "1" * 64}, {"seed": 5}], ids=lambda change: next(iter(change)))
def test_weights_of_another_run(tmp_path: Path, change: dict[str, object]) -> None:
    folder = write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE))
    about = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(about | change))
    with pytest.raises(TrainingError, match="its weights and its run.json are of different runs"):
        read_runs([folder])


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


def test_scores_of_weights_that_were_there_before_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path, SPACE), scores=0.5)
    (run,) = read_runs([tmp_path / "a"])
    path = tmp_path / "a" / "evaluation.json"
    data = json.loads(path.read_text())
    data["results"][0]["epoch"] = run.info.best_epoch - 1
    path.write_text(json.dumps(data))
    assert len(run.records) == 1 and read_runs([tmp_path / "a"])[0].records == ()
