"""Label spaces against a literal loop over pixels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import DataError, LabelClass, LabelSpace, known_label_space
from data_manifests.colors import voc_color
from data_manifests.label_space import numbered_label_space
from data_manifests.layouts.class_tables import known_label_spaces
from tests.helpers.real_data import real_data


def translate_literally(mask, space, encoding):
    """The slow, obvious way: look every pixel up in the classes."""
    out = np.empty(mask.shape, np.int64)
    for position, value in np.ndenumerate(mask):
        if encoding == "train_ids":
            owners, void = ([value] if value < space.num_classes else []), [space.unlabelled_value]
        else:
            owners = [i for i, c in enumerate(space.classes) if value in c.class_ids]
            void = [*space.void_ids, space.unlabelled_value]
        if not owners and value not in void:
            raise DataError(str(value))
        out[position] = owners[0] if owners else space.unlabelled_value
    return out


@st.composite
def label_spaces(draw):
    ids = draw(st.lists(st.integers(0, 400), min_size=1, max_size=12, unique=True))
    num_void = draw(st.integers(0, len(ids) - 1))
    void, rest = ids[:num_void], ids[num_void:]
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(rest) - 1)), max_size=3)) if len(rest) > 1 else [])
    parts = [rest[a:b] for a, b in zip([0, *cuts], [*cuts, len(rest)], strict=True)]
    classes = tuple(LabelClass(f"c{i}", voc_color(i), tuple(part)) for i, part in enumerate(parts))
    return LabelSpace("drawn", classes, tuple(void))


@settings(max_examples=80)
@given(space=label_spaces(), encoding=st.sampled_from(["class_ids", "train_ids"]), data=st.data())
def test_translation_equals_the_literal_loop(space, encoding, data):
    ids = range(space.num_classes) if encoding == "train_ids" else [i for c in space.classes for i in c.class_ids]
    void = [255] if encoding == "train_ids" else [*space.void_ids, 255]
    values = data.draw(st.lists(st.sampled_from([*ids, *void, 77]), min_size=6, max_size=6))
    mask = np.array(values).reshape(2, 3)
    for dtype in (np.uint8, np.uint16):
        if mask.max() > np.iinfo(dtype).max:
            continue
        try:
            expected = translate_literally(mask, space, encoding)
        except DataError:
            with pytest.raises(DataError, match="ids 77 are outside the label space"):
                space.to_train_ids(mask.astype(dtype), encoding)
            continue
        got = space.to_train_ids(mask.astype(dtype), encoding)
        assert got.dtype == space.dtype == np.uint8
        np.testing.assert_array_equal(got, expected)


@settings(max_examples=50)
@given(space=label_spaces())
def test_class_ids_and_back(space):
    train_ids = np.array([[*range(space.num_classes), space.unlabelled_value]], space.dtype)
    void = 500
    there = space.to_class_ids(train_ids, void_value=void)
    assert there[0, :-1].tolist() == [c.class_ids[0] for c in space.classes] and there[0, -1] == void
    there[there == void] = space.unlabelled_value if space.void_ids == () else space.void_ids[0]
    if not any(255 in c.class_ids for c in space.classes):
        np.testing.assert_array_equal(space.to_train_ids(there, "class_ids"), train_ids)


def test_to_class_ids_refuses_what_it_cannot_say():
    space = LabelSpace("s", (LabelClass("a", (0, 0, 0), (3,)), LabelClass("b", (1, 1, 1), ())))
    with pytest.raises(ValueError, match="void_value 3 is the id of a class"):
        space.to_class_ids(np.zeros((1, 1), np.uint8), void_value=3)
    with pytest.raises(DataError, match="has no id for b"):
        space.to_class_ids(np.zeros((1, 1), np.uint8))
    with pytest.raises(DataError, match="label map: ids 22 are outside"):
        known_label_space("pascal_voc").to_class_ids(np.array([[0, 22, 255]], np.uint8))


class TestKnownSpaces:
    @pytest.mark.parametrize(
        ("name", "num_classes"),
        [("cityscapes", 19), ("pascal_voc", 21), ("camvid", 11), ("ade20k", 150), ("coco_stuff", 171)],
    )
    def test_size_and_names(self, name, num_classes):
        space = known_label_space(name)
        assert name in known_label_spaces()
        assert space.name == name and space.num_classes == num_classes and space.unlabelled_value == 255
        assert space.palette.shape == (num_classes, 3)

    def test_cityscapes_labels(self):
        space = known_label_space("cityscapes")
        # By hand from the dataset's own list: the 19 evaluated ids in train id order, all other of 0..33 void.
        evaluated = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
        ids = np.arange(34, dtype=np.uint8).reshape(2, 17)
        expected = [evaluated.index(i) if i in evaluated else 255 for i in range(34)]
        assert space.to_train_ids(ids, "class_ids").ravel().tolist() == expected
        back = space.to_class_ids(np.arange(19, dtype=np.uint8)[None])
        assert back.tolist() == [evaluated] and back.dtype == np.uint8
        assert dict(zip(space.class_names, space.palette.tolist(), strict=True))["car"] == [0, 0, 142]

    def test_voc_has_the_devkits_colours(self):
        space = known_label_space("pascal_voc")
        assert space.class_names[0] == "background" and space.class_names[20] == "tvmonitor"
        for index, color in enumerate(space.palette.tolist()):
            r = g = b = 0
            rest = index
            for shift in range(7, -1, -1):  # the devkit's own loop
                r |= (rest & 1) << shift
                g |= (rest >> 1 & 1) << shift
                b |= (rest >> 2 & 1) << shift
                rest >>= 3
            assert color == [r, g, b]

    def test_camvid_eleven_is_void(self):
        space = known_label_space("camvid")
        assert space.to_train_ids(np.array([[0, 10, 11]], np.uint8), "class_ids").tolist() == [[0, 10, 255]]

    def test_ade20k_zero_is_void(self):
        space = known_label_space("ade20k")
        assert space.to_train_ids(np.array([[0, 1, 150]], np.uint8), "class_ids").tolist() == [[255, 0, 149]]
        assert space.class_names[0] == "wall" and space.class_names[149] == "flag"

    def test_coco_stuff_has_gaps(self):
        space = known_label_space("coco_stuff")
        ids = [c.class_ids[0] for c in space.classes]
        gaps = sorted(set(range(182)) - set(ids))
        assert gaps == [11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90]  # ids of COCO that no image uses
        assert space.class_names[ids.index(181)] == "wood" and space.class_names[ids.index(89)] == "toothbrush"
        assert len({tuple(c) for c in space.palette.tolist()}) == 171

    def test_unknown(self):
        with pytest.raises(DataError, match="Unknown label space 'city'. Choose from: ade20k, camvid"):
            known_label_space("city")


class TestManyClasses:
    space = numbered_label_space(range(300))

    def test_sixteen_bits(self):
        assert self.space.num_classes == 300 and self.space.unlabelled_value == 65535 and self.space.dtype == np.uint16
        mask = np.array([[0, 255, 299, 65535]], np.uint16)
        got = self.space.to_train_ids(mask, "class_ids")
        assert got.dtype == np.uint16 and got.tolist() == mask.tolist()

    def test_255_classes_still_fit_into_eight_bits(self):
        space = numbered_label_space([*range(255), 255])
        assert space.num_classes == 255 and space.dtype == np.uint8 and space.void_ids == (255,)


def test_void_values_found_in_sixteen_bit_masks_are_read_as_void():
    space = numbered_label_space({3, 65535})
    assert space.to_train_ids(np.array([[3, 65535, 255]], np.uint16), "class_ids").tolist() == [[0, 255, 255]]


def test_dict_round_trip_through_json():
    for name in known_label_spaces():
        space = known_label_space(name)
        assert LabelSpace.from_dict(json.loads(json.dumps(space.to_dict()))) == space


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "KeyError: 'classes'"),
        ({"classes": "abc"}, "AttributeError"),
        ({"classes": [{"name": "a"}, {"name": "a"}]}, "gives several classes the name a"),
        ({"classes": []}, "has no classes"),
        ({"classes": [{"name": "a", "train_id": 1}]}, r"train ids must be 0..0 without gaps, got 1"),
        ({"classes": [{"name": "a", "train_id": 0}, {"name": "b", "train_id": 0}]}, "train id 0 is given twice"),
        ({"classes": [{"name": "a", "color": [0, 0, 256]}]}, "outside 0..255"),
        ({"classes": [{"name": "a", "color": [0, 0]}]}, "ValueError"),
        ({"classes": [{"name": "a", "class_ids": [70000]}]}, "has id 70000; ids lie between 0 and 65535"),
        ({"classes": [{"name": "a", "class_ids": [1]}, {"name": "b", "class_ids": [1]}]}, "Id 1 belongs to both"),
        ({"classes": [{"name": "a"}], "void_ids": [65536]}, r"Void ids \[65536\] .* are above 65535"),
        ({"classes": [{"name": "a"}], "void_ids": [0]}, r"Ids \[0\] .* both a class and void"),
    ],
)
def test_damaged_dict(data, message):
    with pytest.raises(DataError, match=message):
        LabelSpace.from_dict(data)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_counts_against_a_loop(dtype):
    space = known_label_space("cityscapes")
    mask = np.random.default_rng(1).choice([0, 3, 7, 8, 26, 33], (20, 30)).astype(dtype)  # two of them are void
    train_ids, counts = space.to_train_ids_and_counts(mask, "class_ids")
    assert counts.tolist() == [int((train_ids == k).sum()) for k in range(space.num_classes)]
    assert counts.sum() == (train_ids != 255).sum() == np.isin(mask, [7, 8, 26, 33]).sum()


def test_counts_of_a_image_too_large_for_single_precision():
    mask = np.zeros((4097, 4096), np.uint8)
    mask[0, 0] = 1
    assert known_label_space("camvid").to_train_ids_and_counts(mask, "train_ids")[1][:2].tolist() == [
        4097 * 4096 - 1,
        1,
    ]


def test_real_cityscapes_train_ids_equal_translated_label_ids():
    from data_manifests.files.masks import read_mask

    folder = real_data("cityscapes_sample") / "gtFine"
    space = known_label_space("cityscapes")
    masks = sorted(folder.rglob("*_labelIds.png"))
    assert len(masks) == 7
    for path in masks:
        ids = read_mask(path)
        train_ids = read_mask(path.with_name(path.name.replace("labelIds", "labelTrainIds")))
        np.testing.assert_array_equal(space.to_train_ids(ids, "class_ids"), train_ids)
        kept = train_ids != 255
        np.testing.assert_array_equal(space.to_class_ids(train_ids, void_value=0)[kept], ids[kept])


@pytest.mark.parametrize(
    "changed",
    [
        {"classes": [{"name": "a", "train_id": float("inf")}]},
        {"classes": [{"name": "a", "train_id": 0.5}]},
        {"classes": [{"name": "a", "class_ids": [True]}]},
        {"classes": [{"name": "a", "class_ids": [10**4000]}]},
        {"classes": [{"name": "a", "color": [1.5, 0, 0]}]},
        {"void_ids": [float("inf")]},
        {"classes": [{"name": str(i), "class_ids": []} for i in range(65536)]},
    ],
    ids=["infinite", "half", "true", "huge", "color", "void", "many"],
)  # fmt: skip
def test_numbers_that_are_no_ids(changed):
    with pytest.raises(DataError, match=r"Label space|'a' has id"):
        LabelSpace.from_dict({"classes": [{"name": "a"}]} | changed)


def test_names_of_classes_hold_no_control_characters() -> None:
    with pytest.raises(DataError, match=r"class 'ro\\x1b\[31mad', whose name holds control characters"):
        LabelSpace("mine", (LabelClass("ro\x1b[31mad", (0, 0, 0), (0,)),))
