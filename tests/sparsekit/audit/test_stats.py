import csv
import json
import math
import os
import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.measure import label

from cli.sparsekit_cli import main
from data_manifests import ManifestError, Mark, read_manifest
from data_manifests.files.images import read_image_size
from data_manifests.files.masks import encode_label_map
from sparsekit.annotated_images import annotated_images, count_annotated
from sparsekit.audit.stats import AnnotationStats, ClassStats, annotation_stats, measure_image, percentile
from sparsekit.audit.stats_report import check_figure_path, draw_stats, format_stats
from sparsekit.errors import AnnotationError
from tests.helpers.real_data import real_data
from tests.sparsekit.conftest import SCENE, VOID, click_map, letters, numbered_space, tiny_manifest

SPACE = numbered_space(3)


def slow_stats(full, sparse, min_area) -> dict[int, ClassStats]:
    """Every statistic of the two maps, one pixel after the other."""
    found: dict[int, ClassStats] = {}
    height, width = full.shape
    pixels = [(r, c) for r in range(height) for c in range(width)]
    for k in range(3):
        stats = ClassStats()
        regions = label(full == k, connectivity=2)
        reached = set()
        for r, c in pixels:
            stats.pixels += full[r, c] == k
            stats.labelled += sparse[r, c] == k
            stats.off_class += sparse[r, c] == k and full[r, c] != k
            stats.on_void += sparse[r, c] == k and full[r, c] == VOID
            if full[r, c] == k and sparse[r, c] == k:
                reached.add(regions[r, c])
                others = [math.dist((r, c), p) for p in pixels if full[p] != k]
                if others:
                    stats.border[round(10 * min(others))] += 1
        areas = Counter(regions[regions > 0].tolist())
        stats.images = int(stats.pixels > 0)
        stats.images_reached = int(bool(reached))
        stats.regions = sum(area >= min_area for area in areas.values())
        stats.regions_reached = sum(areas[i] >= min_area for i in reached)
        if stats.pixels or stats.labelled:
            found[k] = stats
    return found


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
label_maps = arrays.arrays(np.uint8, shapes, elements=st.sampled_from([0, 1, 2, VOID]))


@settings(max_examples=80)
@given(full=label_maps, data=st.data(), min_area=st.integers(1, 4))
def test_counts_equal_those_of_a_plain_loop(full, data, min_area):
    values = st.sampled_from([0, 1, 2, VOID, VOID, VOID])
    sparse = data.draw(arrays.arrays(np.uint8, full.shape, elements=values))
    keep = data.draw(arrays.arrays(np.bool_, full.shape))
    sparse = np.where(keep, full, sparse)  # mostly on class, some strayed
    assert measure_image(full, sparse, [], SPACE, min_area=min_area) == slow_stats(full, sparse, min_area)


def test_a_scene_worked_out_by_hand():
    marks = [Mark("click", 0, 0, 0), Mark("click", 1, 5, 2), Mark("click", 2, 2, 4)]  # the last lies on void
    found = measure_image(SCENE, click_map(SCENE, marks), marks, SPACE)
    assert found[0] == ClassStats(1, 1, 18, 1, 0, 2, 1, 1, Counter({40: 1}))
    # The class 2 pixel at (5, 6) and row 3 above are 4 and sqrt(5) away, class 0 at (3, 2) is 2 away.
    assert found[1] == ClassStats(1, 1, 44, 1, 0, 1, 1, 1, Counter({20: 1}))
    assert found[2] == ClassStats(1, 0, 1, 1, 1, 1, 0, 1, on_void=1)


def test_regions_touching_at_a_corner_are_one():
    full = letters("01", "10")
    found = measure_image(full, full, [], SPACE)
    assert (found[0].regions, found[1].regions) == (1, 1)


def test_a_class_without_border_has_no_distance():
    full = np.zeros((4, 5), np.uint8)
    assert measure_image(full, full, [], SPACE)[0].border == Counter()


def test_strokes_are_measured_along_their_points():
    bent = Mark("stroke", 1, 0, 0, ((0, 0), (3, 4), (3, 10)), (3, 5, 4))
    dot = Mark("stroke", 1, 6, 6, ((6, 6),), (1,))
    found = measure_image(SCENE, np.full_like(SCENE, VOID), [bent, dot, Mark("click", 1, 0, 5)], SPACE)
    assert found[1].marks == 3
    assert found[1].stroke_length == {110: 1, 0: 1}
    assert found[1].stroke_width == {40: 1, 10: 1}


def test_sixteen_bit_labels():
    full = np.array([[299, 0, 65535]], np.uint16)
    found = measure_image(full, full, [], numbered_space(300))
    assert {k: (s.labelled, s.off_class, s.regions_reached) for k, s in found.items()} == {0: (1, 0, 1), 299: (1, 0, 1)}


@settings(max_examples=50)
@given(values=st.lists(st.integers(0, 300), min_size=1, max_size=30), percent=st.sampled_from([0, 5, 37, 50, 95, 100]))
def test_percentiles_are_numpys_inverted_cdf(values, percent):
    expected = np.percentile(np.array(values) / 10, percent, method="inverted_cdf")
    assert percentile(Counter(values), percent) == expected


def test_no_values_have_no_percentile():
    assert percentile(Counter(), 50) is None


@pytest.mark.parametrize("workers", [1, 2])
def test_images_are_summed(tmp_path, workers):
    manifest = tiny_manifest(tmp_path / "demo", [SCENE, SCENE.T, SCENE], num_val=1)
    done = []
    stats = annotation_stats(manifest, workers=workers, on_image=lambda: done.append(1))
    expected = ClassStats()
    for image in annotated_images(manifest):
        for one in measure_image(image.read_full_mask(), image.read_annotation(), image.marks, SPACE).values():
            expected += one
    assert stats.total == expected
    assert (stats.name, stats.num_images, stats.image_pixels, len(done)) == ("demo", 2, 128, 2)
    # Three classes in two images; class 2 is never clicked.
    assert (stats.total.images, stats.total.images_reached) == (6, 4)
    assert stats.rows()[0]["share_of_image"] == 2 / 128
    assert stats.rows()[2]["border_distance_p50"] is None


def test_clicks_of_the_points_command_are_never_off_class(tmp_path):
    pairs = real_data("camvid")
    out = tmp_path / "sparse"
    arguments = ["points", str(pairs), "--clicks", "50", "--limit", "6", "--out", str(out)]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    stats = annotation_stats(read_manifest(out / "camvid-50clicks"))
    assert stats.num_images == 6
    assert stats.total.marks == stats.total.labelled == 300
    assert stats.total.off_class == 0
    assert 0.5 < stats.total.images_reached / stats.total.images < 1


def test_marks_are_joined_to_their_images(tmp_path):
    manifest = tiny_manifest(tmp_path, [SCENE] * 12)  # image_10 sorts before image_2
    by_id = {image.row.image_id: image for image in annotated_images(read_manifest(manifest.path))}
    assert list(by_id) == sorted(f"image_{i}" for i in range(12))
    assert all(len(image.marks) == 2 for image in by_id.values())


def test_images_without_marks_have_none(tmp_path):
    click = Mark("click", 0, 0, 0)
    manifest = tiny_manifest(tmp_path, [SCENE] * 3, [[], [click], []])
    assert [image.marks for image in annotated_images(manifest)] == [(), (click,), ()]


def test_marks_out_of_order_are_reported(tmp_path):
    manifest = tiny_manifest(tmp_path)
    header, *lines = manifest.marks_path.read_text().splitlines()
    manifest.marks_path.write_text("\n".join([header, *reversed(lines)]) + "\n")
    with pytest.raises(ManifestError, match="image 'image_0' comes after 'image_1'; marks must be sorted"):
        list(annotated_images(manifest))


def test_marks_of_unknown_classes_are_reported(tmp_path):
    manifest = tiny_manifest(tmp_path, [SCENE], [[Mark("click", 7, 0, 0)]], sparse_maps=[SCENE])
    with pytest.raises(ManifestError, match=r"has class 7; the train ids of this manifest are 0\.\.2"):
        list(annotated_images(manifest))


def test_a_manifest_without_annotations_is_reported(tmp_path):
    manifest = tiny_manifest(tmp_path, num_val=2)
    with pytest.raises(ManifestError, match="2 rows of split 'val', but none has an annotation"):
        count_annotated(manifest, "val")


def test_a_mask_of_another_size_is_reported(tmp_path):
    manifest = tiny_manifest(tmp_path)
    (tmp_path / "data/masks/image_1.png").write_bytes(encode_label_map(SCENE[:4], SPACE))
    with pytest.raises(ManifestError, match=r"image_1.png: is 8x4 .* says 8x8"):
        annotation_stats(manifest)


def test_an_image_without_full_mask_is_reported(tmp_path):
    manifest = tiny_manifest(tmp_path)
    rows = (manifest.rows[0], replace(manifest.rows[1], full_mask=""))
    with pytest.raises(AnnotationError, match="image 'image_1' has no full mask"):
        annotation_stats(replace(manifest, rows=rows))


@pytest.mark.parametrize(
    ("full", "regions"),
    [
        (np.indices((400, 500)).sum(0) % 2, 2),  # a checkerboard hangs together over its corners
        ((np.indices((400, 500)) % 2).all(axis=0), 50_001),  # a dot in each block of four, and what surrounds them
    ],
    ids=["checkerboard", "dots"],
)
def test_many_regions(full, regions):
    full = full.astype(np.uint8)
    found = measure_image(full, full, [], SPACE)
    assert sum(stats.regions for stats in found.values()) == regions
    assert sum(stats.regions_reached for stats in found.values()) == regions


def test_labels_off_their_class_cover_none_of_it(tmp_path):
    box = np.ones_like(SCENE)  # as a box over the whole image
    total = annotation_stats(tiny_manifest(tmp_path, [SCENE], [[]], sparse_maps=[box])).rows()[-1]
    assert (total["labelled_pixels"], total["off_class_pixels"]) == (64, 64 - 44)
    assert (total["share_of_annotated"], total["share_of_image"]) == (44 / 63, 1)


def test_bad_minimum_area():
    with pytest.raises(ValueError, match="min_area must be at least 1 pixel, got 0"):
        annotation_stats(None, min_area=0)


def test_the_table_shows_what_was_counted(tmp_path):
    stats = annotation_stats(tiny_manifest(tmp_path / "demo", label_space=numbered_space(4)))
    lines = format_stats(stats).splitlines()
    assert lines[0].startswith("demo: 2 images, 4 marks, 4 labelled pixels (3.1250 % of the images")
    assert lines[1] == "reached: 4 of 6 image-class pairs (66.7 %), 4 of 8 regions (50.0 %)"
    assert lines[2:4] == [
        "off-class pixels: 0; right, of those the full masks annotate: 100.00 %",
        "not in these images: class_3",
    ]
    assert [line.split()[0] for line in lines[6:]] == ["class_0", "class_1", "class_2", "all"]
    assert lines[6].split()[1:] == ["2", "100.0", "2", "2", "5.5556", "0", "100.0", "4", "50.0", "4.0/4.0/4.0"]


def test_the_table_shows_strokes_where_there_are_some(tmp_path):
    stroke = Mark("stroke", 0, 1, 0, ((1, 0), (1, 3)), (3, 3))
    text = format_stats(annotation_stats(tiny_manifest(tmp_path, [SCENE], [[stroke]])))
    assert text.splitlines()[4].endswith("width px")
    assert text.splitlines()[5].split()[-3:] == ["1", "3.0", "3.0"]


class TestCommand:
    def run(self, *arguments: object):
        return CliRunner().invoke(main, ["stats", *map(str, arguments)])

    def test_table_csv_json_and_figure(self, tmp_path: Path):
        first, second = tiny_manifest(tmp_path / "a"), tiny_manifest(tmp_path / "b", num_val=1)
        table, figure = tmp_path / "out" / "stats.csv", tmp_path / "out" / "stats.png"
        result = self.run(first.path, tmp_path / "b", "--csv", table, "--figure", figure)
        assert result.exit_code == 0, result.output
        assert result.stderr == ""
        assert "a: 2 images" in result.stdout and "b: 1 image," in result.stdout
        with table.open() as file:
            rows = list(csv.DictReader(file))
        assert [(row["annotation"], row["class"]) for row in rows[3:5]] == [("a", "all"), ("b", "class_0")]
        assert figure.read_bytes().startswith(b"\x89PNG")
        printed = json.loads(self.run(first.path, second.path, "--json").stdout)
        assert [one["num_images"] for one in printed] == [2, 1]
        assert ["" if v is None else str(v) for v in printed[0]["classes"][0].values()] == list(rows[0].values())

    def test_only_a_table_of_statistics_is_replaced(self, tmp_path: Path):
        manifest = tiny_manifest(tmp_path / "m")
        table = tmp_path / "stats.csv"
        table.touch()  # as mktemp does
        for _ in range(2):
            assert self.run(manifest.path, "--csv", table).exit_code == 0
        for path in (manifest.path, manifest.marks_path):
            before = path.read_bytes()
            result = self.run(manifest.path, "--csv", path)
            assert result.exit_code == 1 and "already exists" in result.stderr
            assert path.read_bytes() == before

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_table_goes_through_a_pipe(self, tmp_path: Path):
        manifest = tiny_manifest(tmp_path / "m")
        pipe, table = tmp_path / "pipe", tmp_path / "stats.csv"
        os.mkfifo(pipe)
        reading = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
        assert self.run(manifest.path, "--csv", pipe).exit_code == 0
        assert self.run(manifest.path, "--csv", table).exit_code == 0
        assert reading.communicate()[0] == table.read_bytes() and pipe.is_fifo()

    def test_annotations_without_marks_have_all_but_the_columns_of_marks(self, tmp_path: Path):
        with_marks = tiny_manifest(tmp_path / "a")
        without = tiny_manifest(tmp_path / "b")
        without.marks_path.unlink()
        table = tmp_path / "stats.csv"
        result = self.run(with_marks.path, without.path, "--csv", table, "--figure", tmp_path / "stats.png")
        assert result.exit_code == 0, result.output
        expected, shown = (text.splitlines() for text in result.stdout.split("\n\nb: "))
        assert shown[0].startswith("2 images, no file of marks, 4 labelled pixels")
        lines = [line.split() for line in expected[4:]]
        assert lines[0][4] == "marks" and [line[:3] + line[4:] for line in lines[1:]] == [
            line.split() for line in shown[5:]
        ]
        with table.open() as file:
            rows = list(csv.DictReader(file))
        one, other = ([row for row in rows if row["annotation"] == name] for name in "ab")
        unknown = {"annotation", "marks", "strokes"}
        for row, without_marks in zip(one, other, strict=True):
            assert without_marks["marks"] == without_marks["strokes"] == ""
            assert {k: v for k, v in row.items() if k not in unknown} == {
                k: v for k, v in without_marks.items() if k not in unknown
            }

    def test_worker_count_changes_nothing(self, tmp_path: Path):
        manifest = tiny_manifest(tmp_path)
        assert self.run(manifest.path).stdout == self.run(manifest.path, "--workers", 2).stdout

    def test_missing_manifest(self, tmp_path: Path):
        result = self.run(tmp_path / "none.csv")
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ") and "no such manifest" in result.stderr

    def test_unknown_split(self, tmp_path: Path):
        result = self.run(tiny_manifest(tmp_path).path, "--split", "test")
        assert result.exit_code == 1
        assert "split 'test' has no rows" in result.stderr

    def test_a_figure_of_unknown_kind_is_refused_before_the_work(self, tmp_path: Path):
        result = self.run(tmp_path / "none.csv", "--figure", "stats.jpg")
        assert result.exit_code == 2
        assert "must end in .png or .pdf, got 'stats.jpg'" in result.stderr


def test_the_figure_is_the_same_each_time(tmp_path):
    stats = [annotation_stats(tiny_manifest(tmp_path / "demo"))]
    for suffix in ("png", "pdf"):
        paths = [tmp_path / f"{i}.{suffix}" for i in range(2)]
        for path in paths:
            draw_stats(stats, path)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_figure_is_as_wide_as_a_page_and_has_a_row_for_each_class_that_occurs(tmp_path):
    def height(num_classes, num_present):
        mask = np.arange(num_present, dtype=np.uint8)[:, None].repeat(8, 1)
        manifest = tiny_manifest(tmp_path / "m", [mask], [[]], label_space=numbered_space(num_classes))
        draw_stats([annotation_stats(manifest)], tmp_path / "one.png")
        height, width = read_image_size(tmp_path / "one.png")
        assert width == 6.9 * 300
        return height

    assert height(8, 8) == height(30, 8) < height(30, 20)


def test_a_class_is_drawn_where_its_numbers_are(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("sparsekit.audit.stats_report.save_figure", lambda figure, path: seen.append(figure))
    classes = {"road": ClassStats(images=4, images_reached=3, pixels=200, labelled=1), "sky": ClassStats(images=2)}
    draw_stats([AnnotationStats("demo", 4, 1000, classes)], tmp_path / "x.png")
    pixels, images, regions = seen[0].axes[:3]
    dots = [[xy for line in axes.lines for xy in line.get_xydata().tolist()] for axes in (pixels, images, regions)]
    # No label on the sky: no dot on the logarithmic axis. No regions: no share of them.
    assert dots == [[[0.5, 0.0]], [[75.0, 0.0], [0.0, 1.0]], []]
    assert pixels.get_xscale() == "log" and images.get_xlim() == (0, 100)
    assert [label.get_text() for label in pixels.get_xticklabels()] == ["0.1", "1"]
    assert [label.get_text() for label in pixels.get_yticklabels()] == ["road", "sky"]


def test_long_names_leave_room_for_the_figure(tmp_path):  # matplotlib would warn, and draw nothing but names
    stats = AnnotationStats(
        "x" * 250, 1, 9, {"y" * 3000: ClassStats(images=1, labelled=1, pixels=9), "z": ClassStats()}
    )
    draw_stats([stats] * 3, tmp_path / "long.png")


def test_right_labels_are_a_share_of_those_on_classes():
    stats = AnnotationStats("a", 1, 100, {"road": ClassStats(labelled=10, off_class=4, on_void=2)})
    assert stats.rows()[0]["share_right"] == 6 / 8


def test_a_figure_of_nothing_can_be_drawn(tmp_path):
    draw_stats([AnnotationStats("empty", 0, 0, {"road": ClassStats()})], tmp_path / "empty.png")
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(AnnotationError, match=r"pip install 'sparsekit-agmm\[figures\]'"):
        check_figure_path(Path("stats.png"))
