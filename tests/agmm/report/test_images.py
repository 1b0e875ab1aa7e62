from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agmm.data.resize import fit_size, shrink_labels
from agmm.report.images import choose_rows, error_veil, lay_over, read_images, veil
from agmm.report.run import Run
from agmm.report.style import ERROR_COLOR
from data_manifests import DataError, Manifest, read_manifest
from data_manifests.figures.drawing import rim_color
from data_manifests.figures.labels import draw_labels
from tests.agmm.conftest import tiny_label_space, tiny_manifest

SPACE = tiny_label_space()


def test_veil_is_transparent_where_it_says_nothing() -> None:
    label_map = np.array([[0, 3], [255, 1]], np.uint8)
    drawn = veil(label_map, SPACE)
    assert drawn[..., 3].tolist() == [[255, 255], [0, 255]]
    assert tuple(drawn[0, 1, :3]) == SPACE.classes[3].color


def test_errors_stand_out_and_void_is_left_alone() -> None:
    truth, preds = np.array([[0, 1, 255]], np.uint8), np.array([[0, 2, 1]], np.uint8)
    right, wrong, void = error_veil(preds, truth, SPACE)[0]
    assert tuple(wrong[:3]) == ERROR_COLOR and wrong[3] > 200
    assert tuple(right[:3]) == (0, 0, 0) and 0 < right[3] < 128 and void[3] == 0


def test_a_click_becomes_a_dot_around_its_place() -> None:
    annotation = np.full((60, 90), 255, np.uint8)
    annotation[20, 30], annotation[59, 89] = 2, 0
    drawn = draw_labels(annotation, SPACE, (120, 180), dot_share=0.1)
    assert tuple(drawn[41, 61]) == (*SPACE.classes[2].color, 255)
    solid = np.argwhere(drawn[:80, :120, 3] > 127)
    assert solid.mean(0) == pytest.approx((40.5, 60.5), abs=0.5)  # the middle of pixel (20, 30), twice as large
    assert np.ptp(solid, axis=0) + 1 == pytest.approx((18, 18), abs=1)
    assert tuple(drawn[119, 179]) == (*SPACE.classes[0].color, 255) and drawn[0, 0, 3] == 0


def test_a_stroke_keeps_its_shape_within_a_rim() -> None:
    annotation = np.full((40, 60), 255, np.uint8)
    annotation[10:20, 5:50] = 1
    drawn = draw_labels(annotation, SPACE, (40, 60))
    assert (drawn[10:20, 5:50] == (*SPACE.classes[1].color, 255)).all()
    opaque = drawn[..., 3] > 0
    assert opaque[9, 20] and tuple(drawn[9, 20, :3]) == rim_color(SPACE.classes[1].color)
    assert not opaque[7].any() and not opaque[:, 53].any()


def test_an_empty_annotation_draws_nothing() -> None:
    assert not draw_labels(np.full((8, 9), 255, np.uint8), SPACE, (8, 9)).any()


def test_lay_over_blends() -> None:
    image = np.full((1, 3, 3), 100, np.uint8)
    layer = np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [200, 0, 0, 128]]], np.uint8)
    assert lay_over(image, layer).tolist() == [[[100] * 3, [200, 0, 0], [150, 50, 50]]]


def test_sizes() -> None:
    assert fit_size(100, 200, 50) == (25, 50) and fit_size(10, 20, 50) == (10, 20) and fit_size(1, 4000, 40) == (1, 40)
    label_map = np.array([[0, 255], [3, 1]], np.uint8)
    assert set(np.unique(shrink_labels(label_map, (7, 9)))) == {0, 1, 3, 255}


def test_rows_are_spread_evenly_or_named(town: tuple[Manifest, list[Run]]) -> None:
    manifest, _ = town
    train = [row.image_id for row in manifest.rows_of("train")]
    assert [row.image_id for row in choose_rows(manifest, ["train"], 3)] == train[::2]
    assert len(choose_rows(manifest, ["val", "train"], None)) == 8
    assert [row.image_id for row in choose_rows(manifest, ["val"], 1, ["a05", "a00"])] == ["a05", "a00"]
    with pytest.raises(DataError, match="has no image 'x'"):
        choose_rows(manifest, [], 1, ["x"])
    with pytest.raises(DataError, match="split 'test' has no rows"):
        choose_rows(manifest, ["test"], 1)


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, 1))
    row = manifest.rows[0]
    manifest.resolve(row.image).unlink()
    manifest.resolve(row.annotation).write_bytes(b"no image")
    images = read_images(manifest, row)
    assert images.image is None and images.annotation is None and images.truth is not None
    assert len(images.problems) == 2 and "a00.png: no such file" in images.problems[0]
