import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import LabelClass, LabelSpace, open_dataset
from data_manifests.files.masks import read_mask
from sparsekit.geometry.mark_pixels import mark_pixels
from sparsekit.geometry.rasterize import rasterize
from sparsekit.geometry.regions import find_regions
from sparsekit.randomness import ImageStream
from sparsekit.scribbles.settings import PRESETS, ScribbleSettings, scribble_settings
from sparsekit.scribbles.trace import trace_scribbles
from tests.helpers.label_maps import AWKWARD, VOID, bent_map, digest_of, label_maps
from tests.helpers.real_data import real_data


def stream(image_id="image", seed=0):
    return ImageStream(seed, image_id, "scribbles")


def pixels(mark):
    return set(map(tuple, mark_pixels(mark).tolist()))


def assert_sound(label_map, marks, min_area, unlabelled_value=VOID):
    """Every labelled pixel on its own class and region; every class and large region has a mark."""
    regions = find_regions(label_map, unlabelled_value)
    for mark in marks:
        rows, cols = mark_pixels(mark).T
        assert (
            rows.min() >= 0 and cols.min() >= 0 and rows.max() < label_map.shape[0] and cols.max() < label_map.shape[1]
        )
        assert (label_map[rows, cols] == mark.class_id).all()
        assert (regions.numbers[rows, cols] == mark.region).all()
        assert len(mark.widths) == len(mark.points) and min(mark.widths) >= 1
        assert (mark.row, mark.col) == mark.points[0]
    assert {mark.class_id for mark in marks} == set(np.unique(label_map).tolist()) - {unlabelled_value}
    assert set(np.flatnonzero(regions.areas >= min_area)) <= {mark.region for mark in marks}


@given(
    label_map=label_maps(),
    min_area=st.integers(1, 80),
    width=st.integers(1, 12),
    strokes=st.integers(1, 3),
    wobble=st.sampled_from([0.0, 1.0, 2.0]),
    share=st.floats(0.05, 1),
    seed=st.integers(0, 99),
)
@settings(max_examples=120)
def test_strokes_stay_on_their_class_and_reach_every_class_and_region(
    label_map, min_area, width, strokes, wobble, share, seed
):
    how = ScribbleSettings(min_area=min_area, width=width, strokes=strokes, wobble=wobble)
    short, whole = trace_scribbles(label_map, how, (share, 1.0), rng=stream(seed=seed))
    assert_sound(label_map, short, min_area)
    assert_sound(label_map, whole, min_area)
    assert max((max(mark.widths) for mark in whole), default=0) <= width
    for part, all_of_it in zip(short, whole, strict=True):
        assert part.region == all_of_it.region
        assert pixels(part) <= pixels(all_of_it)
    assert trace_scribbles(label_map, how, (share, 1.0), rng=stream(seed=seed)) == [short, whole]


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_shapes(name):
    (marks,) = trace_scribbles(AWKWARD[name], ScribbleSettings(min_area=1), (1.0,), rng=stream())
    assert_sound(AWKWARD[name], marks, min_area=1)
    assert len(marks) == len(find_regions(AWKWARD[name], VOID))


def test_void_everywhere_gives_no_stroke():
    assert trace_scribbles(np.full((9, 9), VOID, np.uint8), rng=stream()) == [[]]


def test_16_bit_ids():
    label_map = np.full((20, 30), 300, np.uint16)
    label_map[:, 20:] = 65535
    (marks,) = trace_scribbles(label_map, rng=stream(), unlabelled_value=65535)
    assert_sound(label_map, marks, 50, unlabelled_value=65535)
    space = LabelSpace("many", tuple(LabelClass(f"c{i}", (0, 0, 0), (i,)) for i in range(301)))
    sparse = rasterize(marks, label_map.shape, space)
    assert set(np.unique(sparse)) == {300, 65535} and (label_map[sparse == 300] == 300).all()


def test_a_stroke_runs_along_a_bar_through_its_middle():
    label_map = np.zeros((40, 200), np.uint8)
    label_map[15:26, 10:190] = 1
    (marks,) = trace_scribbles(label_map, ScribbleSettings(wobble=0), (1.0,), rng=stream())
    bar = next(mark for mark in marks if mark.class_id == 1)
    rows, cols = np.array(bar.points).T
    assert max(cols) > 180 and min(cols) < 19
    assert (np.abs(rows - 20)[(cols > 25) & (cols < 175)] <= 1).all()
    assert max(bar.widths) == 5


def test_a_stroke_goes_round_a_bend_and_a_ring():
    bend = np.full((90, 90), VOID, np.uint8)
    bend[5:85, 5:17] = bend[73:85, 5:85] = 0
    ring = np.where(AWKWARD["ring"] == 1, 1, VOID).astype(np.uint8)
    for label_map, points_passed in [(bend, [(10, 11), (79, 11), (79, 80)]), (ring, [])]:
        (marks,) = trace_scribbles(label_map, ScribbleSettings(wobble=0), (1.0,), rng=stream())
        (mark,) = marks
        corners = np.array(mark.points)
        for point in points_passed:
            assert np.abs(corners - point).sum(1).min() <= 12
    angles = np.arctan2(*(corners - 30).T)
    assert len(np.unique((angles * 4 / np.pi).round() % 8)) >= 6  # of eight directions from the ring's middle


def test_thin_regions_get_thin_strokes():
    label_map = np.full((60, 60), VOID, np.uint8)
    label_map[2:5, 5:55] = 0
    label_map[20:50, 5:55] = 1
    (marks,) = trace_scribbles(label_map, ScribbleSettings(width=9), rng=stream())
    assert {mark.class_id: max(mark.widths) for mark in marks} == {0: 2, 1: 9}


def test_equal_shapes_get_different_strokes_and_equal_seeds_equal_ones():
    label_map = np.full((60, 130), VOID, np.uint8)
    label_map[10:50, 10:60] = label_map[10:50, 70:120] = 0
    (marks,) = trace_scribbles(label_map, rng=stream())
    left, right = (np.array(mark.points) for mark in marks)
    assert left.tolist() != (right - [0, 60]).tolist()
    (others,) = trace_scribbles(label_map, rng=stream(seed=1))
    assert others != marks


def test_other_settings_leave_the_stroke_of_a_region_as_it_is():
    label_map = AWKWARD["tiles of four classes"].repeat(8, 0).repeat(8, 1)
    label_map[100:103, 100:103] = 9
    (many,) = trace_scribbles(label_map, ScribbleSettings(min_area=1), rng=stream())
    (few,) = trace_scribbles(label_map, ScribbleSettings(min_area=900), rng=stream())
    (more,) = trace_scribbles(label_map, ScribbleSettings(min_area=1, strokes=3), rng=stream())
    assert set(few) <= set(many)
    assert more[: len(many)] == many and len(more) > len(many)


def test_further_strokes_keep_away_from_the_first():
    label_map = np.zeros((120, 200), np.uint8)
    (marks,) = trace_scribbles(label_map, ScribbleSettings(strokes=2), rng=stream())
    first, second = (np.array(mark.points) for mark in marks)
    assert np.abs(first[:, None] - second).max(2).min() > 10


def test_one_stroke_per_class_is_in_its_largest_region():
    label_map = np.zeros((30, 60), np.uint8)
    label_map[5:15, 5:15] = label_map[5:20, 30:50] = 1
    (marks,) = trace_scribbles(label_map, ScribbleSettings(per="class"), rng=stream())
    assert [(mark.class_id, mark.region) for mark in marks] == [(0, 0), (1, 2)]


def test_one_stroke_per_true_instance():
    label_map = np.zeros((30, 60), np.uint8)
    label_map[5:25, 5:55] = 1
    instances = np.zeros((30, 60), np.uint8)
    instances[5:25, 5:30], instances[5:25, 30:55] = 1, 2
    (marks,) = trace_scribbles(label_map, ScribbleSettings(per="instance"), rng=stream(), instances=instances)
    assert [mark.class_id for mark in marks] == [0, 1, 1]
    for mark in marks[1:]:
        rows, cols = mark_pixels(mark).T
        assert len(set(instances[rows, cols])) == 1


def test_golden_stroke():
    # A change of these points changes every published annotation.
    label_map = np.zeros((40, 80), np.uint8)
    (marks,) = trace_scribbles(label_map, rng=stream("golden"))
    assert [(mark.points, mark.widths) for mark in marks] == GOLDEN


GOLDEN = [
    (
        ((33, 72), (29, 68), (24, 64), (20, 59), (19, 56), (19, 46), (18, 43), (18, 34), (20, 28), (20, 25), (17, 15)),
        (5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5),
    )
]


@pytest.mark.parametrize(
    ("how", "share", "number", "digest"),
    [
        ({}, 0.8, 49, "820fabf559319140"),
        ({"strokes": 3, "width": 9, "wobble": 2.0}, 1.0, 59, "8d88bbb63d5c454d"),
        ({"tolerance": 0.0, "wobble": 0.0, "min_area": 1}, 0.5, 54, "809b9fdc3aaba86e"),
    ],
)
def test_golden_strokes_of_large_regions(how, share, number, digest):
    # A change of these numbers changes published annotations.
    (marks,) = trace_scribbles(bent_map(), ScribbleSettings(**how), (share,), rng=stream("golden"))
    assert (len(marks), digest_of(marks)) == (number, digest)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"per": "object"}, "Unknown unit 'object'. Choose from: region, instance, class"),
        ({"width": 100}, "width must lie between 1 and 99, got 100"),
        ({"strokes": 0}, "strokes must lie between 1 and 99"),
        ({"min_area": -1}, "min_area must be at least 1"),
        ({"wobble": 3.0}, "wobble must lie between 0 and 2"),
        ({"tolerance": -0.1}, "tolerance must lie between 0 and 10"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ScribbleSettings(**wrong)


def test_wrong_share_and_preset_are_refused():
    with pytest.raises(ValueError, match="above 0 and at most 1, got 0"):
        trace_scribbles(np.zeros((3, 3), np.uint8), shares=(0.5, 0.0), rng=stream())
    with pytest.raises(ValueError, match=f"Unknown preset 'x'. Choose from: {', '.join(PRESETS)}"):
        scribble_settings("x")


def test_presets_give_way_to_what_is_given():
    length, how = scribble_settings("scribblesup", width=3)
    assert how.width == 3 and how.min_area == PRESETS["scribblesup"][1].min_area
    assert length == PRESETS["scribblesup"][0]


@pytest.mark.parametrize("name", ["camvid", "cityscapes_sample", "voc_sample"])
def test_real_masks_have_no_pixel_off_its_class_and_no_class_or_region_without_a_mark(name):
    dataset = open_dataset(real_data(name))
    for item in dataset.items[:: max(1, len(dataset.items) // 6)]:
        label_map = dataset.label_space.to_train_ids(read_mask(item.mask_path), dataset.encoding)
        (marks,) = trace_scribbles(label_map, rng=stream(item.image_id))
        assert_sound(label_map, marks, min_area=50)
