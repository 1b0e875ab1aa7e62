"""Points, table and figure of budgets, from runs and from studies."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from agmm.errors import TrainingError
from agmm.report.budget import BudgetPoint, Budgets, Work, budget_table, budgets_of_runs, budgets_of_study
from agmm.report.budget_figure import budget_ticks, draw_budget
from agmm.report.run import ALL_TERMS
from agmm.report.runs import read_runs
from agmm.report.table_format import Scores
from agmm.studies.results import read_results
from cli.agmm_cli import main
from data_manifests import known_label_space, write_manifest
from data_manifests.manifest.schema import GROWN
from sparsekit.audit.cost import annotation_cost
from tests.agmm.report.written_runs import SEG, empty_manifest, write_run
from tests.sparsekit.conftest import tiny_manifest

CITYSCAPES = known_label_space("cityscapes")
KEPT = Path(__file__).parents[3] / "studies/results/camvid.csv"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.output


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    """Two ways at two budgets with two seeds each, and full masks."""
    folders = []
    for clicks in (20, 50):
        manifest = empty_manifest(tmp_path / f"{clicks}", CITYSCAPES, clicks_per_image=clicks)
        for name, loss in (("seg", SEG), ("agmm", {})):
            for seed in (0, 1):
                folder = tmp_path / f"{name}-{clicks}-{seed}"
                right = 0.3 + clicks / 200 + seed / 20 + 0.1 * (name == "agmm")
                folders.append(write_run(folder, manifest, scores=right, loss=loss, seed=seed))
    full = write_run(tmp_path / "full", manifest, scores=0.9, supervision="full", loss=SEG)
    return [*folders, full]


def test_points_of_one_way_differ_in_their_budget(runs: list[Path]) -> None:
    budgets = budgets_of_runs(read_runs(runs), lambda run: None)
    ways = {(point.way, point.clicks): len(point.scores.values) for point in budgets.points if point.scores}
    assert ways == {("L_seg", 20): 2, ("L_seg", 50): 2, ("AGMM", 20): 2, ("AGMM", 50): 2, ("L_seg", None): 1}
    assert budgets.full is not None and budgets.full.is_full


def test_score_per_minute_and_share_of_full_masks(runs: list[Path]) -> None:
    budgets = budgets_of_runs(read_runs(runs), lambda run: Work(10, 20.0, 4.0))
    table = budget_table(budgets)
    assert table.header[-2:] == ("% of full supervision", "mIoU/minute")
    top = max(row[6].mean for row in table.rows)  # type: ignore[union-attr]
    for row in table.rows:
        assert row[7:] == pytest.approx((100 * row[6].mean / top, row[6].mean / 4))  # type: ignore[union-attr]
    assert len({row[7] for row in table.rows}) == 5


def test_grown_labels_are_a_way_of_their_own(tmp_path: Path) -> None:
    source = {"source_command": "points", "source_settings": {"clicks_per_image": 20}, "method": "superpixels"}
    write_run(tmp_path / "a", empty_manifest(tmp_path / "x", CITYSCAPES, clicks_per_image=20), scores=0.5)
    write_run(tmp_path / "b", empty_manifest(tmp_path / "y", CITYSCAPES, GROWN, **source), scores=0.6)
    points = budgets_of_runs(read_runs([tmp_path / "a", tmp_path / "b"]), lambda run: None).points
    assert [(p.way, p.annotation, p.clicks) for p in points] == [
        ("AGMM", "20 clicks", 20), ("AGMM, grown by superpixels", "20 clicks grown by superpixels", 20),
    ]  # fmt: skip


def test_clicks_per_class_are_no_clicks_per_image(tmp_path: Path) -> None:
    write_run(tmp_path / "a", empty_manifest(tmp_path / "x", CITYSCAPES, clicks_per_class=3), scores=0.5)
    (point,) = budgets_of_runs(read_runs([tmp_path / "a"]), lambda run: None).points
    assert (point.annotation, point.clicks) == ("3 clicks per class", None)


def study_of(folder: Path, *annotations: str) -> Path:
    """A study of one setting on each annotation, whose runs are gone."""
    (folder / "study").mkdir(exist_ok=True)
    header, *_ = KEPT.read_text().splitlines()
    rows = [f"{name},L_seg,1,0,val,whole,0.5,0.5,1,runs/{name}/stage-1,abc" for name in annotations]
    (folder / "study/results.csv").write_text("\n".join([header, *rows, ""]))
    return folder / "study"


def annotations_in_the_table(*arguments: object) -> set[str]:
    result = CliRunner().invoke(main, ["table", "budget", *map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return {row["annotation"] for row in json.loads(result.stdout)}


def test_the_annotations_of_a_study_are_in_words(tmp_path: Path) -> None:
    names = {"x-1": 1, "x-3": 3, "x-3-again": 3}
    study = study_of(tmp_path, "x-1", "x-3")
    assert annotations_in_the_table(study) == {"x-1", "x-3"}  # nothing says what they are
    for name, clicks in names.items():
        write_run(study / f"runs/{name}/stage-1", empty_manifest(tmp_path / name, CITYSCAPES, clicks_per_class=clicks))
    assert annotations_in_the_table(study) == {"1 click per class", "3 clicks per class"}
    study_of(tmp_path, *names)
    assert annotations_in_the_table(study) == {"1 click per class", "x-3", "x-3-again"}  # words do not tell them apart


def test_a_manifest_says_what_the_annotation_of_a_study_is(tmp_path: Path) -> None:
    settings = {"clicks_per_image": 2, "strategy": "center"}
    manifest = tiny_manifest(tmp_path)
    manifest = replace(manifest, info=replace(manifest.info, settings=settings))
    write_manifest(manifest)
    for name in ("2 clicks", manifest.name):  # in a study with another annotation of two clicks, its folder's
        study = study_of(tmp_path, name, "other")
        assert annotations_in_the_table(study, "--annotation", manifest.path) == {"2 clicks, center", "other"}
    code, text = run("table", "budget", study_of(tmp_path, "5 clicks", "other"), "--annotation", manifest.path)
    assert code == 1 and f"no runs on {manifest.path}" in text and "Annotations: 5 clicks; other." in text


def test_a_study_equals_its_rows() -> None:
    with KEPT.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["annotation"], row["setting"]) == ("20 clicks", "L_seg")]
    budgets = budgets_of_study(KEPT, lambda row: None, ["L_seg"])
    assert {point.way for point in budgets.points} == {"L_seg", "full masks"}
    (point,) = (p for p in budgets.points if p.annotation == "20 clicks")
    assert point.scores is not None and point.clicks == 20
    assert point.scores.values == tuple(100 * float(row["miou"]) for row in rows)
    assert budgets.full is not None


def test_the_loss_of_a_study_is_listed_where_its_settings_do_not_say_it() -> None:
    short = budget_table(budgets_of_study(KEPT, lambda row: None, ["L_seg", "L_seg, MT"]))
    assert "loss" not in short.header and {row[0] for row in short.rows} == {"L_seg", "L_seg, MT", "full masks"}
    long = budget_table(budgets_of_study(KEPT, lambda row: None, [ALL_TERMS]))
    assert long.header[2] == "loss" and {row[:3:2] for row in long.rows} == {
        ("AGMM", ALL_TERMS), ("full masks", "full masks"),
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_the_figure_of_a_study(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"a/budget{suffix}"
    code, text = run("figure", "budget", KEPT, "--setting", "L_seg", "--setting", "L_seg, MT", "--out", out)
    assert code == 0 and text == f"{out}\n"
    again = tmp_path / f"b/budget{suffix}"
    draw_budget(budgets_of_study(KEPT, lambda row: None, ["L_seg", "L_seg, MT"]), [again])
    assert again.read_bytes() == out.read_bytes()
    if suffix == ".png":
        with Image.open(out) as image:
            assert image.width == 2070


def test_budgets_are_labelled_where_there_is_room() -> None:
    assert budget_ticks([0.46, 0.54]) == [0.46, 0.54]  # the ends of an axis, however short it is
    assert budget_ticks([20.0, 5.0, 5.0, 100.0]) == [5.0, 20.0, 100.0]
    assert budget_ticks([5.0, 6.0, 100.0]) == [5.0, 100.0]
    assert budget_ticks([7.0]) == [7.0]


def test_minutes_come_from_the_manifests_of_a_study(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path)
    results = tmp_path / "study/results.csv"
    results.parent.mkdir()
    text = KEPT.read_text().replace("5 clicks,L_seg,", f"{manifest.name},L_seg,")
    results.write_text("".join(line for line in text.splitlines(True) if not line.startswith(("20", "50", "100"))))
    selected = ("budget", results.parent, "--annotation", manifest.path, "--setting", "L_seg")
    code, text = run("figure", *selected, "--out", tmp_path / "a.png")
    assert code == 0, text
    code, text = run("table", *selected, "--json")
    minutes = {row["annotation"]: row["minutes/image"] for row in json.loads(text)}
    expected = annotation_cost(manifest, split="train").to_dict()["minutes_per_image"]
    assert float(minutes["points"]) == pytest.approx(expected, abs=0.005)


def test_full_masks_of_a_study_are_one_row(tmp_path: Path) -> None:
    lines = KEPT.read_text().splitlines(keepends=True)
    twice = [line.replace("20 clicks,", "5 clicks,", 1) for line in lines if ",full masks," in line]
    (tmp_path / "twice.csv").write_text("".join([*lines, *twice]))
    budgets = budgets_of_study(tmp_path / "twice.csv", lambda row: None)
    (full,) = (point for point in budgets.points if point.is_full)
    scores = [100 * float(row["miou"]) for row in read_results(KEPT).values() if row["setting"] == "full masks"]
    assert full.name == "full masks" and full.scores is not None and list(full.scores.values) == scores


def test_the_figure_of_runs_on_disk(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path)
    for name, settings in (("seg", {"loss": SEG}), ("full", {"loss": SEG, "supervision": "full"})):
        write_run(tmp_path / name, manifest, **settings)  # type: ignore[arg-type]
    out = tmp_path / "budget.png"
    assert run("figure", "budget", tmp_path / "seg", tmp_path / "full", "--out", out)[0] == 0
    assert out.is_file()
    code, text = run("table", "budget", tmp_path / "seg", tmp_path / "full")
    assert code == 0 and "mIoU/minute" in text


@pytest.mark.parametrize(
    ("annotation", "has_clicks"),
    [
        ("20 clicks, center", True),
        ("points", True),
        ("1 click per class + 3 clicks", True),
        ("scribbles, 80 % length + 3 clicks", False),
        ("boxes", False),
    ],
)
def test_only_clicks_stand_on_the_axis_of_clicks(tmp_path: Path, annotation: str, has_clicks: bool) -> None:
    point = BudgetPoint("a", "a", annotation, "L_seg", Work(8, 6.0, None), Scores((50.0,)))
    if has_clicks:
        draw_budget(Budgets((point,), ""), [tmp_path / "a.png"])
    else:
        with pytest.raises(TrainingError, match="needs runs on clicks"):
            draw_budget(Budgets((point,), ""), [tmp_path / "a.png"])
    assert (tmp_path / "a.png").exists() is has_clicks


def test_what_cannot_be_drawn(tmp_path: Path, runs: list[Path]) -> None:
    assert run("figure", "budget", KEPT, "--setting", "magic", "--out", tmp_path / "a.png")[0] == 1
    assert run("figure", "budget", KEPT, runs[0], "--out", tmp_path / "a.png")[0] == 2
    assert run("figure", "budget", runs[0], "--setting", "L_seg", "--out", tmp_path / "a.png")[0] == 2
    assert run("figure", "budget", KEPT, "--out", tmp_path / "a.gif")[0] == 2
    with pytest.raises(TrainingError, match="needs runs on clicks"):
        draw_budget(budgets_of_runs(read_runs([runs[-1]]), lambda run: None), [tmp_path / "a.png"])
    shutil.copy(KEPT, tmp_path / "mixed.csv")
    with (tmp_path / "mixed.csv").open("a") as file:
        file.write("20 clicks,other,1,0,val,whole,0.5,0.5,1,runs/x,abc\n")
    with pytest.raises(TrainingError, match="different kinds"):
        budgets_of_study(tmp_path / "mixed.csv", lambda row: None)
    assert not list(tmp_path.glob("*.png"))
