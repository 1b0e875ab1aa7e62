import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from sparsekit.geometry.regions import (
    edge_distances,
    far_from_other_values,
    find_regions,
    find_runs,
    squared,
    true_instances,
)
from tests.helpers.label_maps import AWKWARD, VOID, label_maps


def flood_fill(label_map):
    """Region numbers by the book: from each pixel in reading order to its neighbours of the same class."""
    numbers = np.full(label_map.shape, -1)
    count = 0
    for start in np.ndindex(*label_map.shape):
        if label_map[start] == VOID or numbers[start] >= 0:
            continue
        todo = [start]
        while todo:
            row, col = todo.pop()
            inside = 0 <= row < label_map.shape[0] and 0 <= col < label_map.shape[1]
            if inside and numbers[row, col] < 0 and label_map[row, col] == label_map[start]:
                numbers[row, col] = count
                todo += [(row + r, col + c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
        count += 1
    return numbers


@given(label_map=label_maps())
@settings(max_examples=60)
def test_regions_are_those_of_a_flood_fill(label_map):
    regions = find_regions(label_map, VOID)
    numbers = flood_fill(label_map)
    np.testing.assert_array_equal(regions.numbers, numbers)
    assert len(regions) == numbers.max() + 1
    for number in range(len(regions)):
        rows, cols = np.nonzero(numbers == number)
        assert regions.areas[number] == len(rows)
        assert regions.boxes[number].tolist() == [rows.min(), cols.min(), rows.max() + 1, cols.max() + 1]
        assert regions.class_ids[number] == label_map[rows[0], cols[0]]


@given(label_map=label_maps())
@settings(max_examples=60)
def test_distances_are_those_of_scipy(label_map):
    regions = find_regions(label_map, VOID)
    found = squared(edge_distances(regions))
    for number in range(len(regions)):
        inside = np.pad(regions.numbers == number, 1)
        expected = np.rint(ndimage.distance_transform_edt(inside)[1:-1, 1:-1] ** 2)
        where = regions.numbers == number
        np.testing.assert_array_equal(found[where], expected[where])
    assert not found[label_map == VOID].any()


@given(label_map=label_maps(), square=st.integers(2, 150))
@settings(max_examples=80)
def test_pixels_far_from_other_values_are_those_of_all_pairs(label_map, square):
    label_map = label_map[:40, :40]
    places = np.indices(label_map.shape).reshape(2, -1)
    squares = ((places[:, :, None] - places[:, None]) ** 2).sum(0)
    squares[label_map.ravel()[:, None] == label_map.ravel()] = 10**9
    expected = (squares.min(1) >= square).reshape(label_map.shape)
    np.testing.assert_array_equal(far_from_other_values(label_map, square), expected)
    np.testing.assert_array_equal(far_from_other_values(label_map.astype(np.uint16) * 256, square), expected)


@pytest.mark.parametrize("square", [2, 4, 1000])
def test_pixels_far_from_others_do_not_depend_on_where_strips_of_rows_end(square):
    label_map = np.zeros((300, 40), np.uint8)
    label_map[[0, 100, 127, 128, 255, 257, 299], [0, 9, 30, 20, 1, 39, 20]] = 1
    nearest = ndimage.distance_transform_edt(label_map == 0) ** 2  # of the zeros: to the nearest one
    expected = np.rint(nearest) >= square
    np.testing.assert_array_equal(far_from_other_values(label_map, square)[label_map == 0], expected[label_map == 0])
    assert not far_from_other_values(label_map, square)[label_map == 1].any()


def test_runs_cover_the_rows_of_an_image_higher_than_a_strip():
    values = (np.indices((300, 7)).sum(0) // 3 % 2).astype(np.uint8)
    runs = find_runs(values)
    assert (np.diff(runs.rows * 7 + runs.starts) > 0).all()
    painted = np.full(values.shape, 9)
    for row, start, stop, value in zip(runs.rows, runs.starts, runs.stops, runs.values, strict=True):
        assert (painted[row, start:stop] == 9).all() and (stop == 7 or values[row, stop] != value)
        painted[row, start:stop] = value
    np.testing.assert_array_equal(painted, values)


def test_distances_pass_over_the_edge_of_the_image_when_asked():
    label_map = np.zeros((5, 9), np.uint8)
    label_map[:, 6:] = 1
    distances = edge_distances(find_regions(label_map, VOID), image_edge=False)
    np.testing.assert_array_equal(distances[2], [6, 5, 4, 3, 2, 1, 1, 2, 3])
    everywhere = edge_distances(find_regions(np.zeros((5, 9), np.uint8), VOID), image_edge=False)
    assert (everywhere == 14).all()


def test_distances_of_some_regions_leave_the_others_zero():
    regions = find_regions(AWKWARD["one row"], VOID)
    distances = edge_distances(regions, np.array([1]))
    assert ((distances > 0) == (regions.numbers == 1)).all()


def test_parts_of_a_true_instance_are_one_region():
    label_map = np.array([[1, 1, 0, 1, 1, 1, VOID]] * 2, np.uint8)
    instances = np.array([[7, 7, 0, 7, 7, 9, 9]] * 2, np.uint8)
    regions = find_regions(label_map, VOID, instances)
    np.testing.assert_array_equal(regions.numbers[0], [0, 0, 1, 0, 0, 2, -1])
    assert regions.areas.tolist() == [8, 2, 2]
    assert regions.class_ids.tolist() == [1, 0, 1]
    assert regions.boxes[0].tolist() == [0, 0, 2, 5]


def test_largest_of_each_class_is_one_region_and_the_first_of_equals():
    regions = find_regions(np.array([[0, 1, 1, 0, 1, 1, 0, 0]], np.uint8), VOID)
    assert regions.class_ids[regions.largest_of_each_class()].tolist() == [1, 0]
    assert np.flatnonzero(regions.largest_of_each_class()).tolist() == [1, 4]


def test_16_bit_ids_and_void_everywhere():
    regions = find_regions(np.array([[300, 300, 65535, 256]], np.uint16), 65535)
    assert regions.class_ids.tolist() == [300, 256]
    empty = find_regions(np.full((3, 4), VOID, np.uint8), VOID)
    assert len(empty) == 0 and not edge_distances(empty).any() and not empty.largest_of_each_class().any()


def test_instance_files_of_cityscapes_and_voc_say_what_is_no_instance():
    assert true_instances(np.array([[7, 26, 26000, 26001]], np.uint16)).tolist() == [[0, 0, 26000, 26001]]
    assert true_instances(np.array([[0, 1, 2, 255]], np.uint8)).tolist() == [[0, 1, 2, 0]]


def test_maps_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"got \(4, 4, 3\); is this a colour-coded map"):
        find_regions(np.zeros((4, 4, 3), np.uint8), VOID)
    with pytest.raises(ValueError, match=r"Expected instances of shape \(4, 4\), got \(2, 2\)"):
        find_regions(np.zeros((4, 4), np.uint8), VOID, np.zeros((2, 2), np.uint8))
