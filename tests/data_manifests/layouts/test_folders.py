"""Folders as people have them: other names, images and masks side by side, masks alone, and unclear ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manifests import DataError, open_dataset, open_folders
from data_manifests.layouts import LAYOUTS
from tests.data_manifests.layouts.read_back import label_maps
from tests.helpers import miniature_datasets as mini

MASK = [[0, 1], [2, 0]]
TABLE = "id,name\n0,a\n1,b\n2,c\n"


def make(root, images, masks):
    """Each mask holds its own position at the top left, so that a wrong pair is seen."""
    for name in images:
        mini.save_image(root / name, (2, 2))
    for name in masks:
        mini.save_mask(root / name, MASK)
    (root / "classes.csv").write_text(TABLE)
    return root


def pairs(dataset):
    root = dataset.root
    return [
        (i.image_id, i.image_path.relative_to(root).as_posix(), i.mask_path.relative_to(root).as_posix())
        for i in dataset.items
    ]


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "labels"), ("images", "annotations"), ("imgs", "gt"), ("img_dir", "ann_dir"), ("Images", "Masks"),
        ("rgb", "mask"), ("image", "label"), ("JPEGImages", "masks"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["{}", "train/{}", "{}/train"])
def test_other_names(tmp_path, images, masks, place):
    where = {kind: place.format(name) for kind, name in {"images": images, "masks": masks}.items()}
    make(tmp_path, [f"{where['images']}/{n}.jpg" for n in "xy"], [f"{where['masks']}/{n}.png" for n in "xy"])
    dataset = open_dataset(tmp_path)
    prefix = "train/" if "train" in place else ""
    assert dataset.layout == "generic" and dataset.notes == ()
    assert pairs(dataset) == [(f"{prefix}{n}", f"{where['images']}/{n}.jpg", f"{where['masks']}/{n}.png") for n in "xy"]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.jpg", "{}_mask.png"), ("{}.jpg", "{}_labelIds.png"), ("{}.JPG", "mask_{}.PNG"), ("{}.png", "{}-seg.png"),
        ("img_{}.jpg", "mask_{}.png"), ("{}_sat.jpg", "{}_mask.png"), ("{}_RGB.tif", "GT_{}.tif"),
        ("{}.jpg", "annot_{}_v2.png"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("names", [("train1", "train10"), ("0", "1", "10"), ("0001", "0002"), ("v1.0 a", "v1.0 b")])
def test_names_that_differ(tmp_path, image, mask, names):
    make(tmp_path, [f"images/{image.format(n)}" for n in names], [f"masks/{mask.format(n)}" for n in names])
    dataset = open_dataset(tmp_path)
    expected = [(f"images/{image.format(n)}", f"masks/{mask.format(n)}") for n in names]
    assert sorted(pair[1:] for pair in pairs(dataset)) == sorted(expected)
    assert dataset.notes[0].startswith("images and masks are paired by: mask")


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["f_00", "f_10", "f_20"], ["m_05", "m_15", "m_25"]), (["f_1", "f_2"], ["m_10", "m_20"]),
        (["2020_1", "2020_2"], ["2021_1", "2021_2"]), (["1", "2"], ["10", "20"]), (["5", "6"], ["mask_15", "mask_16"]),
        (["im_1", "im_2"], ["im_10_gt", "im_20_gt"]),
    ],
)  # fmt: skip
def test_no_number_is_cut(tmp_path, images, masks):
    """Frames or years that differ are no pairs, though equal numbers of files begin and end alike."""
    make(tmp_path, [f"images/{n}.png" for n in images], [f"masks/{n}.png" for n in masks])
    with pytest.raises(DataError, match=f"{len(images)} images without a mask"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        (["img_1", "img_2"], ["mask_001", "mask_002"]), (["im_10", "im_11"], ["im_10_v2", "im_11_v2"]),
        (["a_2_x10", "a_2_x11"], ["b_2_x10", "b_2_x11"]), (["10", "20"], ["mask_010", "mask_020"]),
    ],
)  # fmt: skip
def test_zeros_and_equal_numbers_may_differ_in_place(tmp_path, images, masks):
    make(tmp_path, [f"images/{n}.png" for n in images], [f"masks/{n}.png" for n in masks])
    expected = list(zip(images, masks, strict=True))
    assert [(i.image_path.stem, i.mask_path.stem) for i in open_dataset(tmp_path).items] == expected


@pytest.mark.parametrize("names", [("train", "val"), ("Train", "Val"), ("training", "validation"), ("train", "valid")])
@pytest.mark.parametrize("place", ["images", "masks"])
def test_split_folders_whose_names_differ(tmp_path, names, place):
    """No image of val may become one of train, or disappear."""
    of = {"images": ("train", "val"), "masks": ("train", "val"), place: names}
    files = {kind: [f"{kind}/{split}/{n}.png" for split in of[kind] for n in "ab"] for kind in of}
    dataset = open_dataset(make(tmp_path, files["images"], files["masks"]))
    assert [(item.image_id, item.split) for item in dataset.items] == [
        ("train/a", "train"), ("train/b", "train"), ("val/a", "val"), ("val/b", "val")
    ]  # fmt: skip
    assert [pair[1:] for pair in pairs(dataset)] == list(zip(files["images"], files["masks"], strict=True))


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("imgs", "gt")])
def test_what_lies_beside_split_folders(tmp_path, images, masks):
    """A cache that a training tool left there made images of val part of train; images of no split cannot be both."""
    names = [f"{split}/{n}.png" for split in ("train", "val") for n in "ab"]
    make(tmp_path, [f"{images}/{n}" for n in names], [f"{masks}/{n}" for n in names])
    for name in ("train.cache", "README.txt", "Thumbs.db", ".hidden"):
        (tmp_path / images / name).write_text("")
    assert [item.split for item in open_dataset(tmp_path).items] == ["train", "train", "val", "val"]
    make(tmp_path, [f"{images}/more/c.png"], [f"{masks}/more/c.png"])
    with pytest.raises(DataError, match="holds more beside folders of splits"):
        open_dataset(tmp_path)
    assert {item.split for item in open_folders(tmp_path / masks, tmp_path / images).items} == {"train"}


def test_splits_with_the_years_of_coco(tmp_path):
    names = [f"{split}2017/{n}.png" for split in ("train", "val") for n in "ab"]
    dataset = open_dataset(make(tmp_path, [f"imgs/{n}" for n in names], [f"gt/{n}" for n in names]))
    assert [item.split for item in dataset.items] == ["train", "train", "val", "val"]


@pytest.mark.parametrize("name", ["val.txt", "splits/test.csv", "Split.csv"])
def test_lists_of_splits_are_said_to_be_not_read(tmp_path, name):
    make(tmp_path, ["images/a.png", "images/b.png"], ["masks/a.png", "masks/b.png"])
    for path in (tmp_path / "train.txt", tmp_path / name):
        path.parent.mkdir(exist_ok=True)
        path.write_text("a\n")
    (note,) = open_dataset(tmp_path).notes
    assert note.startswith(f"{name}: not read, so all images belong to train.")


def test_letter_case(tmp_path):
    make(tmp_path, ["images/train1.png", "images/a B.jpg"], ["masks/TRAIN1.PNG", "masks/A b.png"])
    assert [pair[1:] for pair in pairs(open_dataset(tmp_path))] == [
        ("images/a B.jpg", "masks/A b.png"),
        ("images/train1.png", "masks/TRAIN1.PNG"),
    ]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.jpg", "{}_mask.png"), ("{}.png", "{}_label.png"), ("{}.jpg", "mask_{}.png"), ("{}.jpg", "{}.png"),
        ("{}_sat.jpg", "{}_mask.png"), ("{}.png", "{}_L.png"), ("rgb-{}.png", "gt-{}.png"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("splits", [[""], ["train/", "valid/"]], ids=str)
def test_side_by_side(tmp_path, image, mask, splits):
    """As CamVid, DeepGlobe and Roboflow have them."""
    names = ("0", "1", "10")
    files = sorted((split, image.format(n), mask.format(n)) for split in splits for n in names)
    make(tmp_path, [split + i for split, i, _ in files], [split + m for split, _, m in files])
    dataset = open_dataset(tmp_path)
    assert [pair[1:] for pair in pairs(dataset)] == [(split + i, split + m) for split, i, m in files]
    assert label_maps(dataset) == [MASK] * len(files)
    assert {item.split for item in dataset.items} == ({"train"} if splits == [""] else {"train", "val"})
    one = open_folders(tmp_path / splits[0], tmp_path / splits[0])
    assert [(i.image_path.name, i.mask_path.name) for i in one.items] == [f[1:] for f in files if f[0] == splits[0]]


def test_side_by_side_in_all_splits_but_test(tmp_path):
    make(tmp_path, ["train/a.jpg", "test/b.jpg"], ["train/a_mask.png"])
    assert [item.image_id for item in open_dataset(tmp_path).items] == ["train/a"]
    mini.save_image(tmp_path / "val" / "c.jpg", (2, 2))
    with pytest.raises(DataError, match="fits no known layout"):
        open_dataset(tmp_path)


def test_two_cameras_are_not_images_and_masks(tmp_path):
    make(tmp_path, [f"{n}_{side}.png" for n in "12" for side in "lr"], [])
    with pytest.raises(DataError, match="fits no known layout"):
        open_dataset(tmp_path)


def test_one_folder_needs_a_suffix_if_names_tell_nothing(tmp_path):
    """Each image would be its own mask."""
    make(tmp_path, ["x/a.png", "x/b.png"], [])
    with pytest.raises(DataError, match="x: is the folder of both images and masks.*--mask-suffix"):
        open_folders(tmp_path / "x", tmp_path / "x")


def test_folders_of_an_archive_that_was_unpacked_into_one_of_its_name(tmp_path):
    make(tmp_path, ["train/train/a.jpg", "train/train/b.jpg"], [f"train_masks/train_masks/{n}_mask.png" for n in "ab"])
    assert pairs(open_dataset(tmp_path)) == [
        (f"train/{n}", f"train/train/{n}.jpg", f"train_masks/train_masks/{n}_mask.png") for n in "ab"
    ]


def test_several_masks_of_one_image(tmp_path):
    make(tmp_path, ["images/a.png"], ["masks/a_car.png", "masks/a_tree.png"])
    with pytest.raises(DataError, match="merge them into one mask"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["labels/a.txt", "train.csv", "data/train.parquet", "via_region_data.json"])
def test_annotations_of_other_tools(tmp_path, name):
    mini.save_image(tmp_path / "images" / "a.jpg", (2, 2))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    assert f"1 {Path(name).suffix} file" in str(caught.value) and "Label Studio and COCO" in str(caught.value)


@pytest.mark.parametrize("splits", [("train", "val"), ("Train", "Val")])
def test_pairs_of_two_splits_are_not_suggested(tmp_path, splits):
    make(tmp_path, [f"{split}/a/{n}.png" for split in splits for n in "12"], [])
    (tmp_path / "classes.csv").unlink()
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    assert "Possible pairings" not in str(caught.value)


def test_unclear_folders_say_what_is_there_and_what_to_type(tmp_path):
    make(tmp_path, ["photos/a.jpg", "photos/b.jpg"], ["truth/a_gt.png", "truth/b_gt.png", "other/c.png"])
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    message = str(caught.value)
    assert "photos/: 2 images" in message and "other/: 1 image" in message
    assert f"--images {tmp_path / 'photos'} --masks {tmp_path / 'truth'}   (mask *_gt for image *: 2 pairs)" in message
    dataset = open_folders(tmp_path / "truth", tmp_path / "photos")
    assert pairs(dataset) == [("a", "photos/a.jpg", "truth/a_gt.png"), ("b", "photos/b.jpg", "truth/b_gt.png")]


@pytest.mark.parametrize(
    ("folder", "masks"),
    [
        ("{}", "{}_labels"),
        ("{}", "{}_mask"),
        ("{}_images", "{}_masks"),
        ("images_{}", "labels_{}"),
        ("{}_img", "{}_gt"),
    ],
)
def test_masks_in_a_folder_beside_each_split(tmp_path, folder, masks):
    images = [f"{folder.format(split)}/{n}.jpg" for split in ("train", "val") for n in "ab"]
    make(tmp_path, images, [f"{masks.format(split)}/{n}_L.png" for split in ("train", "val") for n in "ab"])
    (tmp_path / "classes.csv").rename(tmp_path / "class_dict.csv")
    dataset = open_dataset(tmp_path)
    assert dataset.layout == "generic" and dataset.label_space.class_names == ("a", "b", "c")
    assert [i.split for i in dataset.items] == ["train", "train", "val", "val"]
    assert [pair[1:] for pair in pairs(dataset)] == [
        (image, f"{masks.format('train' if 'train' in image else 'val')}/{image[-5]}_L.png") for image in images
    ]
    mini.save_image(tmp_path / folder.format("test") / "c.jpg", (2, 2))  # without masks
    assert len(open_dataset(tmp_path).items) == 4
    mini.save_image(tmp_path / folder.format("dev") / "c.jpg", (2, 2))
    with pytest.raises(DataError, match="fits no known layout"):
        open_dataset(tmp_path)


def test_suffixes_of_files_side_by_side_are_suggested(tmp_path):
    names = [f"in/{n}" for n in ("plot 1", "plot 10", "plot 2")]
    make(tmp_path, [f"Set A/{n}.jpg" for n in names], [f"Set A/{n}_Label Colour.png" for n in names])
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    folder = tmp_path / "Set A"
    options = f"--images '{folder}' --masks '{folder}' --mask-suffix '_Label Colour'   (side by side: 3 pairs)"
    assert options in str(caught.value)
    assert len(open_folders(folder, folder, "_Label Colour").items) == 3
    make(tmp_path, ["Set B/c.jpg"], ["Set B/c_Label Colour.png"])
    (tmp_path / "classes.csv").unlink()
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    options = f"--images {tmp_path} --masks {tmp_path} --mask-suffix '_Label Colour'   (side by side: 4 pairs)"
    assert options in str(caught.value)


def test_left_over_files_are_named_with_each_rule(tmp_path):
    make(tmp_path, ["images/a.jpg", "images/b.jpg"], ["masks/a_mask.png", "masks/c_mask.png"])
    with pytest.raises(DataError, match=r"(?s)mask \*_mask for image \*: 1 pair, 1 image left \(b.jpg\), 1 mask left"):
        open_dataset(tmp_path)


def test_a_suffix_that_is_given(tmp_path):
    make(tmp_path, ["x/a.jpg", "x/b.jpg"], ["x/a_m.png", "x/b_m.png"])
    for suffix in ("_m", "_m.png"):
        dataset = open_folders(tmp_path / "x", tmp_path / "x", suffix)
        assert [pair[1:] for pair in pairs(dataset)] == [("a.jpg", "a_m.png"), ("b.jpg", "b_m.png")]
    with pytest.raises(DataError, match="do not pair up"):
        open_folders(tmp_path / "x", tmp_path / "x", "_nothing")


def test_masks_alone(tmp_path):
    make(tmp_path, [], ["masks/a_mask.png", "masks/sub/b_mask.png"])
    dataset = open_folders(tmp_path / "masks")
    assert [item.image_id for item in dataset.items] == ["a_mask", "sub/b_mask"] and dataset.root == tmp_path
    assert all(item.image_path is None for item in dataset.items)
    assert [item.image_id for item in open_folders(tmp_path / "masks", mask_suffix="_mask").items] == ["a", "sub/b"]
    assert label_maps(dataset) == [MASK] * 2 and dataset.label_space.class_names == ("a", "b", "c")


def test_hidden_files_are_nothing(tmp_path):
    make(tmp_path, ["images/a.jpg"], ["masks/a.png"])
    for name in ("images/._a.jpg", "masks/._a.png", "images/.ipynb_checkpoints/a.jpg", "images/Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert pairs(open_dataset(tmp_path)) == [("a", "images/a.jpg", "masks/a.png")]


def test_only_folders_of_known_names_are_looked_at(tmp_path, monkeypatch):
    for name in ("images", "masks", *(f"other_{i}" for i in range(200))):
        mini.save_image(tmp_path / name / "a.png", (2, 2))
    looked_at = []
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: looked_at.append(path.name) or is_dir(path))
    assert LAYOUTS["generic"].matches(tmp_path)
    assert not [name for name in looked_at if name.startswith("other_")]
    (tmp_path / "masks").rename(tmp_path / "other_200")
    assert not LAYOUTS["generic"].matches(tmp_path)
    assert not [name for name in looked_at if name.startswith("other_")]
