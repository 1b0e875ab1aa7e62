import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import Mark
from sparsekit.geometry.mark_pixels import mark_pixels
from sparsekit.geometry.rasterize import rasterize
from tests.sparsekit.conftest import numbered_space

points = st.tuples(st.integers(-6, 15), st.integers(-6, 15))


@st.composite
def marks(draw):
    kind = draw(st.sampled_from(["click", "stroke", "block", "polygon", "box"]))
    class_id = draw(st.integers(0, 4))
    if kind == "click":
        return Mark(kind, class_id, *draw(points))
    corners = tuple(draw(st.lists(points, min_size=2, max_size=5)))
    if kind == "box":
        rows, cols = zip(*corners, strict=True)
        corners = ((min(rows), min(cols)), (max(rows), max(cols)))
    widths = tuple(draw(st.integers(1, 5)) for _ in corners) if kind == "stroke" else ()
    return Mark(kind, class_id, *corners[0], corners, widths)


@given(drawn=st.lists(marks(), max_size=6))
@settings(max_examples=100)
def test_earlier_marks_stay_and_what_lies_beyond_the_image_is_cut_off(drawn):
    expected = np.full((9, 11), 255, np.uint8)
    for mark in drawn:
        for row, col in mark_pixels(mark).tolist():
            if 0 <= row < 9 and 0 <= col < 11 and expected[row, col] == 255:
                expected[row, col] = mark.class_id
    np.testing.assert_array_equal(rasterize(drawn, (9, 11), numbered_space(5)), expected)
