from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agmm.config.training import TrainConfig
from agmm.studies.paper_tables import TABLES
from agmm.studies.results import _COLUMNS, annotation_names, format_report, read_results, write_results
from agmm.studies.study import Setting, Study
from data_manifests import Manifest, ManifestInfo, ManifestRow, known_label_space


def tiny_info(folder: str = "m", command: str = "", **settings: Any) -> Manifest:
    info = ManifestInfo(known_label_space("cityscapes"), command=command, settings=settings)
    return Manifest(Path(folder) / "manifest.csv", (), info)


def test_rows_are_compared_with_the_baseline_seed_by_seed() -> None:
    scores = {
        "base": (0.40, 0.42, 0.41), "better": (0.45, 0.47, 0.46), "pair": (0.45, 0.47), "luck": (0.43, 0.40, 0.42),
        "hair": (0.3999, 0.42, 0.41), "top": (0.50, 0.52),
    }  # fmt: skip
    study = Study("", tuple(map(Setting, scores)), baseline="base", ceiling="top")
    rows = [
        {
            "annotation": "20 clicks",
            "setting": name,
            "miou": str(v),
            "seed": str(seed),
            "split": "test",
            "protocol": "w",
        }
        for name, values in scores.items()
        for seed, v in enumerate(values)
    ]
    report = format_report(
        study, [tiny_info(clicks_per_image=20), tiny_info("b", clicks_per_image=5)], rows, TrainConfig()
    )
    compared = report.split("Gain over base")[1].split("Changes in each row")[0]
    gains, shares = compared.split("Share of the gap between base and top")
    assert "| better | +5.0 ± 0.0 |  |" in gains and "| luck | (+0.7 ± 2.5) |  |" in gains
    assert "| pair | (+5.0 ± 0.0) |  |" in gains  # two seeds are too few to say so
    assert "| better | 50 |  |" in shares and "| luck | (7) |  |" in shares
    assert "| hair | (-0.0 ± 0.0) |" not in gains and "| hair | (0) |  |" in shares  # zero has no sign
    assert "| top |" not in gains + shares


def test_the_report_says_what_each_row_changes() -> None:
    study = Study(
        "t",
        (
            Setting("base"), Setting("stopped", {"loss": {"stop_gradient": True}, "lambda": 0.5, "crop_size": [9, 8]}),
            Setting("MT", stages=2, pseudo_classes="all", soft=True),
        ),
    )  # fmt: skip
    report = format_report(study, [tiny_info(clicks_per_image=20)], [], TrainConfig(epochs=7))
    changes, found, shared = report.partition("Settings shared by all rows, apart from these changes and the seed:")
    assert "| base | nothing |" in changes
    assert "| stopped | lambda = 0.5, crop_size = [9, 8], loss.stop_gradient = true |" in changes
    assert '| MT | stages = 2, pseudo_classes = "all", soft = true |' in changes
    assert found and "epochs = 7" in shared and "stopped" not in shared and "seed =" not in shared


def test_names_do_not_break_the_report() -> None:
    report = format_report(Study("t", (Setting("a | b"),)), [tiny_info(clicks_per_image=20)], [], TrainConfig())
    assert "| a \\| b | nothing |" in report


def official_val(**settings: Any) -> Manifest:
    """A manifest with as many val images as Cityscapes has, and some of another split."""
    splits = ["train"] * 3 + ["val"] * 500
    rows = (ManifestRow(str(i), split, f"{i}.png", "", "", 4, 6) for i, split in enumerate(splits))
    return replace(tiny_info(**settings), rows=tuple(rows))


def test_published_numbers_stand_beside_scores_of_the_official_split_alone() -> None:
    info = official_val(clicks_per_image=20)
    row = {"annotation": "20 clicks", "setting": "L_seg", "seed": "0", "miou": "0.5"}
    row |= {"split": "val", "protocol": "whole"}
    report = format_report(TABLES[2], [info], [row], TrainConfig())
    assert "| setting | 20 clicks | published, cityscapes |" in report
    assert "| L_seg | 50.0 | 53.5 |" in report
    assert "| L_seg + L_self + L_spar + L_con, MT |  | 66.5 |" in report
    assert "on cityscapes val" in report
    others = [replace(info, rows=info.rows[1:-1]), official_val(clicks_per_image=30), tiny_info(clicks_per_image=20)]
    reports = [format_report(TABLES[2], [other], [row], TrainConfig()) for other in others]
    reports.append(format_report(TABLES[2], [info], [row | {"split": "train"}], TrainConfig()))
    assert not [report for report in reports if "published" in report.lower()]


def test_annotations_are_called_by_budget_or_folder() -> None:
    twenty, fifty = tiny_info("a", clicks_per_image=20), tiny_info("b", clicks_per_image=50)
    assert annotation_names([twenty, fifty]) == ["20 clicks", "50 clicks"]
    assert annotation_names([twenty, tiny_info("c", clicks_per_image=20)]) == ["a", "c"]
    assert annotation_names([twenty, tiny_info("strokes", length=0.8)]) == ["20 clicks", "strokes"]
    scribbles = [tiny_info(name, command="scribbles") for name in ("long", "short")]
    assert annotation_names([twenty, scribbles[0]]) == ["20 clicks", "scribbles"]
    assert annotation_names([twenty, *scribbles]) == ["20 clicks", "long", "short"]
    with pytest.raises(ValueError, match="folders named 'a'; rename one"):
        annotation_names([tiny_info("x/a"), tiny_info("y/a")])
    with pytest.raises(ValueError, match="x/a/manifest.csv is given twice"):
        annotation_names([tiny_info("x/a"), twenty, tiny_info("y/../x/a")])


def test_the_report_names_the_loss_that_auto_has_become_on_each_annotation() -> None:
    rows = (ManifestRow("a", "train", "", "", "", 4, 6, num_labelled=1, classes_labelled=(3,)),)
    clicks = [
        replace(tiny_info(name, command="points", **settings), rows=rows)
        for name, settings in (("a", {"clicks_per_class": 1}), ("b", {"clicks_per_image": 5}))
    ]
    study = Study("", (Setting("auto", {"loss_kind": "auto"}), Setting("seg", {"loss_kind": "seg"})))
    report = format_report(study, clicks, [], TrainConfig())
    assert "\nloss_kind auto is presence on 1 click per class, seg on 5 clicks.\n" in report
    assert "loss_kind auto is" not in format_report(Study("", study.settings[1:]), clicks, [], TrainConfig())


def test_columns_are_headed_by_the_annotation_in_words() -> None:
    def head(*manifests: Manifest) -> str:
        return next(
            line for line in format_report(TABLES[1], manifests, [], TrainConfig()).splitlines() if "| set" in line
        )

    one = tiny_info("town-1clicks-per-class", command="points", clicks_per_class=1)
    grown = tiny_info(
        "grown", command="grow", method="superpixels", source_command="points", source_settings={"clicks_per_class": 1}
    )
    other = tiny_info("field-1clicks-per-class", command="points", clicks_per_class=1)
    assert head(one, grown) == "| setting | 1 click per class | 1 click per class grown by superpixels |"
    assert head(one, other) == "| setting | town-1clicks-per-class | field-1clicks-per-class |"
    assert head(tiny_info("made elsewhere")) == "| setting | made elsewhere |"


def test_names_that_a_spreadsheet_would_run_are_text_and_come_back(tmp_path: Path) -> None:
    row = dict.fromkeys(("annotation", "setting", "seed", "run", "split", "protocol", "settings_sha256"), "x")
    row |= {
        "annotation": "=cmd|' /C calc'!A0",
        "setting": "-lambda",
        "miou": "0.5",
        "pixel_accuracy": "0.5",
        "seed": "1",
    }
    write_results(tmp_path / "results.csv", [{name: row.get(name, "") for name in _COLUMNS}])
    text = (tmp_path / "results.csv").read_text()
    assert ",'-lambda" in text and "'=cmd" in text
    assert [key[:2] for key in read_results(tmp_path / "results.csv")] == [(row["annotation"], "-lambda")]
