"""Dots, rims and class colours."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from data_manifests import LabelClass, LabelSpace, known_label_space
from data_manifests.figures.drawing import (
    VOID_COLOR,
    Image,
    colorize,
    draw_dot,
    paint_pixels,
    rim_color,
    rim_width,
    widen_lines,
)
from tests.sparsekit.conftest import letters, numbered_space

CITYSCAPES = known_label_space("cityscapes")


def plain(height: int, width: int, value: int = 120) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def over(layer: Image, background: Image) -> np.ndarray:
    """An RGBA layer over an opaque image."""
    opacity = layer[..., 3:] / 255
    return background * (1 - opacity) + layer[..., :3] * opacity


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
def test_dot_stands_out_from_a_image_of_its_own_color(color: tuple[int, int, int]) -> None:
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


@pytest.mark.parametrize("value", [0, 90, 255])
def test_dots_on_a_transparent_layer_look_like_dots_on_the_image(value: int) -> None:
    layer, shown = np.zeros((50, 70, 4), np.uint8), plain(50, 70, value)
    for row, col, size, color in [(20, 25.3, 17, (0, 0, 142)), (25.6, 33, 12, (220, 220, 0)), (49, 0, 30, (9, 9, 9))]:
        for canvas in (layer, shown):
            draw_dot(canvas, row, col, size, color)
    assert np.abs(over(layer, plain(50, 70, value)) - shown).max() <= 2
    assert layer[20, 25].tolist() == [0, 0, 142, 255] and layer[5, 60, 3] == 0


def test_paint_on_a_transparent_layer_looks_like_paint_on_the_image() -> None:
    annotation = letters("........", ".000....", "...0....", "...0.1..", ".....1..", "........")
    space = numbered_space(2)
    layer, shown = np.zeros((6, 8, 4), np.uint8), plain(6, 8)
    for canvas in (layer, shown):
        paint_pixels(canvas, annotation, space, rim=1)
    assert np.array_equal(over(layer, plain(6, 8)), shown)
    # the rim reaches the four neighbours of each painted pixel, and nothing further
    painted = annotation != 255
    beside = np.pad(painted, 1)
    beside = beside[2:, 1:-1] | beside[:-2, 1:-1] | beside[1:-1, 2:] | beside[1:-1, :-2]
    assert np.array_equal(layer[..., 3] == 255, painted | beside) and set(np.unique(layer[..., 3])) == {0, 255}


def test_colorize_plain_and_blended() -> None:
    space = numbered_space(3)
    label_map = letters("01", "2.")
    colored = colorize(label_map, space)
    assert np.array_equal(colored[0], space.palette[:2]) and np.array_equal(colored[1, 0], space.palette[2])
    assert tuple(colored[1, 1]) == VOID_COLOR
    blended = colorize(label_map, space, plain(2, 2, 100), 0.25).astype(int)
    assert np.abs(blended[0] - (0.25 * space.palette[:2] + 75)).max() <= 1
    assert (blended[1, 1] == 100).all()


def test_a_black_class_does_not_darken_the_image() -> None:
    space = LabelSpace("demo", (LabelClass("background", (0, 0, 0), (0,)), LabelClass("cat", (64, 0, 0), (1,))))
    label_map = np.array([[0, 1, 255]], np.uint8)
    image = np.full((1, 3, 3), 100, np.uint8)
    assert colorize(label_map, space, image, 0.5).tolist() == [[[100] * 3, [82, 50, 50], [100] * 3]]
    assert colorize(label_map, space, image, 1.0)[0, 0].tolist() == [0, 0, 0]


def test_colorize_beyond_255_classes() -> None:
    space = numbered_space(300)
    colored = colorize(np.array([[299, 65535]], np.uint16), space)
    assert np.array_equal(colored[0, 0], space.palette[299]) and tuple(colored[0, 1]) == VOID_COLOR


@pytest.mark.parametrize("own", [1, 3, 5, 9, 21])
@pytest.mark.parametrize("least", [1, 3, 9, 14])
def test_thin_lines_get_the_least_width_and_wide_ones_keep_theirs(own: int, least: int) -> None:
    annotation = np.full((80, 120), 255, np.uint8)
    annotation[30 : 30 + own, 20:100] = 4
    before = annotation.copy()
    widened = widen_lines(annotation, least, 255)
    assert np.array_equal(annotation, before)
    assert (widened[:, 60] == 4).sum() == pytest.approx(max(own, least), abs=1)
    assert (widened[annotation == 4] == 4).all()
    if least <= own:
        assert np.array_equal(widened, annotation)


def test_widened_lines_meet_in_the_middle() -> None:
    annotation = np.full((40, 60), 255, np.uint16)
    annotation[15, 5:55], annotation[20, 5:55] = 0, 7
    widened = widen_lines(annotation, 21, 255)
    assert widened.dtype == np.uint16
    assert (widened[8:18, 30] == 0).all() and (widened[18:28, 30] == 7).all()
    nothing = np.full((4, 5), 255, np.uint8)
    assert np.array_equal(widen_lines(nothing, 9, 255), nothing)
    assert (widen_lines(np.zeros((4, 5), np.uint8), 9, 255) == 0).all()
