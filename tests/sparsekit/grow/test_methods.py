"""Ways to grow the labels of one image, against literal versions."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab
from skimage.segmentation import random_walker, slic

from sparsekit.grow.geodesic import step_costs
from sparsekit.grow.methods import grow_labels
from sparsekit.grow.random_walker import BETA
from sparsekit.grow.seeds import Seeds, nearest_class, to_lab
from sparsekit.grow.settings import METHODS, GrowSettings
from sparsekit.grow.superpixels import NUM_SUPERPIXELS, colour_graph

VOID = 255


def dijkstra(starts, neighbours):
    """Shortest way from any of the starts to every place, by the book."""
    found, waiting = {}, [(0.0, start) for start in starts]
    while waiting:
        distance, place = heapq.heappop(waiting)
        if place not in found:
            found[place] = distance
            for other, length in neighbours(place):
                heapq.heappush(waiting, (distance + length, other))
    return found


def decide(distances, max_distance, confidence):
    """The rule of ``nearest_class``, place by place: class -> place -> distance in, place -> class out."""
    labels = {}
    for place in set().union(*distances.values()):
        ways = sorted((of[place], k) for k, of in distances.items() if place in of)
        (d1, k), d2 = ways[0], ways[1][0] if len(ways) > 1 else math.inf
        if d1 <= max_distance and d1 < d2 and (d1 == 0 or d2 == math.inf or d2 / (d1 + d2) >= confidence):
            labels[place] = k
    return labels


def an_image(seed=0, height=18, width=24):
    """Three areas of different colour with noise, and a few labels in them."""
    rng = np.random.default_rng(seed)
    areas = np.zeros((height, width), np.uint8)
    areas[:, width // 2 :] = 1
    areas[height // 2 :, : width // 3] = 2
    colours = np.array([[200, 60, 40], [40, 90, 200], [60, 190, 70]])
    image = np.clip(colours[areas] + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)
    sparse = np.full((height, width), VOID, np.uint8)
    for row, col in rng.integers(0, (height, width), (6, 2)):
        sparse[row, col] = areas[row, col]
    return image, sparse, areas


@pytest.mark.parametrize(("seed", "max_distance", "confidence"), [(0, 40.0, 0.6), (1, 15.0, 0.75), (2, 1e3, 0.5)])
def test_geodesic_is_dijkstra_over_all_pixels(seed, max_distance, confidence):
    image, sparse, _ = an_image(seed)
    height, width = sparse.shape
    costs = step_costs(to_lab(image))

    def neighbours(place):
        row, col = place
        for r in range(max(row - 1, 0), min(row + 2, height)):
            for c in range(max(col - 1, 0), min(col + 2, width)):
                if (r, c) != place:
                    yield (r, c), math.hypot(r - row, c - col) * (costs[row, col] + costs[r, c]) / 2

    distances = {
        k: dijkstra([tuple(p) for p in np.argwhere(sparse == k).tolist()], neighbours)
        for k in np.unique(sparse[sparse != VOID]).tolist()
    }
    expected = np.full_like(sparse, VOID)
    for place, k in decide(distances, max_distance, confidence).items():
        expected[place] = k
    grown = grow_labels(sparse, image, VOID, GrowSettings("geodesic", max_distance, confidence))
    assert (grown == expected).all() and (grown != VOID).sum() > (sparse != VOID).sum()


@pytest.mark.parametrize("seed", range(3))
def test_superpixels_are_dijkstra_over_their_graph(seed, monkeypatch):
    image, sparse, _ = an_image(seed, 30, 40)
    segments = slic(image, n_segments=NUM_SUPERPIXELS, start_label=0)
    lab = to_lab(image).astype(np.float64)
    means = {s: lab[segments == s].mean(axis=0) for s in np.unique(segments).tolist()}
    beside = {s: set() for s in means}
    height, width = segments.shape
    for r in range(height):
        for c in range(width):
            for other in [(r + 1, c), (r, c + 1)]:
                if other[0] < height and other[1] < width and segments[other] != segments[r, c]:
                    beside[int(segments[r, c])].add(int(segments[other]))
                    beside[int(segments[other])].add(int(segments[r, c]))
    distances = {
        k: dijkstra(
            set(segments[sparse == k].tolist()),
            lambda s: ((o, float(np.linalg.norm(means[s] - means[o]))) for o in beside[s]),
        )
        for k in np.unique(sparse[sparse != VOID]).tolist()
    }
    labels = decide(distances, 25.0, 0.6)
    expected = np.array([[labels.get(int(s), VOID) for s in line] for line in segments])
    grown = grow_labels(sparse, image, VOID, GrowSettings("superpixels", 25.0, 0.6))
    assert (grown == np.where(sparse == VOID, expected, sparse)).all()


def test_edges_of_no_length_are_edges():
    segments = np.array([[0, 1, 2]])
    lab = np.array([[[50, 0, 0], [50, 0, 0], [60, 0, 0]]], np.float32)
    graph = colour_graph(segments, lab)
    assert graph.nnz == 2 and graph[0, 1] == 0 and graph[1, 2] == 10


def test_labels_of_two_classes_in_a_superpixel_leave_it_unlabelled():
    image = np.zeros((160, 160, 3), np.uint8)
    sparse = np.full((160, 160), VOID, np.uint8)
    segments = slic(image, n_segments=NUM_SUPERPIXELS, start_label=0)
    inside = np.argwhere(segments == segments[80, 80])
    assert len(inside) > 1
    sparse[tuple(inside[0])], sparse[tuple(inside[1])] = 0, 1
    assert (grow_labels(sparse, image, VOID) == sparse).all()


def test_random_walker_is_scikit_images(seed=0):
    image, sparse, _ = an_image(seed)
    classes = np.unique(sparse[sparse != VOID])
    seeds = np.zeros(sparse.shape, np.int64)
    for number, k in enumerate(classes, start=1):
        seeds[sparse == k] = number
    probabilities = random_walker(
        to_lab(image) / 100, seeds, beta=BETA, mode="bf", channel_axis=-1, return_full_prob=True
    )
    grown = grow_labels(sparse, image, VOID, GrowSettings("random-walker", confidence=0.7))
    best = probabilities.max(axis=0)
    expected = np.where(best >= 0.7, classes[probabilities.argmax(axis=0)], VOID)
    assert (grown == np.where(sparse == VOID, expected, sparse)).all()


def test_a_random_walk_that_can_end_at_one_class_only_says_nothing():
    image, sparse, _ = an_image()
    one = np.where(sparse == 0, sparse, np.uint8(VOID))
    assert (grow_labels(one, image, VOID, GrowSettings("random-walker")) == one).all()


def test_colours_are_cielab():
    image, _, _ = an_image()
    assert np.abs(to_lab(image) - rgb2lab(image)).max() < 0.5


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=15)
@given(data=st.data())
def test_labels_stay_and_none_comes_from_nowhere(method, data):
    height, width = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    sparse = np.full((height, width), VOID, np.uint8)
    for _ in range(data.draw(st.integers(0, 5))):
        sparse[rng.integers(height), rng.integers(width)] = rng.integers(3)
    kept = sparse.copy()
    max_size = data.draw(st.sampled_from([4, 9, 1024]))
    grown = grow_labels(sparse, image, VOID, GrowSettings(method, max_size=max_size))
    assert (sparse == kept).all() and grown.dtype == sparse.dtype
    assert (grown[sparse != VOID] == sparse[sparse != VOID]).all()
    assert set(np.unique(grown)) <= {*np.unique(sparse), VOID}
    surer = grow_labels(sparse, image, VOID, GrowSettings(method, confidence=0.95, max_size=max_size))
    assert ((surer == VOID) | (surer == grown)).all()
    if METHODS[method].max_distance is not None:
        nearer = grow_labels(sparse, image, VOID, GrowSettings(method, 1.0, max_size=max_size))
        assert ((nearer == VOID) | (nearer == grown)).all()


@pytest.mark.parametrize("method", METHODS)
def test_areas_of_one_colour_are_labelled_right(method):
    image, sparse, areas = an_image(3, 60, 80)
    sparse[10, 10], sparse[10, 70], sparse[50, 10] = 0, 1, 2
    grown = grow_labels(sparse, image, VOID, GrowSettings(method))
    labelled = grown != VOID
    assert labelled.mean() > 0.1 and (grown == areas)[labelled].mean() > 0.98


def test_a_mask_of_16_bits():
    image, sparse, _ = an_image()
    deep = np.where(sparse == VOID, 65535, sparse.astype(np.uint16) + 300)
    grown = grow_labels(deep.astype(np.uint16), image, 65535)
    expected = grow_labels(sparse, image, VOID)
    assert grown.dtype == np.uint16
    assert (grown == np.where(expected == VOID, 65535, expected.astype(np.uint16) + 300)).all()


def test_seeds_keep_their_place_when_the_image_is_scaled():
    sparse = np.full((8, 8), VOID, np.uint8)
    sparse[7, 2], sparse[0, 7] = 5, 2
    seeds = Seeds.of(sparse, VOID, (4, 2))
    assert (seeds.rows.tolist(), seeds.cols.tolist()) == ([0, 3], [1, 0])
    assert seeds.classes[seeds.labels].tolist() == [2, 5]


def test_without_another_class_distance_alone_decides():
    assert nearest_class(np.array([[0.0, 3.0, 9.0]]), 5.0, 0.9).tolist() == [0, 0, -1]
    assert nearest_class(np.array([[0.0, 1.0], [np.inf, np.inf]]), 5.0, 1.0).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"method": "magic"}, "Unknown method 'magic'"),
        ({"confidence": 1.1}, "between 0 and 1"),
        ({"max_distance": -1.0}, "max_distance must"),
        ({"max_distance": math.nan}, "max_distance must"),
        ({"max_size": 0}, "at least 1"),
        ({"method": "random-walker", "max_distance": 3.0}, "max_distance .*random-walker"),
    ],
)
def test_settings_out_of_range(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        GrowSettings(**arguments)
