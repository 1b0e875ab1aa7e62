"""Marks drawn over images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import Mark, known_label_space
from data_manifests.figures.drawing import Image, rim_color
from data_manifests.files.images import read_image
from sparsekit.errors import AnnotationError
from sparsekit.figures.overlay import default_dot_size, draw_marks, marks_from_annotation
from tests.golden.make_render import GOLDEN_FIGURES
from tests.sparsekit.conftest import letters, numbered_space

CITYSCAPES = known_label_space("cityscapes")
ROAD, SKY, CAR = (CITYSCAPES.class_names.index(name) for name in ("road", "sky", "car"))


def plain(height: int, width: int, value: int = 120) -> Image:
    return np.full((height, width, 3), value, np.uint8)


@settings(max_examples=60)
@given(
    height=st.integers(1, 40), width=st.integers(1, 40), size=st.integers(1, 60),
    row=st.floats(0, 1, exclude_max=True), col=st.floats(0, 1, exclude_max=True), class_id=st.integers(0, 18),
)  # fmt: skip
def test_click_shows_exactly_its_color_wherever_it_lies(
    height: int, width: int, size: int, row: float, col: float, class_id: int
) -> None:
    click = Mark("click", class_id, int(row * height), int(col * width))
    image = plain(height, width)
    drawn = draw_marks(image, [click], CITYSCAPES, dot_size=size)
    assert drawn.shape == image.shape and (image == 120).all()
    assert tuple(drawn[click.row, click.col]) == CITYSCAPES.classes[class_id].color
    rows, cols = np.nonzero((drawn != image).any(2))
    reach = size / 2 + 0.5
    assert np.hypot(rows - click.row, cols - click.col).max() <= reach


def test_earlier_click_lies_on_top() -> None:
    clicks = [Mark("click", ROAD, 20, 20), Mark("click", SKY, 20, 28)]
    drawn = draw_marks(plain(50, 50), clicks, CITYSCAPES, dot_size=20)
    assert tuple(drawn[20, 28]) == CITYSCAPES.classes[ROAD].color
    swapped = draw_marks(plain(50, 50), clicks[::-1], CITYSCAPES, dot_size=20)
    assert tuple(swapped[20, 20]) == CITYSCAPES.classes[SKY].color


def test_stroke_pixels_have_the_class_color_and_a_rim_around() -> None:
    annotation = letters("........", ".000....", "...0....", "...0.1..", ".....1..", "........")
    space = numbered_space(2)
    drawn = draw_marks(plain(6, 8), [Mark("stroke", 0, 1, 1, ((1, 1), (3, 3)), (1, 1))], space, annotation=annotation)
    labelled = annotation != 255
    assert np.array_equal(drawn[labelled], space.palette[annotation[labelled]])
    assert tuple(drawn[0, 1]) == rim_color(space.classes[0].color)
    assert (drawn[0, 7] == 120).all()


@pytest.mark.parametrize("annotation", [None, np.zeros((3, 3), np.uint8)], ids=["none", "other-size"])
def test_strokes_need_their_annotation(annotation: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match="Strokes need an annotation of shape \\(6, 8\\), got"):
        draw_marks(plain(6, 8), [Mark("stroke", 0, 1, 1)], numbered_space(1), annotation=annotation)


@pytest.mark.parametrize("kind", ["box", "polygon", "block"])
def test_area_is_outlined_and_covered(kind: str) -> None:
    corners = ((10, 10), (10, 30), (25, 30), (25, 10))
    drawn = draw_marks(plain(40, 40), [Mark(kind, CAR, 10, 10, corners)], CITYSCAPES).astype(int)
    car = np.array(CITYSCAPES.classes[CAR].color)
    assert np.abs(drawn[10, 20] - car).max() < 40  # outline
    expected = car if kind == "block" else (120 + car) / 2
    assert np.abs(drawn[17, 20] - expected).max() <= 1
    assert (drawn[5, 5] == 120).all() and (drawn[32, 20] == 120).all()


def test_two_points_span_a_box_and_areas_may_leave_the_image() -> None:
    whole = draw_marks(plain(40, 40), [Mark("box", CAR, 5, 5, ((5, 5), (5, 20), (9, 20), (9, 5)))], CITYSCAPES)
    assert np.array_equal(draw_marks(plain(40, 40), [Mark("box", CAR, 5, 5, ((5, 5), (9, 20)))], CITYSCAPES), whole)
    outside = draw_marks(plain(8, 8), [Mark("box", CAR, -5, -9, ((-5, -9), (30, 40)))], CITYSCAPES)
    assert np.array_equal(outside[4, 4], np.rint((120 + np.array(CITYSCAPES.classes[CAR].color)) / 2))
    beyond = draw_marks(plain(8, 8), [Mark("box", CAR, 50, 50, ((50, 50), (60, 70)))], CITYSCAPES)
    assert (beyond == 120).all()


@pytest.mark.parametrize("class_id", [-1, 19, 255])
def test_class_outside_the_label_space_is_named(class_id: int) -> None:
    with pytest.raises(
        AnnotationError, match=f"row 2, column 3 has class {class_id}; the classes of label space 'city"
    ):
        draw_marks(plain(6, 8), [Mark("click", class_id, 2, 3)], CITYSCAPES)


def test_dot_size_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="dot_size must be at least 1, got 0"):
        draw_marks(plain(6, 8), [Mark("click", 0, 2, 3)], CITYSCAPES, dot_size=0)


@given(height=st.integers(1, 5000), width=st.integers(1, 5000))
def test_dots_take_the_same_share_of_every_image(height: int, width: int) -> None:
    size, side = default_dot_size(height, width), max(height, width)
    assert size == default_dot_size(width, height) >= 3
    assert size == 3 or abs(2048 * size - 40 * side) <= 1024  # half a pixel


def test_dot_size_not_given_is_that_of_the_image() -> None:
    for height, width, size in [(120, 160, 3), (375, 500, 10), (1024, 2048, 40)]:
        image, click = plain(height, width), [Mark("click", ROAD, 60, 80)]
        assert np.array_equal(draw_marks(image, click, CITYSCAPES), draw_marks(image, click, CITYSCAPES, dot_size=size))


def test_lone_pixels_are_clicks_and_patches_strokes() -> None:
    annotation = letters("2.......", "........", "...11...", "....1...", ".......0")
    marks = marks_from_annotation(annotation, numbered_space(3))
    assert sorted((m.kind, m.class_id) for m in marks) == [("click", 0), ("click", 2), ("stroke", 1)]
    assert {(m.row, m.col) for m in marks if m.kind == "click"} == {(0, 0), (4, 7)}
    assert marks_from_annotation(letters("...", "..."), numbered_space(3)) == []


@pytest.mark.parametrize("name", GOLDEN_FIGURES)
def test_golden(name: str) -> None:
    if name == "render_sheet":
        pytest.importorskip("matplotlib", reason="its words are written in the font of matplotlib")
    expected = read_image(Path(__file__).parents[2] / "golden" / f"{name}.png")
    drawn = GOLDEN_FIGURES[name]()
    assert drawn.shape == expected.shape
    difference = np.abs(drawn.astype(int) - expected)
    # Releases of OpenCV and FreeType differ a little at the edges of lines and letters, never in whole areas.
    assert difference.mean() < 1.0 and (difference.max(2) > 48).mean() < 0.01
