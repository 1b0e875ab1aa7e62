from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agmm.report.run_names import folder_names
from agmm.report.runs import read_runs
from tests.agmm.conftest import tiny_label_space
from tests.agmm.report.written_runs import SEG, empty_manifest, write_run

SPACE = tiny_label_space()


def test_names_are_as_short_as_they_can_be() -> None:
    paths = [Path("x/a/seed-0"), Path("x/b/seed-0"), Path("x/b/seed-1")]
    assert folder_names(paths) == ["a/seed-0", "b/seed-0", "b/seed-1"]
    assert folder_names(paths[1:]) == ["seed-0", "seed-1"]


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
        ([{"loss_kind": "seg"}, {"loss_kind": "seg", "lambda_": 0.5, "preset": "released"}], ["a", "b"]),
        ([{"loss_kind": "seg", "preset": "released"}, {}], ["L_seg", "AGMM"]),
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


def test_no_run_is_called_as_the_folder_of_another(tmp_path: Path) -> None:
    manifest = empty_manifest(tmp_path, SPACE)
    paths = [write_run(tmp_path / name, manifest, scores=None) for name in ("L_seg", "b")]
    paths.append(write_run(tmp_path / "c", manifest, scores=None, loss=SEG))
    assert [run.name for run in read_runs(paths)] == ["L_seg", "b", "c"]
