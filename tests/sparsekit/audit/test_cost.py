import json
import math
from dataclasses import replace

import pytest
from click.testing import CliRunner

from cli.sparsekit_cli import main
from data_manifests import Mark, write_manifest
from sparsekit.audit.cost import annotation_cost, format_costs
from sparsekit.audit.cost_model import CostModel, read_cost_model
from sparsekit.errors import AnnotationError
from tests.sparsekit.conftest import SCENE, letters, numbered_space, tiny_manifest


def click_(class_id: int, col: int) -> Mark:
    return Mark("click", class_id, 0, col)


def stroke(class_id: int) -> Mark:
    return Mark("stroke", class_id, 0, 0, ((0, 0), (0, 3)), (1, 1))


def test_first_and_further_clicks_of_a_class_differ(tmp_path):
    marks = [[click_(0, 0), click_(0, 1), click_(0, 2), click_(1, 5)], []]
    cost = annotation_cost(tiny_manifest(tmp_path / "demo", [SCENE] * 2, marks))
    # Image 0: one absent class of three, two first clicks, two further; image 1: three absent classes.
    assert cost.counts == {"image": 2, "class": 4, "click": 2, "further_click": 2}
    assert cost.total_seconds == pytest.approx(4 * 1.0 + 2 * 2.4 + 2 * 0.9)
    assert (cost.name, cost.num_images, cost.full_mask_seconds) == ("demo", 2, None)


@pytest.mark.parametrize(
    ("make", "seconds_on_voc"), [(lambda k: click_(k, k), 22.1), (stroke, 34.9)], ids=["points", "squiggles"]
)
def test_the_model_gives_the_times_published_for_voc(tmp_path, make, seconds_on_voc):
    # 20 classes, of which 1.5 in an image on average, with one mark each: Bearman et al. 2016.
    manifest = tiny_manifest(tmp_path, [SCENE] * 2, [[make(0)], [make(0), make(1)]], label_space=numbered_space(20))
    assert annotation_cost(manifest).total_seconds / 2 == pytest.approx(seconds_on_voc, abs=0.06)


def test_every_kind_of_mark_has_its_time(tmp_path):
    kinds = ["click", "stroke", "block", "box", "polygon"]
    marks = [Mark(kind, 0, 0, 0, ((0, 0), (0, 3)), (1, 1)) for kind in kinds]
    model = CostModel(10_000, 1000, 1, 0, 2, 4, 8, 16)
    manifest = tiny_manifest(tmp_path, [SCENE], [marks])
    assert annotation_cost(manifest, model).total_seconds == 10_000 + 2 * 1000 + 31


def test_full_masks_of_known_label_spaces(tmp_path):
    from data_manifests import known_label_space

    manifest = tiny_manifest(tmp_path, label_space=known_label_space("cityscapes"))
    data = annotation_cost(manifest).to_dict()
    assert data["full_mask_minutes_per_image"] == 90.0
    assert data["full_mask_hours"] == 3.0
    assert data["full_mask_ratio"] == pytest.approx(5400 / (17 * 1.0 + 2 * 2.4))
    own = annotation_cost(manifest, CostModel(seconds_per_full_mask=60)).to_dict()
    assert own["full_mask_minutes_per_image"] == 1.0


def test_a_free_annotation_has_no_ratio(tmp_path):
    model = CostModel(*[0.0] * 8, seconds_per_full_mask=100)
    data = annotation_cost(tiny_manifest(tmp_path), model).to_dict()
    assert data["hours"] == 0 and data["full_mask_ratio"] is None


@pytest.mark.parametrize("seconds", [-1, math.nan, math.inf])
def test_impossible_seconds(seconds):
    with pytest.raises(ValueError, match=f"seconds_per_box must be at least 0, got {seconds}"):
        CostModel(seconds_per_box=seconds)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])  # some editors put a mark of the encoding first
def test_reading_a_model(tmp_path, encoding):
    path = tmp_path / "model.toml"
    path.write_text("seconds_per_click = 3\nseconds_per_full_mask = 600.5\n", encoding=encoding)
    assert read_cost_model(path) == CostModel(seconds_per_click=3, seconds_per_full_mask=600.5)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seconds_per_clik = 3", "unknown key 'seconds_per_clik'. Choose from: seconds_per_image"),
        ("seconds_per_click = '3'", "seconds_per_click must be a number of seconds, got '3'"),
        ("seconds_per_click = true", "must be a number of seconds, got True"),
        ("seconds_per_click = -3", "seconds_per_click must be at least 0, got -3"),
        ("seconds_per_click =", "not a TOML file"),
    ],
)
def test_bad_models_are_reported(tmp_path, text, problem):
    path = tmp_path / "model.toml"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=rf"model.toml: .*{problem}".replace("(", r"\(")):
        read_cost_model(path)


class TestCommand:
    def run(self, *arguments: object):
        return CliRunner().invoke(main, ["cost", *map(str, arguments)])

    def test_table_and_json(self, tmp_path):
        first, second = tiny_manifest(tmp_path / "a"), tiny_manifest(tmp_path / "b", num_val=1)
        result = self.run(first.path, second.path, "--seconds-per-full-mask", 600)
        assert result.exit_code == 0, result.output
        model = CostModel(seconds_per_full_mask=600)
        costs = [annotation_cost(first, model), annotation_cost(second, model)]
        assert result.stdout == format_costs(costs) + "\n"
        # One absent class and two first clicks in each image: 5.8 s.
        assert result.stdout.splitlines()[1].split() == ["a", "2", "0.10", "0.0032", "10.00", "0.33", "103.4"]
        printed = json.loads(self.run(first.path, "--seconds-per-full-mask", 600, "--json").stdout)
        assert printed == [costs[0].to_dict()]

    def test_one_split(self, tmp_path):
        manifest = tiny_manifest(tmp_path, [SCENE] * 3)
        first, *others = manifest.rows
        write_manifest(replace(manifest, rows=(replace(first, split="val"), *others)))
        for split, num_images in (("val", 1), ("train", 2)):
            (cost,) = json.loads(self.run(manifest.path, "--split", split, "--json").stdout)
            assert (cost["num_images"], cost["seconds"]["click"]) == (num_images, pytest.approx(4.8 * num_images))

    def test_options_go_before_the_file(self, tmp_path):
        manifest = tiny_manifest(tmp_path)
        model = tmp_path / "model.toml"
        model.write_text("seconds_per_click = 100\nseconds_per_class = 50")
        result = self.run(manifest.path, "--model", model, "--seconds-per-click", 7, "--json")
        assert json.loads(result.stdout)[0]["seconds"] == {"image": 0.0, "class": 100.0, "click": 28.0}

    def test_unknown_cost_of_full_masks_is_said(self, tmp_path):
        result = self.run(tiny_manifest(tmp_path).path)
        assert result.exit_code == 0
        assert "full masks" not in result.stdout
        assert "give --seconds-per-full-mask" in result.stderr

    def test_help_names_the_defaults(self):
        help_ = " ".join(self.run("--help").stdout.split())
        assert "[default: 2.4]" in help_ and "5400 for cityscapes" in help_

    def test_missing_marks(self, tmp_path):
        manifest = tiny_manifest(tmp_path)
        manifest.marks_path.unlink()
        result = self.run(manifest.path)
        assert result.exit_code == 1
        assert "manifest.csv: has no marks" in result.stderr

    @pytest.mark.parametrize("seconds", [-1, "nan", "inf"])
    def test_impossible_seconds_are_wrong_usage(self, tmp_path, seconds):
        result = self.run(tmp_path, "--seconds-per-click", seconds)
        assert result.exit_code == 2 and "Error" in result.stderr


def test_painted_label_maps_cost_what_their_patches_do(tmp_path):
    painted = letters("000.1...", "..0.1.0.", "....1...", "........", "22......", "........", "..1.....", "........")
    manifest = tiny_manifest(tmp_path / "m", [SCENE], [[]], sparse_maps=[painted], command="import")
    manifest.marks_path.unlink()
    cost = annotation_cost(manifest)
    assert dict(cost.counts) == {"image": 1, "click": 2, "stroke": 3}
    with pytest.raises(AnnotationError, match="has no marks file"):
        annotation_cost(replace(manifest, info=replace(manifest.info, command="pseudo-labels")))
