"""Each way in which a manifest can be wrong is reported, all at once, and nothing else is."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_manifests import Manifest, Mark, read_manifest, write_marks
from data_manifests.files.atomic import write_atomically
from data_manifests.files.masks import encode_label_map, pixel_sha256, read_mask
from data_manifests.manifest.io import load_manifest
from data_manifests.manifest.validate import check_manifest
from sparsekit.geometry.rasterize import rasterize
from tests.sparsekit.conftest import SCENE, numbered_space, tiny_manifest


@pytest.fixture
def manifest(tmp_path):
    """Three images of 8x8, two annotated with two clicks each, one for evaluation."""
    manifest = tiny_manifest(tmp_path, (SCENE, SCENE.T, SCENE[::-1]), num_val=1)
    for i in range(3):  # else two images could be alike
        path = tmp_path / f"data/images/image_{i}.png"
        pixels = np.asarray(Image.open(path)).copy()
        pixels[0, 0] = i
        Image.fromarray(pixels).save(path)
    return manifest


def change_row(manifest, image_id, **changes):
    rows = tuple(replace(row, **changes) if row.image_id == image_id else row for row in manifest.rows)
    return Manifest(manifest.path, rows, manifest.info, manifest.marks_sha256)


def problems_of(manifest, **options):
    return [(p.kind, p.image_id, p.message) for p in check_manifest(manifest, **({"draw": rasterize} | options))]


def the_problem(manifest, **options):
    (problem,) = problems_of(manifest, **options)
    return problem


@pytest.mark.parametrize("options", [{}, {"pixels": False}, {"draw": None}, {"workers": 3}])
def test_a_sound_manifest_has_no_problems(manifest, options):
    assert problems_of(manifest, **options) == []


def test_it_stays_sound_when_everything_is_moved(manifest, tmp_path_factory):
    there = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(manifest.path.parent, there)
    assert problems_of(read_manifest(there)) == []


class TestRows:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"split": ""}, ("row", "column split is empty")),
            ({"num_labelled": 65}, ("count", "num_labelled is 65 of 8x8 pixels")),
            ({"num_labelled": -1}, ("count", "num_labelled is -1 of 8x8 pixels")),
            ({"classes_labelled": (1, 0)}, ("count", "classes_labelled are not ascending: 1 0")),
            ({"classes_labelled": (0, 3)}, ("ids", "classes_labelled 3 are outside 0..2")),
        ],
    )
    def test_what_a_row_says(self, manifest, changes, expected):
        first, *rest = problems_of(change_row(manifest, "image_0", **changes))
        assert first == (expected[0], "image_0", expected[1])
        assert {kind for kind, _, _ in rest} <= {"count"}  # the annotation says otherwise, too

    def test_splits_that_differ_in_letter_case(self, manifest):
        kind, image_id, message = the_problem(change_row(manifest, "image_0", split="Train"))
        assert (kind, image_id) == ("split", "") and "'Train' (1), 'train' (1)" in message

    def test_labels_without_annotation(self, manifest):
        kind, image_id, message = the_problem(change_row(manifest, "image_2", num_labelled=3))
        assert (kind, image_id) == ("row", "image_2") and message.startswith("has no annotation, but num_labelled")

    def test_zero_size(self, manifest):
        kinds = {(kind, message) for kind, _, message in problems_of(change_row(manifest, "image_2", height=0))}
        assert ("size", "height and width must be at least 1, got 0 and 8") in kinds

    @pytest.mark.parametrize("path", ["../x/image_0.png", "/x/image_0.png", "a/../../b.png", "C:\\x\\image_0.png"])
    def test_an_annotation_outside_of_the_folder(self, manifest, path):
        missing, outside = problems_of(change_row(manifest, "image_0", annotation=path))
        assert missing[:2] == ("missing", "image_0") and outside[:2] == ("outside", "")
        assert outside[2] == f"1 annotation is outside the manifest's folder, as in subsets: {path}"


class TestFiles:
    @pytest.mark.parametrize("column", ["image", "full_mask", "annotation"])
    @pytest.mark.parametrize("pixels", [True, False])
    def test_missing(self, manifest, column, pixels):
        row = manifest.rows[0]
        manifest.resolve(getattr(row, column)).unlink()
        kind, image_id, message = the_problem(manifest, pixels=pixels)
        assert (kind, image_id) == ("missing", "image_0")
        assert message.startswith(f"{column}: ") and message.endswith("no such file.")

    @pytest.mark.parametrize("column", ["image", "full_mask", "annotation"])
    def test_unreadable(self, manifest, column):
        path = manifest.resolve(getattr(manifest.rows[0], column))
        path.write_bytes(path.read_bytes()[:-40])
        kind, image_id, message = the_problem(manifest)
        assert (kind, image_id) == ("unreadable", "image_0") and column in message and "damaged" in message

    @pytest.mark.parametrize("column", ["image", "full_mask", "annotation"])
    @pytest.mark.parametrize("pixels", [True, False])
    def test_a_path_that_the_system_does_not_even_look_up(self, manifest, column, pixels):
        """As in a folder that may not be looked into, which root may always."""
        problems = problems_of(change_row(manifest, "image_0", **{column: "x" * 300 + ".png"}), pixels=pixels)
        assert [(kind, image_id) for kind, image_id, _ in problems] == [("unreadable", "image_0")]

    @pytest.mark.parametrize("pixels", [True, False])
    def test_size(self, manifest, pixels):
        Image.new("RGB", (9, 7)).save(manifest.resolve(manifest.rows[0].image))
        kind, image_id, message = the_problem(manifest, pixels=pixels)
        assert (kind, image_id) == ("size", "image_0")
        assert message.endswith("image_0.png: is 9x7 (width x height), the row says 8x8")

    def test_one_changed_pixel_of_the_full_mask(self, manifest):
        row = manifest.rows[2]
        path = manifest.resolve(row.full_mask)
        mask = read_mask(path).copy()
        mask[3, 3] = 2
        write_atomically(path, encode_label_map(mask, manifest.label_space))
        kind, image_id, message = the_problem(manifest)
        assert (kind, image_id) == ("hash", "image_2") and row.full_mask_sha256[:12] in message
        assert problems_of(manifest, pixels=False) == []

    def test_foreign_id_in_the_full_mask(self, manifest):
        mask = SCENE.copy()
        mask[0, :2] = (77, 78)
        write_atomically(manifest.resolve(manifest.rows[0].full_mask), encode_label_map(mask, manifest.label_space))
        found = problems_of(change_row(manifest, "image_0", full_mask_sha256=pixel_sha256(mask)))
        assert [(kind, image_id) for kind, image_id, _ in found] == [("ids", "image_0")]
        assert "holds ids 77, 78, which are neither a class nor void" in found[0][2]

    def write_annotation(self, manifest, changed):
        row = manifest.rows[0]
        write_atomically(manifest.resolve(row.annotation), encode_label_map(changed, manifest.label_space))
        return {kind: message for kind, _, message in problems_of(manifest)}

    def test_one_label_more(self, manifest):
        changed = read_mask(manifest.resolve(manifest.rows[0].annotation)).copy()
        changed[7, 7] = 2
        found = self.write_annotation(manifest, changed)
        assert set(found) == {"hash", "count"}

    def test_a_foreign_id_in_the_annotation(self, manifest):
        changed = read_mask(manifest.resolve(manifest.rows[0].annotation)).copy()
        changed[7, 7] = 21
        found = self.write_annotation(manifest, changed)
        assert "holds ids 21; expected 0..2 or 255" in found["ids"]

    def test_type(self, manifest):
        row = manifest.rows[0]
        path = manifest.resolve(row.annotation)
        wide = read_mask(path).astype(np.uint16)
        Image.fromarray(wide).save(path)
        kinds = [
            kind for kind, _, _ in problems_of(change_row(manifest, "image_0", annotation_sha256=pixel_sha256(wide)))
        ]
        assert "dtype" in kinds and set(kinds) <= {"dtype", "marks"}


class TestSharedFiles:
    def test_a_image_in_two_splits(self, manifest):
        changed = change_row(manifest, "image_2", image=manifest.rows[0].image)
        kind, _, message = the_problem(changed)
        assert kind == "split" and message.endswith("image_0.png is in splits train, val, as image_0, image_2")

    def test_a_copy_of_a_image_in_another_split(self, manifest):
        shutil.copy(manifest.resolve(manifest.rows[0].image), manifest.resolve(manifest.rows[2].image))
        kind, _, message = the_problem(manifest)
        assert kind == "split" and message.startswith("same image in splits train, val: data/images/image_0.png, data")
        assert problems_of(manifest, pixels=False) == []

    def test_a_copy_within_a_split_does_no_harm(self, manifest):
        shutil.copy(manifest.resolve(manifest.rows[0].image), manifest.resolve(manifest.rows[1].image))
        assert problems_of(manifest) == []

    def test_two_rows_with_one_annotation(self, manifest):
        found = problems_of(change_row(manifest, "image_1", annotation=manifest.rows[0].annotation))
        assert "annotation sparse/image_0.png is named by several rows: image_0, image_1" in {m for _, _, m in found}


class TestMarks:
    def write(self, manifest, *images):
        write_marks(manifest.marks_path, images)

    def marks(self, manifest):
        from data_manifests import read_marks

        return dict(read_marks(manifest.marks_path))

    def test_missing_file(self, manifest):
        manifest.marks_path.unlink()
        assert the_problem(manifest)[0] == "no_marks"

    def test_marks_that_draw_something_else(self, manifest):
        marks = self.marks(manifest)
        moved = [replace(marks["image_0"][0], col=marks["image_0"][0].col + 1), *marks["image_0"][1:]]
        self.write(manifest, ("image_0", moved), ("image_1", marks["image_1"]))
        assert the_problem(manifest) == ("marks", "image_0", "the annotation differs from the marks drawn again")
        assert problems_of(manifest, draw=None) == []

    def test_areas_with_too_few_corners(self, manifest):
        bad = Mark("box", 1, 0, 0, ((0, 0),))
        self.write(manifest, ("image_0", [bad]), ("image_1", self.marks(manifest)["image_1"]))
        ((kind, image_id, message),) = problems_of(manifest)
        assert (kind, image_id) == ("marks", "image_0") and "needs at least 2 corners, got 1" in message

    def test_order_of_overlapping_marks_matters(self, manifest):
        marks = self.marks(manifest)
        first = marks["image_0"][0]
        on_top = [replace(first, class_id=2), *marks["image_0"]]
        self.write(manifest, ("image_0", on_top), ("image_1", marks["image_1"]))
        assert the_problem(manifest)[0] == "marks"
        below = [*marks["image_0"], replace(first, class_id=2)]
        self.write(manifest, ("image_0", below), ("image_1", marks["image_1"]))
        assert problems_of(manifest) == []

    def test_everything_else_at_once(self, manifest):
        marks = self.marks(manifest)["image_0"]
        outside = Mark("stroke", 0, 0, 0, ((0, 0), (8, 0)), (1, 1))
        self.write(
            manifest,
            ("image_0", [*marks, outside, Mark("click", 7, 0, 0)]),
            ("nobody", [Mark("click", 0, 0, 0)]),
            ("image_0", marks),
        )
        assert [(image_id, message) for _, image_id, message in problems_of(manifest)] == [
            ("image_0", "marks 2 are outside the image"),
            ("image_0", "marks 3 have a class outside 0..2"),
            ("nobody", "1 mark of an image that the manifest does not have"),
            ("image_0", "marks are scattered; those of an image must be consecutive"),
            ("image_1", "no marks, but 2 labelled pixels"),
        ]

    def test_damaged_file(self, manifest):
        manifest.marks_path.write_text("image_id\n")
        kind, _, message = the_problem(manifest)
        assert kind == "marks" and "column mark, kind, class_id" in message


def test_rows_that_cannot_be_read_are_among_the_problems(manifest):
    text = manifest.path.read_text()
    manifest.path.write_text(text + "image_9,train,x.png,,,8,eight,0,,,\n")
    read, unreadable = load_manifest(manifest.path.parent)
    problems = check_manifest(read, unreadable=unreadable, draw=rasterize)
    assert len(read.rows) == 3
    assert [(p.kind, "row 5 ('image_9')" in p.message) for p in problems] == [("row", True)]


def test_everything_at_once_in_a_fixed_order(manifest):
    """Several independent faults: each is there, and the number of processes changes nothing."""
    manifest.resolve(manifest.rows[1].image).unlink()
    manifest.resolve(manifest.rows[0].full_mask).write_text("no image")
    Image.new("RGB", (3, 3)).save(manifest.resolve(manifest.rows[2].image))
    changed = change_row(manifest, "image_0", split="", annotation_sha256="0" * 64)
    with manifest.marks_path.open("a") as file:
        file.write("nobody,0,click,0,1,1,,,\nimage_0,0,click,0,1,1,,,\nimage_1,x,click,zero,1,1,,,\n")
    files = {True: ["row", "unreadable", "hash", "missing", "size"], False: ["row", "unreadable", "missing", "size"]}
    for pixels in (True, False):
        once = problems_of(changed, pixels=pixels)
        assert [kind for kind, _, _ in once if kind != "marks"] == files[pixels]
        assert "zero" in once[-1][2] and ("drawn again" in str(once)) == pixels
        assert problems_of(changed, pixels=pixels, workers=2) == once
    manifest.marks_path.unlink()
    assert [kind for kind, _, _ in problems_of(changed, workers=2)][-1] == "no_marks"


def test_progress_counts_each_image_for_every_number_of_workers(manifest):
    done = []
    for number, options in enumerate(({}, {"workers": 2}, {"pixels": False}), start=1):
        check_manifest(manifest, draw=rasterize, on_image=lambda: done.append(1), **options)
        assert len(done) == 3 * number


def test_many_classes(tmp_path):
    space = numbered_space(300)
    scene = np.where(SCENE == 255, 65535, SCENE.astype(np.uint16))
    scene[SCENE == 1] = 299
    marks = [[Mark("click", 0, 0, 0), Mark("click", 299, 0, 7)]]
    manifest = tiny_manifest(tmp_path, (scene,), marks, label_space=space)
    assert problems_of(manifest) == []
    assert manifest.rows[0].classes_labelled == (0, 299)
