from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import chisquare

from data_manifests import open_dataset
from data_manifests.files.masks import read_mask
from sparsekit.clicks.draw import _SMALL_MARGIN, _far_from_others, draw_clicks
from sparsekit.clicks.settings import GUIDED, STRATEGIES, ClickSettings
from sparsekit.clicks.uniform import sample_clicks
from sparsekit.geometry.regions import find_regions, true_instances
from sparsekit.randomness import ImageStream
from tests.helpers.label_maps import AWKWARD, VOID, label_maps
from tests.helpers.real_data import real_data

#: Those that a network guides are in ``test_guides.py``.
UNGUIDED = sorted(STRATEGIES.keys() - GUIDED)


def stream(seed=0, image_id="image"):
    return ImageStream(seed, image_id, "points")


def draw(label_map, budget=10, seed=0, **how):
    return draw_clicks(label_map, budget, ClickSettings(**how), rng=stream(seed))


def places(clicks):
    return [(click.row, click.col) for _, click in clicks]


#: The first clicks of each strategy and margin; a change of these places changes every published annotation.
GOLDEN_CLICKS = {
    ("uniform", 0): [(23, 25), (20, 21), (18, 3), (23, 8)],
    ("uniform", 3): [(18, 6), (16, 15), (4, 6), (10, 29)],
    ("uniform", 40): [(10, 21), (17, 0), (17, 14), (10, 12)],
    ("class-balanced", 0): [(7, 9), (23, 28), (16, 22), (19, 15)],
    ("class-balanced", 3): [(16, 30), (4, 1), (17, 20), (11, 21)],
    ("class-balanced", 40): [(17, 2), (0, 1), (2, 13), (23, 31)],
    ("per-class", 0): [(7, 9), (23, 28), (16, 22)],
    ("per-class", 3): [(16, 30), (4, 1), (17, 20)],
    ("per-class", 40): [(17, 2), (0, 1), (2, 13)],
    ("per-instance", 0): [(5, 23), (22, 27), (19, 25), (12, 22)],
    ("per-instance", 3): [(16, 2), (23, 31), (19, 25), (18, 12)],
    ("per-instance", 40): [(17, 5), (23, 31), (19, 25), (10, 21)],
    ("center", 0): [(16, 23), (4, 31), (10, 6), (13, 31)],
    ("center", 3): [(18, 15), (9, 1), (3, 13), (1, 13)],
    ("center", 40): [(17, 1), (17, 30), (0, 13), (23, 30)],
}


@pytest.mark.parametrize(("strategy", "margin"), GOLDEN_CLICKS)
def test_golden_clicks(strategy, margin):
    rows, cols = np.indices((24, 32))
    label_map = ((rows // 7 + cols // 9) % 3).astype(np.uint8)
    label_map[:3, 20:] = VOID
    label_map[12, 5] = 2
    label_map[18:20, 25] = 0
    how = ClickSettings(strategy, margin=margin, min_distance=2)
    drawn = draw_clicks(label_map, 4, how, rng=ImageStream(0, "golden", "points"))
    expected = GOLDEN_CLICKS[strategy, margin]
    assert places(drawn)[: len(expected)] == expected


def allowed_by_the_book(label_map, margin):
    """Pixels at least the margin, or else as far as any of their region, from all pixels outside their region."""
    allowed = np.zeros(label_map.shape, bool)
    numbers = find_regions(label_map, VOID).numbers
    for number in range(numbers.max() + 1):
        inside, outside = np.argwhere(numbers == number), np.argwhere(numbers != number)
        squares = ((inside[:, None] - outside) ** 2).sum(2).min(1, initial=10**9)
        far = inside[squares >= min(margin**2, squares.max())]
        allowed[far[:, 0], far[:, 1]] = True
    return allowed


@given(label_map=label_maps(), margin=st.integers(2, 12))
@settings(max_examples=80)
def test_every_pixel_as_far_as_the_margin_may_be_clicked_and_no_other(label_map, margin):
    label_map = label_map[:40, :40]
    np.testing.assert_array_equal(_far_from_others(label_map, margin, VOID), allowed_by_the_book(label_map, margin))


@pytest.mark.parametrize("margin", [_SMALL_MARGIN - 1, _SMALL_MARGIN, _SMALL_MARGIN + 1])
def test_large_margins_allow_the_same_pixels_whichever_way_they_are_found(margin):
    label_map = np.zeros((150, 160), np.uint8)
    label_map[70:73, 80], label_map[140:, :3], label_map[0, 0] = 1, 2, VOID
    squares = np.rint(ndimage.distance_transform_edt(label_map == 0) ** 2)
    allowed = _far_from_others(label_map, margin, VOID)[label_map == 0]
    np.testing.assert_array_equal(allowed, squares[label_map == 0] >= margin**2)
    assert 0 < allowed.sum() < allowed.size


@given(
    label_map=label_maps(),
    strategy=st.sampled_from(UNGUIDED),
    small=st.integers(1, 12),
    more=st.integers(1, 12),
    margin=st.integers(0, 4),
    min_distance=st.integers(0, 6),
    seed=st.integers(0, 99),
)
@settings(max_examples=150)
def test_clicks_are_distinct_on_their_class_apart_nested_and_within_budget(
    label_map, strategy, small, more, margin, min_distance, seed
):
    how = {"strategy": strategy, "margin": margin, "min_distance": min_distance, "seed": seed}
    many = draw(label_map, small + more, **how)
    few = draw(label_map, small, **how)
    assert [(n, click) for n, click in many if n <= small] == few
    found = places(many)
    assert len(set(found)) == len(found)
    assert all(click.class_id == label_map[click.row, click.col] != VOID for _, click in many)
    for i, (row, col) in enumerate(found):
        assert all((row - r) ** 2 + (col - c) ** 2 >= min_distance**2 for r, c in found[:i])
    counted = Counter({"image": len(many)}) if STRATEGIES[strategy][1] == "image" else Counter()
    for _, click in many:
        counted[{"image": None, "class": click.class_id, "instance": click.region}[STRATEGIES[strategy][1]]] += 1
    assert max(counted.values(), default=0) <= small + more


@given(label_map=label_maps(), margin=st.integers(2, 6), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_margin_is_kept_or_the_farthest_pixels_of_the_region_taken(label_map, margin, seed):
    regions = find_regions(label_map, VOID)
    for _, click in draw(label_map, 30, seed, margin=margin):
        inside = regions.numbers == regions.numbers[click.row, click.col]
        if inside.all():
            continue
        away = np.rint(ndimage.distance_transform_edt(inside) ** 2)  # the outside the image is no other class
        assert away[click.row, click.col] >= min(margin**2, away.max())


@given(label_map=label_maps(), budget=st.integers(1, 60), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_uniform_without_knobs_is_the_seed_protocol(label_map, budget, seed):
    slow = [click for _, click in draw(label_map, budget, seed)]
    assert slow == sample_clicks(label_map, budget, rng=stream(seed))


def test_every_class_gets_a_click_before_any_gets_the_next():
    label_map = np.zeros((30, 30), np.uint8)
    label_map[0, :3], label_map[5, 5] = 1, 2
    classes = [click.class_id for _, click in draw(label_map, 12, strategy="class-balanced")]
    assert sorted(classes[:3]) == [0, 1, 2]
    assert Counter(classes) == {0: 8, 1: 3, 2: 1}
    numbers = [(n, click.class_id) for n, click in draw(label_map, 2, strategy="per-class")]
    assert sorted(numbers) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]


def test_every_region_or_true_instance_gets_its_clicks():
    label_map = AWKWARD["tiles of four classes"]
    regions = find_regions(label_map, VOID)
    clicks = draw(label_map, 2, strategy="per-instance")
    assert Counter(click.region for _, click in clicks) == dict.fromkeys(range(len(regions)), 2)
    assert all(regions.numbers[click.row, click.col] == click.region for _, click in clicks)
    whole = np.ones((8, 8), np.uint8)
    instances = np.repeat([[1, 2]], 8, 0).repeat(4, 1).astype(np.uint8)
    drawn = draw_clicks(whole, 1, ClickSettings("per-instance"), rng=stream(), instances=instances)
    assert sorted(instances[click.row, click.col] for _, click in drawn) == [1, 2]


def steps_to_others(label_map):
    """City-block distance to the nearest pixel of another value, pixel by pixel."""
    rows, cols = np.indices(label_map.shape).reshape(2, -1)
    steps = np.abs(rows[:, None] - rows) + np.abs(cols[:, None] - cols)
    steps[label_map.ravel()[:, None] == label_map.ravel()] = 255
    return steps.min(1).reshape(label_map.shape)


def test_central_clicks_are_as_likely_as_they_are_far_from_others():
    label_map = np.zeros((7, 9), np.uint8)
    label_map[0:2, 0:4] = 1
    label_map[6, 8] = VOID
    weights = np.where(label_map == VOID, 0, steps_to_others(label_map))
    hits = np.zeros(label_map.shape)
    for seed in range(4000):
        hits[places(draw(label_map, 1, seed, strategy="center"))[0]] += 1
    assert hits[weights == 0].sum() == 0
    expected = weights[weights > 0] / weights.sum() * hits.sum()
    assert chisquare(hits[weights > 0], expected).pvalue > 1e-3


def test_central_clicks_know_no_distance_beyond_255_steps():
    label_map = np.zeros((3, 1200), np.uint8)
    label_map[:, 0] = 1
    drawn = draw(label_map, 3 * 1200, strategy="center")
    assert len(drawn) == 3 * 1200 and len(set(places(drawn))) == 3 * 1200
    one_class = draw(np.zeros((4, 4), np.uint8), 20, strategy="center")
    assert sorted(places(one_class)) == list(np.ndindex(4, 4))


def test_slipped_clicks_share_no_pixel_where_there_is_room():
    slipped = draw(np.zeros((40, 40), np.uint8), 200, jitter=6)
    assert len(set(places(slipped))) == 200


def test_hand_slips_within_the_jitter_and_means_the_class_it_left():
    label_map = AWKWARD["tiles of four classes"].repeat(2, 0).repeat(2, 1)
    meant = draw(label_map, 60)
    slipped = draw(label_map, 60, jitter=3)
    away = np.array(places(meant)) - places(slipped)
    assert ((away**2).sum(1) <= 9).all() and (away != 0).any(1).mean() > 0.8
    assert [click.class_id for _, click in meant] == [click.class_id for _, click in slipped]
    assert len(set(places(slipped))) == 60
    assert draw(label_map, 20, jitter=3) == slipped[:20]


def test_wrong_labels_are_other_classes_of_the_image_in_the_share_asked_for():
    label_map = AWKWARD["tiles of four classes"].repeat(4, 0).repeat(4, 1)
    meant = draw(label_map, 2000)
    made = draw(label_map, 2000, wrong=0.1)
    assert places(made) == places(meant)
    wrong = [b.class_id for (_, a), (_, b) in zip(meant, made, strict=True) if a.class_id != b.class_id]
    assert 150 < len(wrong) < 250 and set(wrong) <= {0, 1, 2, 3}
    assert draw(label_map, 500, wrong=0.1) == made[:500]
    only = draw(np.zeros((9, 9), np.uint8), 9, wrong=1.0)
    assert {click.class_id for _, click in only} == {0}  # there is no other class to mistake it for


def test_clicks_stop_where_there_is_no_room_left():
    label_map = np.zeros((200, 300), np.uint8)
    for strategy in ("uniform", "center", "class-balanced"):
        clicks = draw(label_map, 5000, strategy=strategy, min_distance=30)
        rows, cols = np.indices(label_map.shape)
        nearest = np.min([(rows - r) ** 2 + (cols - c) ** 2 for r, c in places(clicks)], axis=0)
        assert len(clicks) < 150 and nearest.max() < 30**2  # no pixel could still be clicked


@pytest.mark.parametrize("strategy", UNGUIDED)
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_shapes(name, strategy):
    label_map = AWKWARD[name]
    clicks = draw(label_map, 5, strategy=strategy, margin=3)
    assert clicks and all(click.class_id == label_map[click.row, click.col] != VOID for _, click in clicks)


@pytest.mark.parametrize("strategy", UNGUIDED)
@pytest.mark.parametrize(
    ("ids_of_rows", "void", "clicked"),
    [
        (np.full(5, VOID, np.uint8), VOID, set()),
        (np.array([65535, 300, 300, 300, 70], np.uint16), 65535, {300, 70}),
    ],
    ids=["void everywhere", "ids of 16 bits"],
)
def test_every_class_is_clicked_and_void_never(ids_of_rows, void, clicked, strategy):
    how = ClickSettings(strategy, margin=2)
    clicks = draw_clicks(ids_of_rows[:, None].repeat(6, 1), 40, how, rng=stream(), unlabelled_value=void)
    assert {click.class_id for _, click in clicks} == clicked


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"strategy": "random"}, "Unknown strategy 'random'. Choose from: uniform, class-balanced, per-class"),
        ({"margin": -1}, "margin must lie between 0 and 1000000, got -1"),
        ({"jitter": 10**23}, "jitter must lie between 0 and 1000000"),
        ({"jitter": -1}, "jitter must lie between 0 and 1000000"),
        ({"min_distance": -1}, "min_distance must lie between 0 and 1000000"),
        ({"wrong": 1.5}, "wrong must be a share between 0 and 1, got 1.5"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ClickSettings(**wrong)


def test_wrong_budget_and_map_are_refused():
    with pytest.raises(ValueError, match="clicks_per_class must be at least 1, got 0"):
        draw(np.zeros((3, 3), np.uint8), 0, strategy="per-class")
    with pytest.raises(ValueError, match="colour-coded map"):
        draw(np.zeros((3, 3, 3), np.uint8))


def test_true_instances_of_cityscapes_each_get_one_click():
    dataset = open_dataset(real_data("cityscapes_sample"))
    item = dataset.items[-1]
    label_map = dataset.label_space.to_train_ids(read_mask(item.mask_path), dataset.encoding)
    instances = true_instances(read_mask(item.instance_path))
    clicks = draw_clicks(label_map, 1, ClickSettings("per-instance", margin=3), rng=stream(), instances=instances)
    clicked = Counter(instances[click.row, click.col] for _, click in clicks)
    expected = set(np.unique(instances[(label_map != VOID) & (instances > 0)]).tolist())
    assert {i for i in clicked if i} == expected and all(clicked[i] == 1 for i in expected)
