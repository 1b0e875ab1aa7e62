"""Budgets of minutes and of strokes per image, and strokes that cross borders."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import Manifest, Mark, read_manifest, read_marks
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from data_manifests.files.masks import encode_label_map
from data_manifests.manifest.rows import read_row_annotation, read_row_full_mask
from sparsekit.audit.cost import annotation_cost
from sparsekit.audit.cost_model import CostModel
from sparsekit.randomness import ImageStream
from sparsekit.scribbles.settings import ScribbleSettings
from sparsekit.scribbles.trace import trace_scribbles
from sparsekit.synthesis.annotators import ClickAnnotator, ScribbleAnnotator
from sparsekit.synthesis.timed import TimedAnnotator, num_affordable
from sparsekit.synthesis.verify import verify_manifest
from tests.sparsekit.conftest import numbered_space


def scene(size: int = 160) -> np.ndarray:
    """Twelve squares of three classes on a background."""
    mask = np.zeros((size, size), np.uint8)
    for i in range(12):
        top, left, side = 40 * (i // 4) + 5, 40 * (i % 4) + 5, 16 + i
        mask[top : top + side, left : left + side] = 1 + i % 3
    return mask


def run(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [*map(str, words)])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def town(tmp_path: Path) -> Path:
    for i, mask in enumerate((scene(), scene().T.copy())):
        write_atomically(tmp_path / f"town/images/{i}.png", encode_image(np.zeros((*mask.shape, 3), np.uint8)))
        write_atomically(tmp_path / f"town/masks/{i}.png", encode_label_map(mask, numbered_space(4)))
    classes = "".join(f"class_{i},{i},{40 * i},0,0\n" for i in range(4))
    (tmp_path / "town/classes.csv").write_text("name,id,red,green,blue\n" + classes)
    return tmp_path / "town"


def marks_of(manifest: Manifest) -> list[list[Mark]]:
    return [marks for _, marks in read_marks(manifest.marks_path)]


def seconds_by_hand(marks: list[Mark]) -> float:
    clicked = {mark.class_id for mark in marks if mark.kind == "click"}
    clicks = sum(mark.kind == "click" for mark in marks)
    absent = 4 - len({mark.class_id for mark in marks})
    strokes = sum(mark.kind == "stroke" for mark in marks)
    return absent + 2.4 * len(clicked) + 0.9 * (clicks - len(clicked)) + 10.9 * strokes


@pytest.mark.parametrize("command", ["points", "scribbles"])
def test_minutes_buy_what_cost_says(command: str, town: Path, tmp_path: Path) -> None:
    code, _, err = run(command, town, "--minutes", "0.5,1", "--out", tmp_path / "out")
    assert code == 0, err
    kind = "clicks" if command == "points" else "scribbles80"
    half, whole = (read_manifest(tmp_path / f"out/town-{m}min-{kind}") for m in ("0.5", "1"))
    for manifest, seconds in ((half, 30), (whole, 60)):
        for marks in marks_of(manifest):
            assert seconds_by_hand(marks) <= seconds < seconds_by_hand(marks) + 10.9
        assert annotation_cost(manifest).total_seconds <= 2 * seconds
        assert verify_manifest(manifest) == [] and manifest.info.settings["minutes"] == seconds / 60
    assert all(many[: len(few)] == few for few, many in zip(marks_of(half), marks_of(whole), strict=True))
    if command == "points":
        run("points", town, "--clicks", 200, "--out", tmp_path / "out")
        usual = marks_of(read_manifest(tmp_path / "out/town-200clicks"))
        assert all(many[: len(few)] == few for few, many in zip(marks_of(whole), usual, strict=True))


def test_a_cost_model_of_ones_own(town: Path, tmp_path: Path) -> None:
    (tmp_path / "slow.toml").write_text("seconds_per_click = 10\nseconds_per_further_click = 10\n")
    code, _, _ = run("points", town, "--minutes", 1, "--cost-model", tmp_path / "slow.toml", "--out", tmp_path / "out")
    manifest = read_manifest(tmp_path / "out/town-1min-clicks")
    assert code == 0 and [len(marks) for marks in marks_of(manifest)] in ([5, 5], [6, 6], [5, 6], [6, 5])
    assert verify_manifest(manifest) == []


def test_minutes_that_buy_no_mark_are_no_surprise(town: Path, tmp_path: Path) -> None:
    for command in ("points", "scribbles"):
        code, _, err = run(command, town, "--minutes", 0.0001, "--out", tmp_path / "out")
        assert code == 0 and "no image got a mark" in err


def test_what_minutes_do_not_go_with(town: Path, tmp_path: Path) -> None:
    for words, message in (
        (("points", town, "--minutes", 1, "--clicks", 3), "leave out --clicks"),
        (("points", town, "--minutes", 1, "--strategy", "per-class"), "Minutes need clicks per image"),
        (("points", town, "--cost-model", town / "x.toml"), "--cost-model is for --minutes"),
        (("scribbles", town, "--minutes", 1, "--strokes", 3), "leave out --per and --strokes"),
        (("scribbles", town, "--minutes", 1, "--length", "0.5,1"), "Minutes need one length"),
        (("scribbles", town, "--minutes", "1,1"), "several different ones"),
        (("scribbles", town, "--minutes", 0), "0.0 is not in the range"),
    ):
        code, _, err = run(*words, "--out", tmp_path / "out")
        assert code == 2 and message in err, err
    assert not (tmp_path / "out").exists()


def test_marks_that_cost_less_than_an_absent_class_are_all_affordable() -> None:
    model = CostModel(seconds_per_class=5, seconds_per_click=1, seconds_per_further_click=0)
    clicks = [Mark("click", i % 3, 0, i) for i in range(7)]
    assert num_affordable(clicks, 3, model, 3) == 7  # 15 s for absent classes at first, 3 s in the end
    assert num_affordable(clicks, 3, model, 2.9) == 0 and num_affordable([], 3, model, 60) == 0
    assert TimedAnnotator(ClickAnnotator((1,)), (2.0,), CostModel(seconds_per_further_click=0)).variants()


def test_strokes_per_image_go_to_every_class_first_and_then_to_large_regions(town: Path, tmp_path: Path) -> None:
    for number in (3, 4, 6, 50):
        code, _, err = run("scribbles", town, "--per", "image", "--strokes", number, "--out", tmp_path / "out")
        assert code == 0, err
    sets = [marks_of(read_manifest(tmp_path / f"out/town-scribbles80-{n}strokes")) for n in (3, 4, 6, 50)]
    assert [[len(marks) for marks in one] for one in sets] == [[3, 3], [4, 4], [6, 6], [13, 13]]
    assert all(sorted(mark.class_id for mark in marks) == [0, 1, 2, 3] for marks in sets[1])
    for few, many in pairwise(sets):
        assert all(more[: len(less)] == less for less, more in zip(few, many, strict=True))
    run("scribbles", town, "--out", tmp_path / "out")
    usual = marks_of(read_manifest(tmp_path / "out/town-scribbles80"))
    assert sorted(map(repr, usual[0])) == sorted(map(repr, sets[-1][0]))  # the same strokes, in another order
    assert verify_manifest(read_manifest(tmp_path / "out/town-scribbles80-6strokes")) == []


def test_sloppy_strokes_leave_their_class_and_are_counted(town: Path, tmp_path: Path) -> None:
    code, out, err = run("scribbles", town, "--sloppiness", 0.5, "--out", tmp_path / "out")
    assert code == 0 and "of the labelled pixels lie on another class or void" in out, err
    manifest = read_manifest(tmp_path / "out/town-scribbles80-sloppy50")
    off, labelled = 0, 0
    for row in manifest.rows:
        sparse, full = read_row_annotation(manifest, row), read_row_full_mask(manifest, row)
        wrong = int(((sparse != 255) & (sparse != full)).sum())
        assert dict(row.extra) == {"off_class_pixels": str(wrong)}
        off, labelled = off + wrong, labelled + row.num_labelled
    assert 0.05 < off / labelled < 0.5
    assert manifest.info.settings["sloppiness"] == 0.5 and verify_manifest(manifest) == []
    code, again, _ = run("scribbles", town, "--sloppiness", 0.5, "--out", tmp_path / "out", "--json")
    assert json.loads(again)["results"][0]["num_off_class"] == off
    assert [set(mark.widths) for mark in marks_of(manifest)[0]] == [{5}] * 13


@pytest.mark.parametrize("shares", [[1.0], [0.3, 0.8]])
def test_sloppiness_extends_the_ends_alone_and_stays_in_the_image(shares: list[float]) -> None:
    mask = scene()

    def drawn(**more: float) -> list[list[Mark]]:
        settings = ScribbleSettings(**more)  # type: ignore[arg-type]
        return trace_scribbles(mask, settings, shares, rng=ImageStream(0, "a", "scribbles"))

    for neat, sloppy in zip(drawn(), drawn(sloppiness=2), strict=True):
        for stroke, wild in zip(neat, sloppy, strict=True):
            assert wild.class_id == stroke.class_id and len(stroke.points) <= len(wild.points) <= len(stroke.points) + 2
            assert "".join(map(str, stroke.points)) in "".join(map(str, wild.points))
            assert all(0 <= row < 160 and 0 <= col < 160 for row, col in wild.points)
    assert drawn(sloppiness=2) == drawn(sloppiness=2) != drawn()


def test_neat_strokes_record_what_they_did_before() -> None:
    """Folders of earlier versions stay valid: no new setting, and no new column."""
    ((name, recorded),) = ScribbleAnnotator((0.8,)).variants()
    assert name == "scribbles80"
    assert list(recorded) == ["length", "per", "strokes", "width", "min_area", "wobble", "tolerance"]
