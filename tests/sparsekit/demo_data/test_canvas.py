import numpy as np
import pytest

from sparsekit.demo_data.canvas import FINE, GROUND, Camera, Canvas
from sparsekit.demo_data.dice import Dice
from sparsekit.demo_data.light import draw_light

SKY, ROAD, CAR = 23, 7, 26


@pytest.fixture
def canvas():
    camera = Camera(focal=60.0, column=30.0, horizon=15.0, height=1.5, bend=0.0)
    return Canvas(20, 10, camera, draw_light(Dice(0, "a", "test")), SKY)


def rectangle(left, top, right, bottom):
    """Corners in pixels to corners in fine pixels; the far edges belong to the rectangle."""
    return [
        (left * FINE, top * FINE),
        (right * FINE - 1, top * FINE),
        (right * FINE - 1, bottom * FINE - 1),
        (left * FINE, bottom * FINE - 1),
    ]


def test_later_surfaces_hide_earlier_ones(canvas):
    canvas.start(ROAD, GROUND)
    canvas.fill(rectangle(0, 5, 20, 10), (90, 90, 90), "glow", 0.01)
    canvas.start_instance(CAR)
    canvas.fill(rectangle(4, 3, 8, 7), (200, 0, 0), "glow", 0.01)
    expected = np.full((10, 20), SKY)
    expected[5:] = ROAD
    expected[3:7, 4:8] = CAR
    layers = canvas.finish()
    np.testing.assert_array_equal(layers.label_ids, expected)
    np.testing.assert_array_equal(layers.ground, expected == ROAD)
    np.testing.assert_array_equal(layers.sky, expected == SKY)
    np.testing.assert_allclose(layers.color[expected == CAR], np.tile((200, 0, 0), (16, 1)), atol=0.1)


def test_instances_are_numbered_by_class(canvas):
    for label, left in ((CAR, 0), (33, 4), (CAR, 8)):
        canvas.start_instance(label)
        canvas.fill(rectangle(left, 0, left + 4, 10), (9, 9, 9), "front", 5.0)
    canvas.start(ROAD)
    canvas.fill(rectangle(12, 0, 16, 10), (9, 9, 9), "front", 5.0)
    assert canvas.finish().instance_ids[0, ::4].tolist() == [26000, 33000, 26001, ROAD, SKY]


def test_colors_are_averaged_where_labels_are_not(canvas):
    canvas.start(CAR)
    column = 5 * FINE  # the first of three fine columns of pixel 5; its middle stays sky
    canvas.fill([(0, 0), (column, 0), (column, 29), (0, 29)], (240, 240, 240), "glow", 0.001)
    layers = canvas.finish()
    assert layers.label_ids[4, 3:7].tolist() == [CAR, CAR, SKY, SKY]
    np.testing.assert_allclose(layers.color[4, 3:7, 0], [240, 240, 80, 0], atol=0.5)
    np.testing.assert_allclose(layers.sky[4, 3:7], [0, 0, 2 / 3, 1], atol=1e-3)


def inside(point, corners):
    """Whether a point lies inside a polygon, by counting the edges to the right of it."""
    x, y = point
    hits = 0
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            hits += 1
    return hits % 2 == 1


@pytest.mark.parametrize("seed", range(8))
def test_a_polygon_fills_what_lies_inside_it_and_its_rim(canvas, seed):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 7))  # corners on an ellipse: convex
    corners = np.rint(np.stack([30 + 40 * np.cos(angles), 15 + 11 * np.sin(angles)], axis=1))
    canvas.start(CAR)
    canvas.fill([tuple(c) for c in corners], (9, 9, 9), "front", 5.0)
    filled = canvas._numbers > 0
    edges = np.concatenate([np.linspace(a, b, 200) for a, b in zip(corners, np.roll(corners, -1, 0), strict=True)])
    for row in range(filled.shape[0]):
        for column in range(filled.shape[1]):
            to_rim = np.abs(edges - (column, row)).max(1).min()
            if to_rim > 1:
                assert filled[row, column] == inside((column, row), corners), (row, column)


def test_dents_are_levelled(canvas):
    other = Canvas(20, 10, canvas.camera, canvas.light, SKY)
    m = [(0, 29), (0, 0), (30, 20), (59, 0), (59, 29)]  # its second peak is higher than the notch before it
    for target, outline in ((canvas, m), (other, [*m[:3], (59, 20), m[4]])):
        target.start(CAR)
        target.fill(outline, (9, 9, 9), "front", 5.0)
    np.testing.assert_array_equal(canvas._numbers, other._numbers)


def test_many_polygons_are_the_same_as_one_after_the_other(canvas):
    rng = np.random.default_rng(3)
    outlines = rng.uniform(-5, 60, (12, 1, 2)) + np.array([(-8, 6), (0, -7), (8, 6)])
    other = Canvas(20, 10, canvas.camera, canvas.light, SKY)
    tones = rng.uniform(0.5, 1.5, 12)
    for target in (canvas, other):
        target.start(CAR)
    canvas.fill_many(outlines, (100, 80, 60), tones, "east", 9.0, shade=0.2, grain=0.1)
    for outline, tone in zip(outlines, tones, strict=True):
        color = (100 * tone, 80 * tone, 60 * tone)
        other.fill([tuple(p) for p in outline], color, "east", 9.0, shade=0.2, grain=0.1)
    for name in ("color", "shade", "grain", "label_ids"):
        np.testing.assert_array_equal(getattr(canvas.finish(), name), getattr(other.finish(), name))


def test_the_darker_of_two_shadows_counts(canvas):
    canvas.start(ROAD, GROUND)
    canvas.fill(rectangle(0, 5, 20, 10), (90, 90, 90), "up", 0.01)
    whole = [(-50.0, 0.0, 4.0), (50.0, 0.0, 4.0), (50.0, 0.0, 30.0), (-50.0, 0.0, 30.0)]
    canvas.darken(whole, 0.6)
    canvas.darken(whole, 0.2)
    assert canvas.finish().shadow.max() == pytest.approx(0.6, abs=1e-3)


def test_what_lies_beside_the_image_is_not_drawn(canvas):
    canvas.start(CAR)
    canvas.fill([(-9, 0), (-2, 0), (-2, 9)], (9, 9, 9), "front", 5.0)
    canvas.fill([(0, 30), (5, 30), (5, 40)], (9, 9, 9), "front", 5.0)
    canvas.darken([(0.0, 40.0, 2.0), (1.0, 40.0, 2.0), (1.0, 41.0, 2.0)], 0.5)
    layers = canvas.finish()
    assert (layers.label_ids == SKY).all() and not layers.shadow.any()


def test_camera_shows_far_things_nearer_to_the_vanishing_point(canvas):
    camera = canvas.camera
    assert camera.project((0, 1.5, 7)) == (30, 15)
    assert camera.project((1, 0, 10)) == (36, 24)
    near, far = camera.project((2, 0, 5)), camera.project((2, 0, 500))
    assert far[0] - 30 == pytest.approx((near[0] - 30) / 100)
