import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import chisquare

from sparsekit.clicks.uniform import draw_distinct, sample_clicks
from sparsekit.randomness import ImageStream

label_maps = hnp.arrays(
    np.uint8,
    hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    elements=st.sampled_from([0, 1, 2, 255]),
)


def stream(seed=0):
    return ImageStream(seed, "image", "points")


def positions(clicks):
    return [(click.row, click.col) for click in clicks]


def test_golden_clicks():
    # A change of these places changes every published annotation.
    label_map = (np.arange(64, dtype=np.uint8) // 8).reshape(8, 8).T.copy()
    label_map[0] = 255
    clicks = sample_clicks(label_map, 4, rng=ImageStream(0, "golden", "points"))
    assert [(click.row, click.col, click.class_id) for click in clicks] == [(1, 1, 1), (6, 1, 1), (1, 5, 5), (7, 6, 6)]


@given(label_map=label_maps, count=st.integers(1, 160), seed=st.integers(0, 1000))
@settings(max_examples=150)
def test_clicks_are_distinct_annotated_pixels_with_their_own_class(label_map, count, seed):
    clicks = sample_clicks(label_map, count, rng=stream(seed))
    places = positions(clicks)
    assert len(clicks) == min(count, np.count_nonzero(label_map != 255))
    assert len(set(places)) == len(places)
    assert all(click.class_id == label_map[click.row, click.col] != 255 for click in clicks)


@given(label_map=label_maps, small=st.integers(1, 40), more=st.integers(0, 40), seed=st.integers(0, 1000))
@settings(max_examples=100)
def test_smaller_budgets_are_the_beginning_of_larger_ones(label_map, small, more, seed):
    few = sample_clicks(label_map, small, rng=stream(seed))
    many = sample_clicks(label_map, small + more, rng=stream(seed))
    assert many[: len(few)] == few


def test_every_annotated_pixel_is_equally_likely():
    label_map = np.zeros((6, 7), np.uint8)
    label_map[:, 3] = 1
    label_map[2] = 255
    hits = np.zeros(label_map.shape, int)
    for seed in range(3000):
        for row, col in positions(sample_clicks(label_map, 5, rng=stream(seed))):
            hits[row, col] += 1
    assert hits[2].sum() == 0
    assert chisquare(hits[label_map != 255]).pvalue > 1e-3


def test_draws_follow_a_literal_fisher_yates_shuffle():
    for population in (1, 2, 10, 100):
        deck, rng = list(range(population)), stream(population)
        for place in range(population):
            chosen = place + rng.below(population - place)
            deck[place], deck[chosen] = deck[chosen], deck[place]
        assert list(draw_distinct(population, population, stream(population))) == deck


@pytest.mark.parametrize("value", [0, 300], ids=["8-bit", "16-bit"])
def test_unlabelled_value_is_never_clicked(value):
    label_map = np.full((3, 3), value, np.uint16)
    label_map[1, 1] = 65535
    clicks = sample_clicks(label_map, 100, rng=stream(), unlabelled_value=65535)
    assert len(clicks) == 8 and (1, 1) not in positions(clicks)
    assert {click.class_id for click in clicks} == {value}


def test_void_everywhere_gives_no_click():
    assert sample_clicks(np.full((4, 4), 255, np.uint8), 5, rng=stream()) == []


def test_colour_coded_map_is_refused():
    with pytest.raises(ValueError, match=r"got \(4, 4, 3\); is this a colour-coded map"):
        sample_clicks(np.zeros((4, 4, 3), np.uint8), 5, rng=stream())


def test_no_clicks_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        sample_clicks(np.zeros((4, 4), np.uint8), 0, rng=stream())
