import itertools
import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import write_manifest
from data_manifests.errors import DataError
from data_manifests.manifest.derive import subset_manifest
from sparsekit.audit.compare import (
    MEASURES,
    Comparison,
    format_comparison,
    images_in_both,
    measure_map,
    measure_maps,
    skeleton_length,
    sparse_maps,
    stroke_width,
)
from sparsekit.errors import AnnotationError
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, VOID, letters, tiny_manifest


def drawn(points, width, shape=(120, 160)):
    """A stroke with round ends, drawn pixel by pixel: those at most half the width from the polyline."""
    rows, cols = np.indices(shape)
    mask = np.zeros(shape, bool)
    for (r0, c0), (r1, c1) in itertools.pairwise(points):
        length2 = max((r1 - r0) ** 2 + (c1 - c0) ** 2, 1)
        t = np.clip(((rows - r0) * (r1 - r0) + (cols - c0) * (c1 - c0)) / length2, 0, 1)
        mask |= np.hypot(rows - r0 - t * (r1 - r0), cols - c0 - t * (c1 - c0)) <= width / 2
    return mask


@pytest.mark.parametrize("width", [1, 3, 5, 9])
@pytest.mark.parametrize(
    "points", [[(60, 20), (60, 130)], [(20, 80), (100, 80)], [(20, 20), (100, 100)], [(30, 20), (80, 70), (40, 130)]],
    ids=["across", "down", "diagonal", "bent"],
)  # fmt: skip
def test_length_and_width_of_drawn_strokes(points, width):
    mask = drawn(points, width)
    length = sum(math.dist(a, b) for a, b in itertools.pairwise(points))
    measured = skeleton_length(mask)
    assert measured == pytest.approx(length, rel=0.09, abs=width)
    # Pixels of a diagonal stroke stick out by up to a quarter of a pixel on each side.
    assert stroke_width(mask.sum(), measured) == pytest.approx(width, rel=0.15, abs=0.55)


def test_length_counts_steps():
    assert skeleton_length(letters("1.", ".1") == 1) == math.sqrt(2)
    assert skeleton_length(np.ones((1, 6), bool)) == 5
    assert skeleton_length(np.ones((1, 1), bool)) == 0
    cross = np.zeros((9, 9), bool)
    cross[4], cross[:, 4] = True, True
    assert skeleton_length(cross) == 16  # no diagonal steps beside the straight ones


def test_no_stroke_is_straighter_than_a_line():
    blob = np.zeros((9, 14), np.uint8)
    blob[2:7, 2:10] = 1  # its skeleton is much shorter than it
    (straightness,) = measure_map(blob, None, 0)["stroke_straightness"]
    assert straightness == 1


def test_width_of_a_dot_is_its_diameter():
    disc = drawn([(60, 60), (60, 60)], 9)
    assert stroke_width(disc.sum(), 0) == pytest.approx(9, abs=0.5)


def test_a_map_worked_out_by_hand():
    sparse = letters(
        "0000....",
        "........",
        "1..1..1.",
        ".1.1....",
        "........",
        "........",
    )
    full = letters(
        "0000.222",
        "00000222",
        "11011122",
        "11111122",
        "11111122",
        "11111122",
    )
    values = measure_map(sparse, full, VOID)
    assert values["image_labelled"] == [9 / 48]
    assert values["classes_labelled"] == [2]
    assert values["strokes_per_class"] == [1, 3]
    # Strokes of class 1: two pixels over a corner, two above each other, a single one.
    extents = [math.hypot(3, 0), math.hypot(1, 1), 1, 0]
    assert sorted(values["stroke_extent"]) == pytest.approx(sorted(e / 10 for e in extents))
    assert values["stroke_straightness"] == [1.0, pytest.approx(1), 1.0]
    assert values["class_labelled"] == [4 / 10, 4 / 23]
    assert values["classes_reached"] == [2 / 3]
    assert values["off_class"] == [pytest.approx(1 / 9)]  # the click in the top right is on class 2
    assert values["on_void"] == [0]


def test_labels_on_void_are_off_class():
    values = measure_map(letters("00"), letters("0."), VOID)
    assert (values["off_class"], values["on_void"]) == ([0.5], [0.5])


def test_labels_of_the_value_of_void_are_on_void():
    values = measure_map(np.array([[VOID, 0, 4]], np.uint8), np.array([[VOID, 0, 0]], np.uint8), 4)
    assert (values["on_void"], values["classes_reached"], values["class_labelled"]) == ([0.5], [1.0], [0.5])


def test_an_empty_map_has_no_strokes():
    values = measure_map(letters("...."), letters("0011"), VOID)
    assert values["image_labelled"] == [0] and values["classes_reached"] == [0]
    assert not values["stroke_width"] and not values["off_class"] and not values["class_labelled"]


def test_human_scribbles_of_pascal_voc():
    """The figures measured independently and kept beside the sample."""
    folder = real_data("sparse_samples")
    voc = folder / "scribblesup_voc"
    known = json.loads((folder / "stats.json").read_text())["scribblesup_voc"]
    names, maps = sparse_maps(voc / "scribbles", masks_dir=voc / "masks")
    values = measure_maps(maps)
    assert len(names) == 2
    images = [row["total_labelled_frac"] for row in known if "total_labelled_frac" in row]
    assert values["image_labelled"] == pytest.approx(images, abs=1e-4)
    classes = [row for row in known if "comps" in row]
    assert values["strokes_per_class"] == [row["comps"] for row in classes]
    longest = iter(values["stroke_extent"])
    for row in classes:
        extents = [next(longest) for _ in range(row["comps"])]
        assert max(extents) == pytest.approx(row["diag"], abs=0.01)
    right = [sum(r["px"] * r["agree"] for r in classes if r["image"] == i) for i in ("2007_000032", "2007_000033")]
    total = [sum(r["px"] for r in classes if r["image"] == i) for i in ("2007_000032", "2007_000033")]
    assert values["off_class"] == pytest.approx([1 - r / t for r, t in zip(right, total, strict=True)], abs=1e-3)
    assert np.median(values["stroke_width"]) == pytest.approx(3, abs=0.2)


def test_human_scribbles_of_heart_images():
    names, maps = sparse_maps(real_data("sparse_samples") / "acdc", unlabelled=4)
    values = measure_maps(maps, workers=2)
    assert len(names) == len(values["image_labelled"]) == 390
    assert np.median(values["stroke_width"]) == pytest.approx(1.2, abs=0.2)
    assert np.median(values["strokes_per_class"]) == 1


def test_manifest_and_folder_of_the_same_maps_measure_alike(tmp_path):
    manifest = tiny_manifest(tmp_path)
    of_manifest = measure_maps(sparse_maps(manifest.path)[1])
    names, maps = sparse_maps(tmp_path / "sparse", masks_dir=tmp_path / "data/masks")
    assert names == sparse_maps(manifest.path)[0] == ["image_0", "image_1"]
    assert measure_maps(maps) == of_manifest
    assert of_manifest["off_class"] == [0, 0]
    without_masks = measure_maps(sparse_maps(tmp_path / "sparse")[1])
    assert not without_masks["off_class"] and without_masks["stroke_width"] == of_manifest["stroke_width"]


def test_a_manifest_without_full_masks_can_be_measured(tmp_path):
    manifest = tiny_manifest(tmp_path)
    rows = tuple(replace(row, full_mask="") for row in manifest.rows)
    write_manifest(replace(manifest, rows=rows))
    values = measure_maps(sparse_maps(tmp_path)[1])
    assert values["image_labelled"] == [2 / 64] * 2 and not values["off_class"]


def test_medians_and_ratios():
    empty = {name: [] for name in MEASURES}
    ours = {**empty, "image_labelled": [0.01, 0.02, 0.06], "stroke_width": [3.0]}
    human = {**empty, "image_labelled": [0.04], "off_class": [0.1]}
    comparison = Comparison(("a", "b"), (["x", "y", "z"], ["w"]), (ours, human))
    rows = {row["measure"]: row for row in comparison.rows()}
    assert rows["image_labelled"]["ours"] == pytest.approx([0.012, 0.02, 0.052])
    assert rows["image_labelled"]["ratio"] == 0.5
    assert rows["stroke_width"]["human"] is None and rows["stroke_width"]["ratio"] is None
    assert set(rows) == {"image_labelled", "stroke_width", "off_class"}
    lines = format_comparison(comparison).splitlines()
    assert lines[1].split()[3:] == ["2.00", "(1.20..5.20)", "4.00", "(4.00..4.00)", "0.50"]


@pytest.mark.parametrize(
    ("ours", "theirs", "common", "said"),
    [
        (["a", "b"], ["b", "a"], 2, "Both contain the same images."),
        (["a", "b", "c"], ["b", "d"], 1, "1 image is in both"),
        (["a", "b"], ["a", "b", "c"], 2, "2 images are in both"),
        (["a"], ["b"], 0, "No image is in both"),
        (["train/a", "val/b"], ["a", "b", "c"], 2, "2 images are in both"),  # files of a folder
        (["a", "c"], ["train/a"], 1, "1 image is in both"),
        (["train/a"], ["val/a"], 0, "No image is in both"),
    ],
)
def test_images_in_both_are_counted(ours, theirs, common, said):
    comparison = Comparison(("a", "b"), (ours, theirs), ({name: [1.0] for name in MEASURES},) * 2)
    assert comparison.to_dict()["num_images_in_both"] == common
    assert format_comparison(comparison).splitlines()[-1].startswith(said)


class TestBadInput:
    def test_the_wrong_unlabelled_value(self, tmp_path):
        Image.fromarray(letters("0044").clip(0, 4)).save(tmp_path / "a.png")
        with pytest.raises(AnnotationError, match=r"no pixel has the unlabelled value 255; its values are 0, 4"):
            measure_maps(sparse_maps(tmp_path)[1])

    def test_a_mask_of_another_size(self, tmp_path):
        for name, lines in (("maps", ["0."]), ("masks", ["00", "00"])):
            (tmp_path / name).mkdir()
            Image.fromarray(letters(*lines)).save(tmp_path / name / "a.png")
        with pytest.raises(AnnotationError, match=r"full mask is 2x2 .* is 2x1"):
            measure_maps(sparse_maps(tmp_path / "maps", masks_dir=tmp_path / "masks")[1])

    def test_a_missing_mask(self, tmp_path):
        tiny_manifest(tmp_path)
        (tmp_path / "data/masks/image_1.png").unlink()
        with pytest.raises(AnnotationError, match="no full mask for image_1"):
            sparse_maps(tmp_path / "sparse", masks_dir=tmp_path / "data/masks")

    def test_full_masks_beside_the_sparse_ones(self, tmp_path):
        for name in ("masks", "scribbles"):
            (tmp_path / name).mkdir()
            Image.fromarray(letters("0.")).save(tmp_path / name / "a.png")
        with pytest.raises(AnnotationError, match="several files of one image .*masks/a.png and .*scribbles/a.png"):
            sparse_maps(tmp_path)

    @pytest.mark.parametrize("name", ["none", "empty"])
    def test_nothing_there(self, tmp_path, name):
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=name):
            sparse_maps(tmp_path / name)


class TestCommand:
    def run(self, *arguments: object):
        return CliRunner().invoke(main, ["compare", *map(str, arguments)])

    def test_table_and_json(self, tmp_path):
        tiny_manifest(tmp_path)
        arguments = [tmp_path, tmp_path / "sparse", "--masks", tmp_path / "data/masks"]
        result = self.run(*arguments)
        assert result.exit_code == 0, result.output
        lines = result.stdout.splitlines()
        assert lines[0].endswith("ratio") and "sparse (2 images)" in lines[0]
        assert lines[1].split()[-1] == "1.00"
        printed = json.loads(self.run(*arguments, "--workers", 2, "--json").stdout)
        assert printed["ours"]["num_images"] == printed["human"]["num_images"] == printed["num_images_in_both"] == 2
        assert lines[-1] == "Both contain the same images."
        assert printed["measures"]["image_labelled"]["ours"] == [2 / 64] * 3
        assert printed["measures"]["image_labelled"]["ratio"] == 1

    def test_masks_for_a_manifest_are_refused(self, tmp_path):
        tiny_manifest(tmp_path)
        result = self.run(tmp_path / "sparse", tmp_path, "--masks", tmp_path / "data/masks")
        assert result.exit_code == 2 and "with full masks of its own; --masks is for folders" in result.stderr

    def test_a_missing_folder(self, tmp_path):
        tiny_manifest(tmp_path, [SCENE])
        result = self.run(tmp_path, tmp_path / "none")
        assert result.exit_code == 1
        assert "expected a manifest.csv or a folder of label maps" in result.stderr


def test_strokes_crossing_count_as_one():
    sparse = np.full((40, 40), VOID, np.uint8)
    cv2.line(sparse, (5, 5), (35, 35), 1, 3)
    cv2.line(sparse, (35, 5), (5, 35), 1, 3)
    assert measure_map(sparse, None, VOID)["strokes_per_class"] == [1]


def test_common_images_alone(tmp_path: Path) -> None:
    """`--common` measures what both sets hold, also where one is a folder of files named by the end of the ids."""
    whole = tiny_manifest(tmp_path / "whole", [SCENE, SCENE.T, SCENE[::-1]])
    derived = subset_manifest(whole, tmp_path / "part", image_ids=["image_1"])
    derived.write()

    def run(*words: object) -> dict[str, Any]:
        result = CliRunner().invoke(main, ["compare", "--json", *map(str, words)])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    apart = run(tmp_path / "whole", tmp_path / "part")
    assert (apart["ours"]["num_images"], apart["num_images_in_both"]) == (3, 1)
    alike = run(tmp_path / "whole", tmp_path / "part", "--common")
    assert [alike[side]["num_images"] for side in ("ours", "human")] == [1, 1]
    assert alike["measures"] == run(tmp_path / "part", tmp_path / "part")["measures"]
    (tmp_path / "folder").mkdir()
    shutil.copy(tmp_path / "whole/sparse/image_2.png", tmp_path / "folder/image_2.png")
    assert run(tmp_path / "whole", tmp_path / "folder", "--common")["ours"]["num_images"] == 1
    assert images_in_both(["t/a", "t/b"], ["b", "c"]) == ({"t/b"}, {"b"})
    assert images_in_both(["a"], ["b"]) == (set(), set())
