from __future__ import annotations

from pathlib import Path

import pytest

from agmm.errors import TrainingError
from agmm.inference.protocols import Protocol
from agmm.report.budget import Work, budget_table, budgets_of_runs
from agmm.report.runs import read_runs
from agmm.report.table_format import Difference, Scores
from agmm.report.tables import ablation_table, lambda_table, per_class_table
from agmm.studies.study import LABELS_AS_PUBLISHED
from data_manifests import known_label_space
from data_manifests.manifest.schema import PSEUDO_LABELS
from tests.agmm.conftest import tiny_label_space
from tests.agmm.report.written_runs import SEG, add_scores, empty_manifest, write_run

CITYSCAPES = known_label_space("cityscapes")


def iou(right: float) -> float:
    """IoU in per cent where ``right`` of each class is right, and as much of another taken for it as it loses."""
    return 100 * right / (2 - right)


def test_per_class_beside_the_published(tmp_path: Path) -> None:
    for name, clicks, right in (("a", 50, 0.9), ("b", 30, 0.5)):
        write_run(tmp_path / name, empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=clicks), scores=None)
        add_scores(tmp_path / name, CITYSCAPES, right, num_images=500)
    table = per_class_table(read_runs([tmp_path / "a", tmp_path / "b"]))
    assert table.header == ("class", "50 clicks", "published, 50 clicks", "difference", "30 clicks")
    name, ours, theirs, gap, other = table.rows[0]
    assert (name, theirs) == ("road", 96.5) and ours == pytest.approx(iou(0.9)) and other == pytest.approx(iou(0.5))
    assert isinstance(gap, Difference) and gap.value == pytest.approx(iou(0.9) - 96.5)
    assert len(table.rows) == 19 and table.summary_rows[0][:3] == ("mIoU", pytest.approx(iou(0.9)), 68.3)
    assert "val split, 500 images; whole image, single scale" in table.title and "CVPR 2023" in table.notes[0]


def test_nothing_is_published_for_a_part_of_the_split(tmp_path: Path) -> None:
    for name, clicks in (("a", 20), ("b", 50)):
        write_run(tmp_path / name, empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=clicks), scores=None)
        add_scores(tmp_path / name, CITYSCAPES, 0.9, num_images=499)
    runs = read_runs([tmp_path / "a", tmp_path / "b"])
    table = per_class_table(runs)
    assert table.header == ("class", "20 clicks", "50 clicks") and table.notes == ()
    assert ablation_table(runs).header == ("loss", "20 clicks", "50 clicks")


def test_per_class_of_absent_classes_and_without_published(tmp_path: Path) -> None:
    space = tiny_label_space()
    write_run(tmp_path / "a", empty_manifest(tmp_path, space), scores=None)
    add_scores(tmp_path / "a", space, 1.0)
    table = per_class_table(read_runs([tmp_path / "a"]))
    assert table.header == ("class", "AGMM, points") and table.notes == () and table.rows[0] == ("c0", 100.0)


def test_ablation_averages_over_seeds_and_orders_by_budget(tmp_path: Path) -> None:
    for clicks in (20, 100):
        manifest = empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=clicks)
        write_run(tmp_path / f"agmm-{clicks}", manifest, scores=0.8)
    for seed, right in ((0, 0.5), (1, 0.7)):
        write_run(tmp_path / f"seg-{seed}", manifest, scores=right, loss=SEG, seed=seed)
    write_run(tmp_path / "odd", manifest, scores=0.6, loss={"use_self": False})
    table = ablation_table(read_runs(sorted(p for p in tmp_path.iterdir() if p.is_dir())))
    assert table.header == ("loss", "20 clicks", "published", "difference", "100 clicks", "published", "difference")
    by_name = {row[0]: row[1:] for row in table.rows}
    assert list(by_name) == ["L_seg", "L_seg + L_self + L_spar + L_con", "L_seg + L_spar + L_con"]
    nothing, published_20, gap_20, seeds, published_100, gap = by_name["L_seg"]
    assert nothing is None and gap_20 is None and (published_20, published_100) == (53.5, 64.2)
    assert isinstance(seeds, Scores) and seeds.values == pytest.approx((iou(0.5), iou(0.7)))
    assert isinstance(gap, Difference) and gap.value == pytest.approx((iou(0.5) + iou(0.7)) / 2 - 64.2)
    assert by_name["L_seg + L_spar + L_con"][4:] == (None, None)
    assert table.notes[0].startswith("±")


def test_rows_say_in_which_settings_runs_of_one_loss_differ(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=20)
    settings = {"a": {}, "b": {"epochs": 7}, "c": {"loss": {"stop_gradient": True}}, "seg": {"loss": SEG}}
    for number, (name, more) in enumerate(settings.items(), start=1):
        for seed in (0, 1):
            write_run(tmp_path / f"{name}-{seed}", manifest, scores=number / 10, seed=seed, gmm_images=seed, **more)
    table = ablation_table(read_runs([tmp_path / f"{name}-{seed}" for name in settings for seed in (0, 1)]))
    full = "L_seg + L_self + L_spar + L_con"
    epochs = read_runs([tmp_path / "a-0"])[0].info.config.epochs
    assert [(row[0], round(row[1].mean, 6)) for row in table.rows if isinstance(row[1], Scores)] == [
        ("L_seg", round(iou(0.4), 6)), (f"{full}, epochs 7", round(iou(0.2), 6)),
        (f"{full}, epochs {epochs}", round(iou(0.1), 6)),
        (f"{full}, epochs {epochs}, stop gradient", round(iou(0.3), 6)),
    ]  # fmt: skip
    assert all(isinstance(row[1], Scores) and len(row[1].values) == 2 for row in table.rows)


def test_runs_that_differ_in_what_no_row_says_share_no_cell(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=20)
    write_run(tmp_path / "a", manifest, loss=SEG)
    write_run(tmp_path / "b", manifest, loss={**SEG, "stop_gradient": True}, seed=1)
    with pytest.raises(TrainingError, match="/a and .*/b are both 'L_seg' .* differ in loss"):
        ablation_table(read_runs([tmp_path / "a", tmp_path / "b"]))


def test_a_study_of_stages(tmp_path: Path) -> None:
    """First stages without scores are left out, and the copy that another row began with does not count twice."""
    manifest = empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=20)
    for row, scores in (("x", 0.6), ("copy", 0.6), ("y", None)):
        stop = {"stop_gradient": True} if row == "y" else {}
        write_run(tmp_path / row / "stage-1", manifest, scores=scores, loss=stop)
        labels = empty_manifest(
            tmp_path / row / "labels", CITYSCAPES, PSEUDO_LABELS, checkpoint="../stage-1/weights.safetensors",
            source_command="points", source_settings={"clicks_per_image": 20},
            pseudo_classes="all" if row == "copy" else "labelled",
        )  # fmt: skip
        write_run(tmp_path / row / "stage-2", labels, scores=0.7, loss=SEG)
    table = ablation_table(read_runs(sorted(tmp_path.glob("*/stage-*"))))
    full = "L_seg + L_self + L_spar + L_con"
    assert {row[0]: row[1].values for row in table.rows if isinstance(row[1], Scores)} == {
        full: pytest.approx((iou(0.6),)),
        f"{full}, MT, pseudo classes all": pytest.approx((iou(0.7),)),
        f"{full}, MT, pseudo classes labelled": pytest.approx((iou(0.7),)),
        f"{full}, MT, stop gradient, pseudo classes labelled": pytest.approx((iou(0.7),)),
    }


def write_stages(folder: Path, clicks: int, **made: object) -> None:
    """Two stages on Cityscapes, whose pseudo-labels are made in the published way but for some settings."""
    write_run(folder / "stage-1", empty_manifest(folder, CITYSCAPES, clicks_per_image=clicks), scores=None)
    usual = {"pseudo_classes": "labelled", "soft": False, "threshold": 0.0, "protocol": str(Protocol("multi-scale"))}
    source = {"source_command": "points", "source_settings": {"clicks_per_image": clicks}}
    settings = {"checkpoint": "../stage-1/weights.safetensors", **source, **usual, **made}
    labels = empty_manifest(folder / "labels", CITYSCAPES, PSEUDO_LABELS, **settings)
    write_run(folder / "stage-2", labels, loss=SEG)


def test_published_numbers_of_stages_stand_beside_labels_made_as_theirs(tmp_path: Path) -> None:
    others = {"all": {"pseudo_classes": "all"}, "soft": {"soft": True}, "sure": {"threshold": 0.5},
              "whole": {"protocol": "whole image, single scale"},
              "crf": {"protocol": f"{Protocol('multi-scale', crf=True)}"}}  # fmt: skip
    write_stages(tmp_path / "usual", 20)
    for name, made in others.items():
        write_stages(tmp_path / name, 20, **made)
        table = ablation_table(read_runs([tmp_path / "usual/stage-2", tmp_path / name / "stage-2"]))
        assert len(table.rows) == 2 and table.header[2] == "published"
        assert sorted(row[2] is None for row in table.rows) == [False, True]
        (row,) = (row for row in table.rows if row[2] is not None)
        usual = {"all": "labelled", "soft": "no soft", "sure": "0.0", "whole": "multi-scale", "crf": "too)"}[name]
        assert row[2] == 66.5 and usual in str(row[0])
        assert LABELS_AS_PUBLISHED in table.notes[-1]
        alone = ablation_table(read_runs([tmp_path / name / "stage-2"]))
        assert "published" not in alone.header and not alone.notes
    usual_alone = ablation_table(read_runs([tmp_path / "usual/stage-2"]))
    assert usual_alone.rows[0][2] == 66.5 and len(usual_alone.notes) == 1


def test_labels_are_made_as_the_published_ones_or_not_for_each_annotation(tmp_path: Path) -> None:
    write_stages(tmp_path / "20", 20)
    write_stages(tmp_path / "50", 50, pseudo_classes="all")
    table = ablation_table(read_runs([tmp_path / "20/stage-2", tmp_path / "50/stage-2"]))
    assert table.header == ("loss", "20 clicks", "published", "difference", "50 clicks")
    assert [row[2] for row in table.rows] == [66.5]


def test_lambda_of_a_later_stage_is_not_the_published_one(tmp_path: Path) -> None:
    voc = known_label_space("pascal_voc")
    write_run(tmp_path / "stage-1", empty_manifest(tmp_path, voc, "scribbles"), scores=None)
    labels = empty_manifest(
        tmp_path / "labels", voc, PSEUDO_LABELS, checkpoint="../stage-1/weights.safetensors", source_command="scribbles"
    )
    write_run(tmp_path / "stage-2", labels, loss=SEG)
    assert lambda_table(read_runs([tmp_path / "stage-2"])).header == ("weight", "scribbles")


def test_lambda(tmp_path: Path) -> None:
    voc = known_label_space("pascal_voc")
    manifest = empty_manifest(tmp_path, voc, "scribbles")
    for value in (0.5, 1.0, 3.0):
        write_run(tmp_path / f"l{value}", manifest, lambda_=value)
    write_run(tmp_path / "seg", manifest, loss=SEG)
    table = lambda_table(read_runs(sorted(p for p in tmp_path.iterdir() if p.is_dir())))
    assert table.header == ("weight", "scribbles", "published", "difference")
    assert [(row[0], row[2]) for row in table.rows] == [
        ("lambda = 0.5", 75.9), ("lambda = 1.0", 76.4), ("lambda = 0.0", None), ("lambda = 3.0", None),
    ]  # fmt: skip


def test_full_masks_have_a_column_of_their_own(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=20)
    write_run(tmp_path / "full", manifest, supervision="full", scores=0.9, loss=SEG)
    write_run(tmp_path / "seg", manifest, scores=0.4, loss=SEG)
    table = ablation_table(read_runs([tmp_path / "full", tmp_path / "seg"]))
    assert table.header == ("loss", "20 clicks", "published", "difference", "full masks")
    ((name, clicks, _, _, full),) = table.rows
    assert isinstance(clicks, Scores) and isinstance(full, Scores) and name == "L_seg"
    assert (clicks.mean, full.mean) == pytest.approx((iou(0.4), iou(0.9)))


def test_budget_shares_of_full_supervision(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=50)
    write_run(tmp_path / "full", manifest, scores=0.9, supervision="full")
    write_run(tmp_path / "some", manifest, scores=0.6)
    write_run(tmp_path / "lost", manifest, scores=0.5)
    work = {"full": Work(10, None, 90.0), "some": Work(10, 50.0, 1.5), "lost": None}
    runs = read_runs([tmp_path / name for name in work], list(work))
    table = budget_table(budgets_of_runs(runs, lambda run: work[run.name]))
    assert [row[0] for row in table.rows] == ["some", "full", "lost"]
    some = table.rows[0]
    assert some[1] == "50 clicks" and some[3:6] == (50.0, "1.50", "0.25")
    assert isinstance(some[6], Scores) and some[6].values == pytest.approx((iou(0.6),))
    assert some[7] == pytest.approx(100 * iou(0.6) / iou(0.9))
    assert table.rows[1][3:6] == (None, "90.00", "15.00") and table.rows[1][7] == 100
    assert table.rows[2][3:6] == (50.0, None, None)  # its name says how many
    assert len(table.notes) == 1
    alone = budget_table(budgets_of_runs(runs[1:], lambda run: work[run.name]))
    assert alone.rows[0][7] is None and "--supervision full" in alone.notes[1]


def test_seeds_share_a_row_of_the_budget(tmp_path: Path) -> None:
    for clicks, right in ((20, 0.4), (50, 0.6)):
        manifest = empty_manifest(tmp_path, CITYSCAPES, clicks_per_image=clicks)
        for seed in (0, 1):
            write_run(tmp_path / f"{clicks}-{seed}", manifest, scores=right + seed / 10, seed=seed)
    for seed in (0, 1):
        write_run(tmp_path / f"full-{seed}", manifest, scores=0.8 + seed / 10, supervision="full", seed=seed)
    runs = read_runs(sorted(path for path in tmp_path.iterdir() if (path / "run.json").is_file()))
    table = budget_table(budgets_of_runs(runs, lambda run: Work(10, None, 90.0 if run.is_full else 1.0)))
    full = (iou(0.8) + iou(0.9)) / 2
    for row, name, right in zip(table.rows, ("20 clicks", "50 clicks", "full masks"), (0.4, 0.6, 0.8), strict=True):
        assert (row[0], row[1]) == (name, name) and isinstance(row[6], Scores)
        assert row[6].values == pytest.approx((iou(right), iou(right + 0.1)))
        assert row[7] == pytest.approx(100 * row[6].mean / full)
    assert any(note.startswith("±") for note in table.notes)
