from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import Mark
from sparsekit.errors import AnnotationError
from sparsekit.geometry.mark_pixels import mark_pixels, stroke_pixels
from sparsekit.geometry.polylines import safe

points = st.tuples(st.integers(-8, 8), st.integers(-8, 8))


def literal_stroke(points, widths):
    """Each pixel of a window against each disc and segment, in fractions."""
    covered = set()
    for pixel in np.ndindex(41, 41):
        row, col = pixel[0] - 20, pixel[1] - 20
        for (r, c), width in zip(points, widths, strict=True):
            if (row - r) ** 2 + (col - c) ** 2 < Fraction(width, 2) ** 2:
                covered.add((row, col))
        ends = list(zip(points, widths, strict=True))
        for ((r0, c0), w0), ((r1, c1), w1) in pairwise(ends):
            square = (r1 - r0) ** 2 + (c1 - c0) ** 2
            if not square:
                continue
            t = Fraction((row - r0) * (r1 - r0) + (col - c0) * (c1 - c0), square)
            foot = (r0 + t * (r1 - r0), c0 + t * (c1 - c0))
            away = (row - foot[0]) ** 2 + (col - foot[1]) ** 2
            if 0 <= t <= 1 and away < Fraction(min(w0, w1), 2) ** 2:
                covered.add((row, col))
    return covered


@given(data=st.lists(st.tuples(points, st.integers(1, 8)), min_size=1, max_size=4))
@settings(max_examples=60)
def test_strokes_cover_what_the_definition_says(data):
    corners, widths = zip(*data, strict=True)
    drawn = stroke_pixels(np.array(corners), np.array(widths))
    assert set(map(tuple, drawn.tolist())) == literal_stroke(corners, widths)


def test_a_thin_stroke_has_no_gaps():
    for end in [(7, 3), (3, 7), (-7, 2), (5, 5), (0, 9)]:
        drawn = stroke_pixels(np.array([(0, 0), end]), np.array([1, 1]))
        pixels = sorted(set(map(tuple, drawn.tolist())), key=lambda p: p[0] * end[0] + p[1] * end[1])
        steps = np.abs(np.diff(np.array(pixels), axis=0)).max(1)
        assert (0, 0) in pixels and end in pixels and (steps == 1).all()


@given(
    b=points,
    reaches=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    width=st.integers(1, 9),
)
@settings(max_examples=300)
def test_a_safe_line_stays_within_the_discs_at_its_ends(b, reaches, width):
    a, b = np.array([[0, 0]]), np.array([b])
    if not safe(a, b, np.array(reaches[:1]), np.array(reaches[1:]), width)[0]:
        return
    drawn = stroke_pixels(np.concatenate([a, b]), np.array([width, width]))
    in_a = ((drawn - a) ** 2).sum(1) < reaches[0]
    in_b = ((drawn - b) ** 2).sum(1) < reaches[1]
    assert (in_a | in_b).all()


def test_neighbouring_pixels_are_always_safe_and_points_outside_never():
    one, zero = np.array([1]), np.array([0])
    for step in [(0, 1), (1, 1), (1, -1)]:
        a, b = np.array([[0, 0]]), np.array([step])
        assert safe(a, b, one, one, 1)[0]
        assert not safe(a, b, zero, 100 * one, 1)[0]


def test_unknown_kinds_are_refused():
    with pytest.raises(AnnotationError, match="Unknown kind of mark 'spray'; expected one of: click, stroke"):
        mark_pixels(Mark("spray", 0, 0, 0))


def literal_polygon(corners):
    """Each pixel of a window: on a side, or with an odd number of sides to its right."""
    covered = set()
    sides = list(zip(corners, [*corners[1:], corners[0]], strict=True))
    for pixel in np.ndindex(17, 17):
        row, col = pixel[0] - 8, pixel[1] - 8
        on_side, crossings = False, 0
        for (r0, c0), (r1, c1) in sides:
            cross = (r1 - r0) * (col - c0) - (c1 - c0) * (row - r0)
            between = min(r0, r1) <= row <= max(r0, r1) and min(c0, c1) <= col <= max(c0, c1)
            on_side |= cross == 0 and between
            if (r0 <= row) != (r1 <= row):
                crossings += Fraction((row - r0) * (c1 - c0), r1 - r0) + c0 > col
        if on_side or crossings % 2:
            covered.add((row, col))
    return covered


@given(corners=st.lists(points, min_size=1, max_size=7))
@settings(max_examples=150)
def test_polygons_cover_their_inside_and_their_sides(corners):
    drawn = mark_pixels(Mark("polygon", 0, *corners[0], tuple(corners)))
    assert list(map(tuple, drawn.tolist())) == sorted(literal_polygon(corners))


def test_boxes_cover_their_rectangle():
    assert mark_pixels(Mark("box", 0, 1, 2, ((1, 2), (2, 4)))).tolist() == [
        [1, 2], [1, 3], [1, 4], [2, 2], [2, 3], [2, 4],
    ]  # fmt: skip
