import numpy as np
import pytest

from data_manifests import known_label_space
from data_manifests.files.masks import pixel_sha256
from sparsekit.demo_data import draw_scene
from sparsekit.demo_data.dataset import scene_name
from sparsekit.demo_data.dice import Dice
from sparsekit.demo_data.light import WEATHERS, draw_light

SPACE = known_label_space("cityscapes")
COUNTABLE = range(24, 34)


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(256, 128, 0, scene_name(number)[1]) for number in range(40)]


def test_golden_pixels():
    # Equal under OpenCV 4.10 and 5.0, NumPy 1.26 and 2.4, with and without AVX. A change of the drawing changes them.
    scene = draw_scene(96, 48, 0, "alder_000000_000019")
    assert pixel_sha256(scene.label_ids)[:16] == "c9f0e2bee525314c"
    assert pixel_sha256(scene.instance_ids)[:16] == "af0dfad5bb0bfd71"
    assert pixel_sha256(scene.image.reshape(48, -1))[:16] == "700c7953f0ad7ef9"


def test_equal_arguments_give_equal_scenes_and_others_give_others():
    first, again = draw_scene(64, 32, 1, "a"), draw_scene(64, 32, 1, "a")
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.instance_ids, again.instance_ids)
    for other in (draw_scene(64, 32, 2, "a"), draw_scene(64, 32, 1, "b")):
        assert (first.image != other.image).any()
        assert (first.label_ids != other.label_ids).any()


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (97, 41), (40, 120), (301, 16)], ids=str)
def test_any_size_is_filled(size):
    width, height = size
    scene = draw_scene(width, height, 3, "odd")
    assert scene.image.shape == (height, width, 3) and scene.image.dtype == np.uint8
    assert scene.label_ids.shape == scene.instance_ids.shape == (height, width)
    assert scene.label_ids.dtype == np.uint8 and scene.instance_ids.dtype == np.uint16
    SPACE.to_train_ids(scene.label_ids, "class_ids")  # raises on an unknown id


@pytest.mark.parametrize("size", [(15, 64), (64, 15), (0, 0)], ids=str)
def test_too_small_a_size_is_refused(size):
    with pytest.raises(ValueError, match="at least 16x16"):
        draw_scene(*size, 0, "a")


def test_the_same_scene_in_two_sizes_shows_the_same():
    small, large = draw_scene(128, 64, 5, "a"), draw_scene(256, 128, 5, "a")
    assert (small.label_ids == large.label_ids[::2, ::2]).mean() > 0.9  # borders fall on other pixels


def test_instances_agree_with_labels(scenes):
    for scene in scenes:
        ids, instances = scene.label_ids.astype(int), scene.instance_ids.astype(int)
        counted = instances >= 1000
        np.testing.assert_array_equal(np.where(counted, instances // 1000, instances), ids)
        np.testing.assert_array_equal(counted, np.isin(ids, COUNTABLE))


def test_touching_instances_of_a_class_are_parted_by_void(scenes):
    for scene in scenes:
        ids, instances = scene.label_ids, scene.instance_ids
        for a, b, c, d in (
            (ids[:, 1:], ids[:, :-1], instances[:, 1:], instances[:, :-1]),
            (ids[1:], ids[:-1], instances[1:], instances[:-1]),
        ):
            assert not ((a == b) & (c != d)).any()


def test_every_class_occurs_and_common_ones_in_most_scenes(scenes):
    present = np.array([np.isin(range(19), SPACE.to_train_ids(s.label_ids, "class_ids")) for s in scenes])
    images = dict(zip(SPACE.class_names, present.sum(0), strict=True))
    assert sum(count > 0 for count in images.values()) >= 18, images  # trains are rare
    for name in ("road", "sidewalk", "building", "vegetation", "sky", "car", "pole", "traffic sign"):
        assert images[name] >= 35, (name, images[name])
    for name in (
        "person",
        "terrain",
        "fence",
        "traffic light",
        "bicycle",
        "rider",
        "truck",
        "bus",
        "motorcycle",
        "wall",
    ):
        assert images[name] >= 8, (name, images[name])


def test_void_lies_where_cityscapes_has_it(scenes):
    for scene in scenes:
        ids = scene.label_ids
        assert (ids[0, 1:-1] == 3).all() and (ids[-1, 1:-1] == 3).all() and (ids[:, 0] == 2).all()
        hood = ids == 1
        assert hood.any() and not hood[: len(hood) // 2].any()
    void = np.mean([SPACE.to_train_ids(s.label_ids, "class_ids") == 255 for s in scenes])
    assert 0.05 < void < 0.15  # Cityscapes: about 0.11


def test_color_alone_does_not_tell_the_classes(scenes):
    """The mean colour of each class, known from all pixels, still mistakes most classes: a network has to look."""
    pixels = np.concatenate([s.image[::4, ::4].reshape(-1, 3) for s in scenes]).astype(float)
    classes = np.concatenate([SPACE.to_train_ids(s.label_ids, "class_ids")[::4, ::4].ravel() for s in scenes])
    present = [c for c in range(19) if (classes == c).sum() > 20]
    means = np.array([pixels[classes == c].mean(0) for c in present])
    guess = np.array(present)[((pixels[:, None] - means) ** 2).sum(-1).argmin(1)]
    known = classes != 255
    ious = [
        ((guess == c) & (classes == c))[known].sum() / ((guess == c) | (classes == c))[known].sum() for c in present
    ]
    assert np.mean(ious) < 0.2


def test_images_differ_in_light(scenes):
    means = [scene.image.mean() for scene in scenes]
    assert max(means) - min(means) > 40
    assert all(scene.image.std() > 15 for scene in scenes)


def test_all_weathers_come_up():
    names = {draw_light(Dice(0, f"{number}", "test")).name for number in range(120)}
    assert names == set(WEATHERS)
