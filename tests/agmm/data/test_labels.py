from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agmm.config.data import Augmentation
from agmm.data.labels import DenseLabels, SparseLabels
from agmm.data.transforms import Span, Window, crop_image, draw_window, valid_mask

sizes = st.tuples(st.integers(1, 60), st.integers(1, 60))


def clicked(size: tuple[int, int], share: float, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.where(rng.random(size) < share, rng.integers(0, 5, size), 255).astype(np.uint8)


@given(size=sizes, crop=sizes, scale=st.floats(0.3, 3), seed=st.integers(0, 999))
def test_each_label_lands_where_exact_arithmetic_puts_it(
    size: tuple[int, int], crop: tuple[int, int], scale: float, seed: int
) -> None:
    label_map = clicked(size, 0.1, seed)
    window = draw_window(np.random.default_rng(seed), size, Augmentation(crop, scale=(scale, scale)))
    expected = np.full(crop, 255)
    inside = 0
    for row, col in np.argwhere(label_map != 255):
        if not (window.rows.start <= row < window.rows.stop and window.cols.start <= col < window.cols.stop):
            continue
        inside += 1
        place = []
        for index, span in ((int(row), window.rows), (int(col), window.cols)):
            ratio = Fraction(span.out_stop - span.out_start, span.stop - span.start)
            place.append(floor((index - span.start + Fraction(1, 2)) * ratio) + span.out_start)
        out_col = crop[1] - 1 - place[1] if window.mirrored else place[1]
        expected[place[0], out_col] = label_map[row, col]
    labels = SparseLabels.from_label_map(label_map, 255)
    target = labels.crop(window)
    assert (target == expected).all()
    assert not (target[~valid_mask(window)] != 255).any()
    assert labels.any_inside(window) == (inside > 0)
    if scale >= 1 and all(s.out_stop - s.out_start >= s.stop - s.start for s in (window.rows, window.cols)):
        assert (target != 255).sum() == inside  # nothing is lost and nothing multiplies


@pytest.mark.parametrize("mirrored", [False, True], ids=["straight", "mirrored"])
def test_labels_stay_on_what_they_name(mirrored: bool) -> None:
    """A click on a white pixel of a black image is still on the white spot after enlarging by 2.5."""
    window = Window(Span(4, 24, 0, 50), Span(7, 27, 0, 50), (50, 50), mirrored)
    for row, col in [(4, 7), (10, 20), (23, 26)]:
        image, label_map = np.zeros((30, 30, 3), np.uint8), np.full((30, 30), 255, np.uint8)
        image[row, col], label_map[row, col] = 255, 3
        target = SparseLabels.from_label_map(label_map, 255).crop(window)
        (place,) = np.argwhere(target == 3)
        assert crop_image(image, window)[tuple(place)].min() > 200


@given(size=sizes, crop=sizes, block=st.integers(1, 8), scale=st.floats(0.3, 3), seed=st.integers(0, 999))
def test_labels_keep_to_the_full_mask_that_is_cropped_alongside(
    size: tuple[int, int], crop: tuple[int, int], block: int, scale: float, seed: int
) -> None:
    """Each label names the class of the mask at its pixel; where shrinking makes one of many, that of one of these."""
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 5, size).astype(np.uint8).repeat(block, 0).repeat(block, 1)[: size[0], : size[1]]
    sparse = np.where(rng.random(size) < 0.2, mask, 255).astype(np.uint8)
    window = draw_window(rng, size, Augmentation(crop, scale=(scale, scale)))
    target, dense = (
        form(lm, 255).crop(window) for form, lm in ((SparseLabels.from_label_map, sparse), (DenseLabels, mask))
    )
    assert ((dense != 255) == valid_mask(window)).all()
    labelled = target != 255
    enlarged = all(s.out_stop - s.out_start >= s.stop - s.start for s in (window.rows, window.cols))
    if enlarged:
        assert (target[labelled] == dense[labelled]).all()
    for row, col in np.argwhere(labelled & (target != dense)):
        seen = []
        for place, span in ((row, window.rows), (crop[1] - 1 - col if window.mirrored else col, window.cols)):
            ratio = Fraction(span.stop - span.start, span.out_stop - span.out_start)
            first, last = (span.start + (int(place) - span.out_start + end) * ratio for end in (0, 1))
            seen.append(slice(floor(first), ceil(last)))
        assert target[row, col] in mask[tuple(seen)]


@given(size=sizes, seed=st.integers(0, 99))
def test_both_forms_agree_where_nothing_is_resized(size: tuple[int, int], seed: int) -> None:
    label_map = clicked(size, 0.3, seed)
    sparse, dense = SparseLabels.from_label_map(label_map, 255), DenseLabels(label_map, 255)
    window = draw_window(np.random.default_rng(seed), size, Augmentation((20, 25), scale=(1, 1)))
    assert (sparse.crop(window) == dense.crop(window)).all()
    assert sparse.any_inside(window) == dense.any_inside(window)
    assert sparse.classes().tolist() == dense.classes().tolist() == np.unique(label_map[label_map < 255]).tolist()


@pytest.mark.parametrize("form", [SparseLabels.from_label_map, DenseLabels], ids=["sparse", "dense"])
def test_picking_is_even_over_classes(form: type[DenseLabels]) -> None:
    label_map = np.full((20, 20), 255, np.uint8)
    label_map[:10], label_map[15, 15] = 0, 1
    rng = np.random.default_rng(0)
    picked = [form(label_map, 255).pick(rng) for _ in range(200)]
    assert all(p is not None and label_map[p] != 255 for p in picked)
    assert 70 < picked.count((15, 15)) < 130
    assert len(set(picked)) > 50
    assert form(np.full((4, 4), 255, np.uint8), 255).pick(rng) is None


def test_a_map_without_labels() -> None:
    for labels in (SparseLabels.from_label_map(np.full((9, 9), 255, np.uint8), 255),
                   DenseLabels(np.full((9, 9), 255, np.uint8), 255)):  # fmt: skip
        window = draw_window(np.random.default_rng(0), (9, 9), Augmentation((5, 5)))
        assert not labels.any_inside(window)
        assert (labels.crop(window) == 255).all()
        assert len(labels.classes()) == 0
