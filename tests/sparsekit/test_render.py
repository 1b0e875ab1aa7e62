"""Marks drawn over pictures."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import Mark, known_label_space
from data_manifests.image_io import read_image
from sparsekit.errors import AnnotationError
from sparsekit.render import (
    VOID_COLOR,
    Image,
    colorize,
    draw_dot,
    draw_marks,
    marks_from_annotation,
    rim_color,
    rim_width,
)
from tests.golden.make_render import GOLDEN_FIGURES
from tests.sparsekit.conftest import letters, numbered_space

CITYSCAPES = known_label_space("cityscapes")
ROAD, SKY, CAR = (CITYSCAPES.class_names.index(name) for name in ("road", "sky", "car"))


def plain(height: int, width: int, value: int = 120) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def coverage(size: float, row: float, col: float, shape: tuple[int, int]) -> np.ndarray:
    """Share of each pixel inside a circle, by 16x16 points in each pixel."""
    steps = (np.arange(16) + 0.5) / 16
    rows = (np.arange(shape[0])[:, None] + steps).reshape(-1)
    cols = (np.arange(shape[1])[:, None] + steps).reshape(-1)
    inside = (rows[:, None] - row) ** 2 + (cols[None, :] - col) ** 2 <= (size / 2) ** 2
    return inside.reshape(shape[0], 16, shape[1], 16).mean((1, 3))


@pytest.mark.parametrize("size", [3, 4, 7, 12, 40, 41])
def test_dot_is_a_round_disc_around_its_pixel(size: int) -> None:
    canvas = plain(61, 61, 0)
    # A white dot has a black rim, so one without a rim of its own shows the whole disc.
    draw_dot(canvas, 30.5, 30.5, size, (255, 255, 255), rim=(255, 255, 255))
    share = canvas[..., 0] / 255
    assert np.abs(share - coverage(size, 30.5, 30.5, (61, 61))).max() < 0.2
    assert share.sum() == pytest.approx(math.pi / 4 * size**2, rel=0.05)
    center = [(share * axis).sum() / share.sum() + 0.5 for axis in np.mgrid[:61, :61]]
    assert center == pytest.approx([30.5, 30.5], abs=1e-6)
    assert (
        np.array_equal(share, share.T) and np.array_equal(share, share[::-1]) and np.array_equal(canvas, canvas[::-1])
    )


@settings(max_examples=60, deadline=None)
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


def test_cut_off_dot_equals_part_of_a_whole_one() -> None:
    for row, col in [(0, 0), (3, 59), (59, 2), (58, 58), (0, 30)]:
        larger = plain(100, 100)
        draw_dot(larger, row + 20.5, col + 20.5, 25, (255, 0, 0))
        smaller = plain(60, 60)
        draw_dot(smaller, row + 0.5, col + 0.5, 25, (255, 0, 0))
        assert np.array_equal(smaller, larger[20:80, 20:80])


def test_dot_far_outside_changes_nothing() -> None:
    canvas = plain(8, 8)
    draw_dot(canvas, 40, 40, 10, (255, 0, 0))
    draw_dot(canvas, -40, 4, 10, (255, 0, 0))
    assert (canvas == 120).all()


@pytest.mark.parametrize("color", [*(c.color for c in CITYSCAPES.classes), (0, 0, 0), (255, 255, 255), (119, 119, 119)])
def test_dot_stands_out_from_a_picture_of_its_own_color(color: tuple[int, int, int]) -> None:
    canvas = np.full((60, 60, 3), color, np.uint8)
    draw_dot(canvas, 30.5, 30.5, 40, color)
    rim = canvas[30, 30 + 20 - round(rim_width(40) / 2)]
    # The Web Content Accessibility Guidelines ask 3:1 of graphics.
    assert contrast(tuple(rim.tolist()), color) > 3
    assert tuple(rim.tolist()) == rim_color(color)


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    def luminance(color: tuple[int, ...]) -> float:
        linear = [(v / 255 / 12.92 if v / 255 <= 0.04045 else ((v / 255 + 0.055) / 1.055) ** 2.4) for v in color]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_rim_is_the_better_of_black_and_white() -> None:
    for color in [(r, g, b) for r in range(0, 256, 51) for g in range(0, 256, 51) for b in range(0, 256, 51)]:
        best = max([(0, 0, 0), (255, 255, 255)], key=lambda rim: contrast(rim, color))
        assert rim_color(color) == best


def test_rim_leaves_room_for_the_color() -> None:
    for small, large in pairwise(range(1, 200)):
        assert rim_width(small) <= rim_width(large)
        assert large / 2 - rim_width(large) >= 0.5


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
    with pytest.raises(ValueError, match="Strokes need an annotation of 6x8, got"):
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


def test_two_points_span_a_box_and_areas_may_leave_the_picture() -> None:
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


def test_lone_pixels_are_clicks_and_patches_strokes() -> None:
    annotation = letters("2.......", "........", "...11...", "....1...", ".......0")
    marks = marks_from_annotation(annotation, numbered_space(3))
    assert sorted((m.kind, m.class_id) for m in marks) == [("click", 0), ("click", 2), ("stroke", 1)]
    assert {(m.row, m.col) for m in marks if m.kind == "click"} == {(0, 0), (4, 7)}
    assert marks_from_annotation(letters("...", "..."), numbered_space(3)) == []


def test_colorize_plain_and_blended() -> None:
    space = numbered_space(3)
    label_map = letters("01", "2.")
    colored = colorize(label_map, space)
    assert np.array_equal(colored[0], space.palette[:2]) and np.array_equal(colored[1, 0], space.palette[2])
    assert tuple(colored[1, 1]) == VOID_COLOR
    blended = colorize(label_map, space, plain(2, 2, 100), 0.25).astype(int)
    assert np.abs(blended[0] - (0.25 * space.palette[:2] + 75)).max() <= 1
    assert (blended[1, 1] == 100).all()


def test_colorize_beyond_255_classes() -> None:
    space = numbered_space(300)
    colored = colorize(np.array([[299, 65535]], np.uint16), space)
    assert np.array_equal(colored[0, 0], space.palette[299]) and tuple(colored[0, 1]) == VOID_COLOR


@pytest.mark.parametrize("name", GOLDEN_FIGURES)
def test_golden(name: str) -> None:
    expected = read_image(Path(__file__).parents[1] / "golden" / f"{name}.png")
    drawn = GOLDEN_FIGURES[name]()
    assert drawn.shape == expected.shape
    difference = np.abs(drawn.astype(int) - expected)
    # Releases of OpenCV and FreeType differ a little at the edges of lines and letters, never in whole areas.
    assert difference.mean() < 1.0 and (difference.max(2) > 48).mean() < 0.01
