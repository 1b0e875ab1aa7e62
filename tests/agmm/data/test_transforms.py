from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import functional

from agmm.config.data import Augmentation
from agmm.data.transforms import (
    PADDING_COLOR,
    Span,
    Window,
    change_colors,
    crop_image,
    crop_label_map,
    draw_window,
    scale_brightness,
    scale_contrast,
    scale_saturation,
    turn_hue,
    valid_mask,
)

sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


def random_image(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


@given(image_size=sizes, crop_size=sizes, scale=st.floats(0.25, 4), seed=st.integers(0, 99))
def test_a_window_lies_in_the_image_and_in_the_crop(
    image_size: tuple[int, int], crop_size: tuple[int, int], scale: float, seed: int
) -> None:
    augmentation = Augmentation(crop_size, scale=(scale, scale))
    window = draw_window(np.random.default_rng(seed), image_size, augmentation)
    for span, length, crop in zip((window.rows, window.cols), image_size, crop_size, strict=True):
        wanted = max(1, round(crop / scale))
        assert 0 <= span.start < span.stop <= length
        assert 0 <= span.out_start < span.out_stop <= crop
        assert span.stop - span.start == min(wanted, length)
        assert span.out_stop - span.out_start == (crop if wanted <= length else max(1, round(length * crop / wanted)))


def test_every_place_and_both_sides_come_up() -> None:
    rng = np.random.default_rng(0)
    windows = [draw_window(rng, (8, 9), Augmentation((4, 4), scale=(1, 1))) for _ in range(400)]
    assert {w.rows.start for w in windows} == set(range(5))
    assert {w.cols.start for w in windows} == set(range(6))
    assert 150 < sum(w.mirrored for w in windows) < 250
    assert not any(draw_window(rng, (8, 9), Augmentation((4, 4), flip=False)).mirrored for _ in range(20))


@given(image_size=sizes, crop_size=sizes, seed=st.integers(0, 99), data=st.data())
def test_a_window_through_a_pixel_holds_it(
    image_size: tuple[int, int], crop_size: tuple[int, int], seed: int, data: st.DataObject
) -> None:
    through = tuple(data.draw(st.integers(0, length - 1)) for length in image_size)
    window = draw_window(np.random.default_rng(seed), image_size, Augmentation(crop_size), (through[0], through[1]))
    assert window.rows.start <= through[0] < window.rows.stop
    assert window.cols.start <= through[1] < window.cols.stop


def test_a_crop_at_scale_one_is_a_slice() -> None:
    image = random_image((20, 30))
    window = Window(Span(3, 11, 0, 8), Span(5, 17, 0, 12), (8, 12), mirrored=False)
    assert (crop_image(image, window) == image[3:11, 5:17]).all()
    assert (crop_image(image, window._replace(mirrored=True)) == image[3:11, 5:17][:, ::-1]).all()
    assert valid_mask(window).all()


def test_a_crop_larger_than_the_image_is_padded() -> None:
    image, label_map = random_image((4, 6)), np.ones((4, 6), np.uint8)
    window = Window(Span(0, 4, 1, 5), Span(0, 6, 2, 8), (7, 9), mirrored=True)
    crop, valid = crop_image(image, window), valid_mask(window)
    assert valid.sum() == 24
    assert valid[1:5, 1:7].all()
    assert (crop[valid] == image[:, ::-1].reshape(-1, 3)).all()
    assert (crop[~valid] == PADDING_COLOR).all()
    assert (crop_label_map(label_map, window, 255) == np.where(valid, 1, 255)).all()


@pytest.mark.parametrize("out", [5, 9, 18, 31], ids="out{}".format)
def test_resizing_looks_at_pixel_centres(out: int) -> None:
    """Against the plain definition: pixel i of the crop lies at (i + 1/2) * in / out - 1/2 of the image."""
    image, label_map = random_image((9, 9)), np.arange(81, dtype=np.uint8).reshape(9, 9)
    window = Window(Span(0, 9, 0, out), Span(0, 9, 0, out), (out, out), mirrored=False)
    places = np.clip((np.arange(out) + 0.5) * 9 / out - 0.5, 0, 8)
    low = np.minimum(places.astype(int), 7)
    share = places - low
    rows = image[low] * (1 - share[:, None, None]) + image[low + 1] * share[:, None, None]
    expected = rows[:, low] * (1 - share[:, None]) + rows[:, low + 1] * share[:, None]
    assert np.abs(crop_image(image, window) - expected).max() <= 1
    nearest = ((np.arange(out) * 2 + 1) * 9) // (2 * out)
    assert (crop_label_map(label_map, window, 255) == label_map[nearest][:, nearest]).all()


def test_label_maps_of_16_bits_are_cropped_alike() -> None:
    label_map = (np.arange(81).reshape(9, 9) * 700).astype(np.uint16)
    window = Window(Span(1, 8, 0, 14), Span(0, 9, 0, 18), (14, 18), mirrored=False)
    crop = crop_label_map(label_map, window, 65535)
    assert crop.dtype == np.uint16
    assert (crop[::2, ::2] == label_map[1:8]).all()


@pytest.mark.parametrize(
    ("ours", "theirs", "amount", "tolerance"),
    [
        (scale_brightness, functional.adjust_brightness, 1.4, 1),
        (scale_brightness, functional.adjust_brightness, 0.6, 1),
        (scale_contrast, functional.adjust_contrast, 1.4, 2),
        (scale_contrast, functional.adjust_contrast, 0.6, 2),
        (scale_saturation, functional.adjust_saturation, 1.4, 2),
        (scale_saturation, functional.adjust_saturation, 0.0, 2),
        (turn_hue, functional.adjust_hue, 0.2, 12),
        (turn_hue, functional.adjust_hue, -0.25, 12),
    ],
)
def test_colours_change_as_in_torchvision(
    ours: Callable[..., NDArray[np.uint8]], theirs: Callable[..., Image.Image], amount: float, tolerance: int
) -> None:
    image = random_image((40, 50))
    difference = ours(image, amount).astype(int) - np.asarray(theirs(Image.fromarray(image), amount)).astype(int)
    assert np.abs(difference).max() <= tolerance


def test_photometric_changes_are_repeatable_and_varied() -> None:
    image = random_image((30, 30))
    first = [change_colors(image, np.random.default_rng(seed)) for seed in range(40)]
    again = [change_colors(image, np.random.default_rng(seed)) for seed in range(40)]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert len({a.tobytes() for a in first}) > 30
    grey = sum(bool((a[..., 0] == a[..., 1]).all() and (a[..., 1] == a[..., 2]).all()) for a in first)
    assert 1 <= grey <= 12
