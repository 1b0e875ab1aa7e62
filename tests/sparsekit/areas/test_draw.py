import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from data_manifests import open_dataset
from data_manifests.files.masks import read_mask
from sparsekit.areas.draw import _reach_of_share, _slit, mark_regions
from sparsekit.areas.settings import RegionMarkSettings
from sparsekit.geometry.mark_pixels import mark_pixels
from sparsekit.geometry.regions import find_regions
from tests.helpers.label_maps import AWKWARD, VOID, bent_map, digest_of, label_maps
from tests.helpers.real_data import real_data


def assert_sound(label_map, marks, min_area):
    """Every labelled pixel in its own region; every class and every large region has a mark."""
    regions = find_regions(label_map, VOID)
    for mark in marks:
        rows, cols = mark_pixels(mark).T
        assert (regions.numbers[rows, cols] == mark.region).all()
        assert mark.class_id == regions.class_ids[mark.region]
        assert (mark.row, mark.col) == mark.points[0]
    assert {mark.class_id for mark in marks} == set(np.unique(label_map).tolist()) - {VOID}
    assert set(np.flatnonzero(regions.areas >= min_area)) <= {mark.region for mark in marks}


@given(
    label_map=label_maps(),
    kind=st.sampled_from(["block", "coarse"]),
    min_area=st.integers(1, 60),
    margin=st.integers(1, 9),
    share=st.sampled_from([0.1, 0.2, 0.5, 1.0]),
)
@settings(max_examples=150)
def test_blocks_and_coarse_polygons_stay_in_their_region_and_reach_every_class(
    label_map, kind, min_area, margin, share
):
    marks = mark_regions(label_map, RegionMarkSettings(kind, min_area=min_area, margin=margin), share)
    assert_sound(label_map, marks, min_area)


@given(label_map=label_maps(), min_area=st.integers(1, 60))
@settings(max_examples=60)
def test_boxes_bound_their_regions_the_smallest_first(label_map, min_area):
    regions = find_regions(label_map, VOID)
    boxes = mark_regions(label_map, RegionMarkSettings("box", min_area=min_area))
    sizes = []
    for mark in boxes:
        rows, cols = np.nonzero(regions.numbers == mark.region)
        assert mark.points == ((rows.min(), cols.min()), (rows.max(), cols.max()))
        sizes.append(len(mark_pixels(mark)))
        assert sizes[-1] == (np.ptp(rows) + 1) * (np.ptp(cols) + 1)
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("kind", ["block", "coarse", "box"])
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_shapes(name, kind):
    marks = mark_regions(AWKWARD[name], RegionMarkSettings(kind, min_area=1))
    assert {mark.region for mark in marks} == set(range(len(find_regions(AWKWARD[name], VOID))))
    if kind != "box":
        assert_sound(AWKWARD[name], marks, min_area=1)


@pytest.mark.parametrize("kind", ["block", "coarse", "box"])
def test_void_everywhere_gives_no_mark(kind):
    assert mark_regions(np.full((5, 6), VOID, np.uint8), RegionMarkSettings(kind)) == []


def test_holes_are_cut_open_and_not_covered():
    label_map = np.zeros((80, 90), np.uint8)
    label_map[20:40, 20:50] = label_map[60:65, 70:75] = 1
    (outer,) = [mark for mark in mark_regions(label_map, RegionMarkSettings("coarse")) if mark.class_id == 0]
    rows, cols = mark_pixels(outer).T
    assert (label_map[rows, cols] == 0).all()
    assert len(rows) > 0.6 * (label_map == 0).sum()


def test_coarse_polygons_keep_their_distance_and_reach_the_edge_of_the_image():
    label_map = np.zeros((100, 100), np.uint8)
    label_map[:, 50:] = 1
    left, right = mark_regions(label_map, RegionMarkSettings("coarse", margin=7))
    assert left.points and set(left.points) == {(0, 0), (99, 0), (99, 43), (0, 43)}
    assert set(right.points) == {(0, 56), (99, 56), (99, 99), (0, 99)}


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_blocks_cover_about_the_share(share):
    rows, cols = np.mgrid[:200, :200]
    label_map = ((rows - 90) ** 2 + (cols - 110) ** 2 < 80**2).astype(np.uint8)
    disc = next(m for m in mark_regions(label_map, RegionMarkSettings(), share) if m.class_id == 1)
    assert len(mark_pixels(disc)) / label_map.sum() == pytest.approx(share, rel=0.1)


@given(
    reach=hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 12)),
    share=st.sampled_from([0.01, 0.1, 0.2, 0.5, 1.0]),
)
@settings(max_examples=150)
def test_the_reach_of_a_share_agrees_with_a_trial_of_every_distance(reach, share):
    reach.flat[0] = 5  # a region has pixels
    inside = [value for value in reach.ravel().tolist() if value > 0]
    misses = {v: abs(sum(value >= v for value in inside) - share * len(inside)) for v in sorted(set(inside))}
    assert _reach_of_share(reach, share) == min(misses, key=lambda value: misses[value])  # the first of equal ones


@given(mask=hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=12)))
@settings(max_examples=300)
def test_slits_run_straight_up_from_the_first_pixel_of_each_hole(mask):
    mask[0, 0] = True  # the pixels farthest from the edge, at least
    expected = mask.astype(np.uint8)
    beyond = ndimage.label(np.pad(~mask, 1, constant_values=True))[0][1:-1, 1:-1]  # 4-connected; 1 is the outside
    for number in range(2, beyond.max() + 1):
        row, col = np.argwhere(beyond == number)[0]
        while row > 0 and mask[row - 1, col]:
            row -= 1
            expected[row, col] = 0
    np.testing.assert_array_equal(_slit(mask), expected)


@pytest.mark.parametrize(
    ("how", "share", "number", "digest"),
    [
        ({"kind": "block"}, 0.2, 126, "3bb49fe5463d1b61"),
        ({"kind": "block", "min_area": 400}, 0.5, 125, "9bf2b05727b72c9f"),
        ({"kind": "coarse", "margin": 8}, 1.0, 132, "02ec55944313736d"),
        ({"kind": "box"}, 1.0, 49, "4e7783710c565224"),
    ],
)
def test_golden_marks_of_large_regions(how, share, number, digest):
    # A change of these numbers changes published annotations.
    marks = mark_regions(bent_map(), RegionMarkSettings(**how), share)
    assert (len(marks), digest_of(marks)) == (number, digest)


def test_a_true_instance_in_parts_has_one_box():
    label_map = np.zeros((20, 40), np.uint8)
    label_map[5:15, 5:15] = label_map[5:15, 25:35] = 1
    instances = label_map.copy()
    boxes = mark_regions(label_map, RegionMarkSettings("box", "instance"), instances=instances)
    assert [mark.points for mark in boxes if mark.class_id == 1] == [((5, 5), (14, 34))]


@pytest.mark.parametrize("name", ["camvid", "cityscapes_sample", "voc_sample"])
def test_real_masks_have_no_pixel_off_its_class_and_no_class_without_a_mark(name):
    dataset = open_dataset(real_data(name))
    for item in dataset.items[:: max(1, len(dataset.items) // 3)]:
        label_map = dataset.label_space.to_train_ids(read_mask(item.mask_path), dataset.encoding)
        assert_sound(label_map, mark_regions(label_map, RegionMarkSettings("coarse")), min_area=50)
        for share in (0.1, 0.5):
            assert_sound(label_map, mark_regions(label_map, RegionMarkSettings("block"), share), min_area=50)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "polygon"}, "Unknown kind 'polygon'. Choose from: block, box, coarse"),
        ({"per": "class"}, "Unknown unit 'class'. Choose from: region, instance"),
        ({"min_area": 0}, "min_area must be at least 1, got 0"),
        ({"margin": 0}, "margin must be at least 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        RegionMarkSettings(**wrong)


def test_wrong_share_is_refused():
    with pytest.raises(ValueError, match="above 0 and at most 1, got 0"):
        mark_regions(np.zeros((3, 3), np.uint8), RegionMarkSettings(), 0)
