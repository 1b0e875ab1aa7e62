import numpy as np
import pytest

from sparsekit.demo_data.canvas import FINE, GROUND, Camera, Canvas
from sparsekit.demo_data.develop import _blur, _exposure, _Noise, develop
from sparsekit.demo_data.dice import Dice
from sparsekit.demo_data.light import draw_light

SKY, ROAD = 23, 7


def image_of(horizon, *, light=None, bend=0.001, size=(40, 20)):
    """A plain of asphalt under the sky."""
    width, height = size
    camera = Camera(1.1 * FINE * width, FINE * width / 2, horizon, 1.4, bend)
    light = light or draw_light(Dice(0, "a", "test"))
    canvas = Canvas(width, height, camera, light, SKY)
    canvas.start(ROAD, GROUND)
    top = max(0, round(horizon) + 1)
    canvas.fill([(0, top), (width * FINE, top), (width * FINE, 999), (0, 999)], (100, 100, 100), "up", 0.01)
    return develop(canvas.finish(), camera, light, Dice(1, "a", "test"))


@pytest.mark.parametrize("row", [0, 1, 7, 18])
@pytest.mark.parametrize("off", [-1e-7, 0.0, 1e-7])
def test_a_horizon_on_the_middle_of_a_row_gives_no_infinite_distances(row, off):
    image = image_of((row + 0.5) * FINE + off)  # a bad number would warn, and warnings fail
    assert image.shape == (20, 40, 3)


def test_far_ground_takes_the_colour_of_the_air():
    light = next(light for light in (draw_light(Dice(0, f"{k}", "test")) for k in range(99)) if light.name == "mist")
    image = image_of(10 * FINE, light=light, size=(80, 60)).astype(float)
    air = image[12:14].mean((0, 1))
    near, far = np.abs(image[55:] - air).mean(), np.abs(image[15:18] - air).mean()
    assert far < near / 2


def test_noise_is_smooth_and_repeats():
    noise = _Noise(Dice(0, "a", "test"))
    places = np.linspace(0, 256, 4097, dtype=np.float32)
    values = noise.read(np.zeros((1, 1), np.float32), places[None])[0]
    assert values.min() >= 0 and values.max() <= 1 and values.std() > 0.1
    assert np.abs(np.diff(values)).max() < 0.15  # a sixteenth of a cell
    np.testing.assert_array_equal(values[:2048], values[2048:4096])


def test_noise_at_cell_corners_is_the_tile():
    noise = _Noise(Dice(0, "a", "test"))
    rows, columns = (np.arange(128, dtype=np.float32)[s] for s in ((slice(None), None), (None, slice(None))))
    np.testing.assert_array_equal(noise.read(rows, columns), noise._tile.reshape(128, 128))


def test_blur_keeps_flat_images_and_the_sum_of_others():
    flat = np.full((5, 6, 3), 7, np.float32)
    np.testing.assert_array_equal(_blur(flat, np.float32(0.5)), flat)
    point = np.zeros((7, 7, 1), np.float32)
    point[3, 3] = 16
    blurred = _blur(point, np.float32(1))[..., 0]
    np.testing.assert_array_equal(blurred[2:5, 2:5], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
    assert blurred.sum() == 16


def test_exposure_brightens_the_dark_and_dims_the_bright():
    dark, bright = np.full((4, 4, 3), 30, np.float32), np.full((4, 4, 3), 200, np.float32)
    assert _exposure(dark) > 1.3
    assert _exposure(bright) < 1
    assert _exposure(np.zeros((4, 4, 3), np.float32)) == np.float32(1.7)
