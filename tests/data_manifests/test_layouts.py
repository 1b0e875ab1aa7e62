"""Every layout on a miniature of its true encoding, and on the real samples where they are."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from data_manifests import LAYOUTS, DataError, LabelClass, LabelSpace, known_label_space, open_dataset
from data_manifests.image_io import read_image_size, read_mask
from tests import miniature_datasets as mini
from tests.real_data import real_data


def ids_of(dataset):
    return [(item.image_id, item.split) for item in dataset.items]


def label_maps(dataset):
    """Train ids of each item, checked against the size of its picture."""
    maps = []
    for item in dataset.items:
        mask = read_mask(item.mask_path)
        assert read_image_size(item.image_path) == mask.shape
        maps.append(dataset.label_space.to_train_ids(mask, dataset.encoding, item.mask_path).tolist())
    return maps


#: name -> builder, image ids with splits, the train ids of every mask.
EXPECTED = {
    "cityscapes": (
        mini.make_cityscapes,
        [
            ("aachen_000000_000019", "train"),
            ("bochum_000001_000019", "train"),
            ("frankfurt_000002_000019", "val"),
        ],
        mini.CITYSCAPES_TRAIN_IDS.tolist(),
    ),
    "cityscapes_coarse": (
        lambda root: mini.make_cityscapes(root, truth="gtCoarse", extra="train_extra"),
        [
            ("aachen_000000_000019", "train"),
            ("bochum_000001_000019", "train"),
            ("frankfurt_000002_000019", "train_extra"),
        ],
        mini.CITYSCAPES_TRAIN_IDS.tolist(),
    ),
    "pascal_voc": (mini.make_voc, [("2007_000001", "train"), ("2007_000002", "val")], mini.VOC_MASK.tolist()),
    "camvid": (
        mini.make_camvid,
        [("test_1", "test"), ("train_1", "train"), ("val_1", "val")],
        [[0, 1, 255], [3, 8, 10]],
    ),
    "ade20k": (
        mini.make_ade20k,
        [("ADE_train_00000001", "train"), ("ADE_val_00000001", "val")],
        [[255, 0, 1], [149, 20, 255]],
    ),
    "coco_stuff": (
        mini.make_coco_stuff,
        [("000000000009", "train"), ("000000000139", "val")],
        [[0, 10, 255], [11, 170, 79]],
    ),
    "kitti": (mini.make_kitti, [("000000_10", "train"), ("000001_10", "train")], mini.CITYSCAPES_TRAIN_IDS.tolist()),
    "bdd100k": (
        mini.make_bdd100k,
        [("0004a4c0-d4dff0ad", "train"), ("7d06fefd-f7be05a6", "val")],
        mini.CITYSCAPES_TRAIN_IDS.tolist(),
    ),
    "generic": (mini.make_generic, [("a", "train"), ("b", "train")], [[0, 1, 255], [2, 2, 0]]),
}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("forced", [False, True], ids=["found", "forced"])
def test_layout_on_its_miniature(tmp_path, name, forced):
    builder, ids, label_map = EXPECTED[name]
    builder(tmp_path)
    dataset = open_dataset(tmp_path, layout=name if forced else None)
    assert dataset.layout == name and dataset.root == tmp_path
    assert [note.split(" in ")[0] for note in dataset.notes] == ["no classes.csv"] * (name == "generic")
    assert ids_of(dataset) == ids
    assert label_maps(dataset) == [label_map] * len(ids)
    assert dataset.splits == tuple(sorted({split for _, split in ids}))


def test_every_layout_has_a_miniature():
    assert set(LAYOUTS) == set(EXPECTED)


@pytest.mark.parametrize("name", LAYOUTS)
def test_forcing_a_layout_on_something_else_says_what_it_needs(tmp_path, name):
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path, layout=name)
    message = str(caught.value)
    assert str(tmp_path) in message and ("expected folders" in message or "no such folder" in message)


class TestOpenDataset:
    def test_missing_folder(self, tmp_path):
        with pytest.raises(DataError, match=r"none: no such folder; expected the root folder of a dataset"):
            open_dataset(tmp_path / "none")

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "f").write_text("")
        with pytest.raises(DataError, match="no such folder"):
            open_dataset(tmp_path / "f")

    def test_unknown_layout(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"Unknown layout 'voc'. Choose from: cityscapes, cityscapes_coarse, pascal_"
        ):
            open_dataset(tmp_path, layout="voc")

    def test_an_unclear_folder_lists_what_was_looked_for(self, tmp_path):
        with pytest.raises(DataError, match="fits no known layout") as caught:
            open_dataset(tmp_path)
        assert all(f"  {name}: folders" in str(caught.value) for name in LAYOUTS)
        assert "--layout" in str(caught.value)

    def test_the_same_id_in_two_splits(self, tmp_path):
        mini.make_camvid(tmp_path)
        (tmp_path / "val" / "val_1.png").rename(tmp_path / "val" / "train_1.png")
        (tmp_path / "valannot" / "val_1.png").rename(tmp_path / "valannot" / "train_1.png")
        with pytest.raises(DataError, match="image id 'train_1' occurs in two splits"):
            open_dataset(tmp_path)

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
    @pytest.mark.parametrize("name", ["line\nbreak", os.fsdecode(b"not-utf8-\xff")])
    def test_names_that_no_manifest_can_hold(self, tmp_path, name):
        mini.make_generic(tmp_path)
        try:
            (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / f"{name}.jpg")
            (tmp_path / "masks" / "a.png").rename(tmp_path / "masks" / f"{name}.png")
        except OSError:
            pytest.skip("this file system has no such names")
        with pytest.raises(DataError, match="holds control characters or is not UTF-8; rename the file"):
            open_dataset(tmp_path)

    def test_a_users_classes_replace_the_layouts(self, tmp_path):
        space = LabelSpace("mine", (LabelClass("ground", (0, 0, 0), (0, 1, 4)),))
        dataset = open_dataset(mini.make_generic(tmp_path), label_space=space)
        assert label_maps(dataset)[0] == [[0, 0, 255], [0, 0, 0]]

    @pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
    def test_class_map(self, tmp_path, kind):
        mini.make_cityscapes(tmp_path, (kind,))
        groups = {"vehicle": ["car", "truck", "bus"], "void": ["sky"]}
        dataset = open_dataset(tmp_path, class_map=groups)
        assert dataset.label_space.num_classes == 19 - 3 and dataset.label_space.class_names[:2] == ("vehicle", "road")
        old = mini.CITYSCAPES_TRAIN_IDS
        expected = np.select([old == 13, old == 0], [0, 1], 255)
        assert label_maps(dataset)[0] == expected.tolist()


class TestPairing:
    def test_lonely_files_are_all_named_up_to_ten(self, tmp_path):
        mini.make_generic(tmp_path)
        mini.save_picture(tmp_path / "images" / "lonely.png")
        for i in range(12):
            mini.save_mask(tmp_path / "masks" / f"extra_{i:02}.png", [[0]])
        with pytest.raises(DataError) as caught:
            open_dataset(tmp_path)
        message = str(caught.value)
        assert "1 image without a mask" in message and "lonely.png" in message
        assert "12 masks without an image" in message and "extra_09.png and 2 more" in message
        assert "extra_10" not in message and "Add the missing files or remove the lonely ones" in message
        assert "NFC" not in message

    def test_names_that_only_look_the_same(self, tmp_path):
        """As when one of two archives was packed on a Mac."""
        mini.save_picture(tmp_path / "images" / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png")
        mini.save_mask(tmp_path / "masks" / "cafe\N{COMBINING ACUTE ACCENT}.png", [[0]])
        with pytest.raises(DataError, match=r"look the same but write accents in two ways, NFC and NFD; rename them\."):
            open_dataset(tmp_path)

    def test_two_formats_of_one_image(self, tmp_path):
        mini.make_generic(tmp_path)
        mini.save_picture(tmp_path / "images" / "a.png")
        with pytest.raises(DataError, match=r"a\.\w+ and .*a\.\w+ are the same image in two formats; keep one of them"):
            open_dataset(tmp_path)

    def test_empty_folder(self, tmp_path):
        (tmp_path / "images").mkdir()
        (tmp_path / "masks").mkdir()
        with pytest.raises(DataError, match=r"(images|masks): no pictures in it \(looked for .png"):
            open_dataset(tmp_path)


class TestCityscapes:
    def test_instances_beside_the_masks(self, tmp_path):
        dataset = open_dataset(mini.make_cityscapes(tmp_path))
        assert all(item.instance_path.name.endswith("_gtFine_instanceIds.png") for item in dataset.items)
        assert dataset.encoding == "class_ids"
        mini.make_cityscapes(tmp_path / "bare", ("labelIds",))
        assert all(item.instance_path is None for item in open_dataset(tmp_path / "bare").items)

    def test_train_ids_are_preferred_where_they_are_complete(self, tmp_path):
        mini.make_cityscapes(tmp_path, ("labelIds", "labelTrainIds"))
        dataset = open_dataset(tmp_path)
        assert dataset.encoding == "train_ids"
        assert label_maps(dataset)[0] == mini.CITYSCAPES_TRAIN_IDS.tolist()
        next(tmp_path.rglob("frankfurt*_labelTrainIds.png")).unlink()
        dataset = open_dataset(tmp_path)
        assert dataset.encoding == "class_ids"
        assert label_maps(dataset)[0] == mini.CITYSCAPES_TRAIN_IDS.tolist()

    def test_a_users_table_speaks_of_label_ids(self, tmp_path):
        mini.make_cityscapes(tmp_path, ("labelIds", "labelTrainIds"))
        space = LabelSpace("mine", (LabelClass("road", (0, 0, 0), (7,)),), tuple(i for i in range(34) if i != 7))
        dataset = open_dataset(tmp_path, label_space=space)
        assert label_maps(dataset)[0] == np.where(mini.CITYSCAPES_IDS == 7, 0, 255).tolist()

    def test_coarse_beside_fine(self, tmp_path):
        mini.make_cityscapes(tmp_path)
        mini.make_cityscapes(tmp_path, truth="gtCoarse", extra="train_extra")
        assert open_dataset(tmp_path).splits == ("train", "val")
        assert open_dataset(tmp_path, "cityscapes_coarse").splits == ("train", "train_extra")

    def test_neither_kind_of_ids(self, tmp_path):
        mini.make_cityscapes(tmp_path, ("instanceIds",))
        with pytest.raises(DataError, match=r"gtFine: no \*_gtFine_labelTrainIds.png and no \*_gtFine_labelIds.png"):
            open_dataset(tmp_path)

    def test_real_sample(self):
        dataset = open_dataset(real_data("cityscapes_sample"))
        assert dataset.layout == "cityscapes" and len(dataset.items) == 7 and dataset.encoding == "train_ids"
        assert [i.image_id for i in dataset.items if i.split == "val"] == ["frankfurt_000000_000576"]
        for item in dataset.items:
            instances, ids = read_mask(item.instance_path), read_mask(item.mask_path)
            cars = (instances >= 26000) & (instances < 27000)
            assert instances.dtype == np.uint16 and (ids[cars] == 13).all()


class TestPascalVoc:
    def test_masks_in_no_list_are_named_not_used(self, tmp_path):
        dataset = open_dataset(mini.make_voc(tmp_path, augmented=True))
        assert ids_of(dataset) == [("2007_000001", "train"), ("2007_000002", "val")]
        assert len(dataset.notes) == 1 and "1 mask left out, in no list" in dataset.notes[0]
        assert "2008_000003" in dataset.notes[0] and "train_aug.txt" in dataset.notes[0]
        assert dataset.items[0].mask_path.parent.name == "SegmentationClassAug"
        assert dataset.items[1].mask_path.parent.name == "SegmentationClass"

    @pytest.mark.parametrize(
        "lines",
        [
            "2007_000001\n2008_000003\n",
            "/JPEGImages/2007_000001.jpg /SegmentationClassAug/2007_000001.png\r\n"
            "/JPEGImages/2008_000003.jpg /SegmentationClassAug/2008_000003.png\r\n\r\n",
        ],
        ids=["names", "pairs of paths"],
    )
    def test_the_long_list_goes_before_the_short_one(self, tmp_path, lines):
        mini.make_voc(tmp_path, augmented=True)
        (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train_aug.txt").write_bytes(lines.encode())
        dataset = open_dataset(tmp_path)
        assert ids_of(dataset) == [("2007_000001", "train"), ("2007_000002", "val"), ("2008_000003", "train")]
        assert dataset.notes == ()
        assert label_maps(dataset) == [mini.VOC_MASK.tolist()] * 3

    def test_an_image_in_both_lists_is_kept_out_of_training(self, tmp_path):
        mini.make_voc(tmp_path)
        (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text("2007_000001\n2007_000002\n")
        assert ids_of(open_dataset(tmp_path)) == [("2007_000001", "train"), ("2007_000002", "val")]

    def test_without_lists_every_mask_is_for_training(self, tmp_path):
        mini.make_voc(tmp_path)
        for path in tmp_path.rglob("*.txt"):
            path.unlink()
        assert ids_of(open_dataset(tmp_path)) == [("2007_000001", "train"), ("2007_000002", "train")]

    def test_names_with_dots(self, tmp_path):
        mini.make_voc(tmp_path)
        devkit = tmp_path / "VOCdevkit/VOC2012"
        mini.save_picture(devkit / "JPEGImages/scene.v1.jpg", (2, 4))
        mini.save_mask(devkit / "SegmentationClass/scene.v1.png", mini.VOC_MASK)
        (devkit / "ImageSets/Segmentation/train.txt").write_text("scene.v1\n2007_000001\n")
        assert ("scene.v1", "train") in ids_of(open_dataset(tmp_path))

    def test_a_list_that_is_no_text(self, tmp_path):
        mini.make_voc(tmp_path)
        (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match="1 image without a picture"):
            open_dataset(tmp_path)

    def test_a_listed_image_without_files(self, tmp_path):
        mini.make_voc(tmp_path)
        (tmp_path / "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt").write_text("2007_000001\n2007_000009\n")
        with pytest.raises(DataError, match=r"1 image without a picture in JPEGImages or a mask.*2007_000009"):
            open_dataset(tmp_path)

    def test_of_several_years_the_newest_is_read(self, tmp_path):
        mini.make_voc(tmp_path)
        old = tmp_path / "VOCdevkit/VOC2007"
        mini.save_picture(old / "JPEGImages/000001.jpg", (2, 4))
        mini.save_mask(old / "SegmentationClass/000001.png", mini.VOC_MASK)
        assert ids_of(open_dataset(tmp_path)) == [("2007_000001", "train"), ("2007_000002", "val")]

    @pytest.mark.parametrize("below", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
    def test_any_folder_on_the_way_will_do(self, tmp_path, below):
        mini.make_voc(tmp_path)
        assert len(open_dataset(tmp_path / below).items) == 2

    def test_instances(self, tmp_path):
        item = open_dataset(mini.make_voc(tmp_path)).items[0]
        assert read_mask(item.instance_path).tolist() == [[0, 0, 255, 1], [0, 255, 1, 1]]

    def test_real_sample(self):
        dataset = open_dataset(real_data("voc_sample"))
        assert dataset.layout == "pascal_voc" and len(dataset.items) == 5
        # Two images stand in trainval.txt only.
        assert [i.split for i in dataset.items] == ["train", "val", "val", "train", "train"]
        for item in dataset.items:
            devkit = item.image_path.parents[1]
            palette = read_mask(devkit / "SegmentationClass" / f"{item.image_id}.png")
            np.testing.assert_array_equal(read_mask(item.mask_path), palette)
            with Image.open(devkit / "SegmentationClass" / f"{item.image_id}.png") as picture:
                colors = np.asarray(picture.convert("RGB"))
            for index, color in enumerate(dataset.label_space.palette):
                assert (colors[palette == index] == color).all()


class TestCamvid:
    def test_real_set(self):
        dataset = open_dataset(real_data("camvid"))
        assert dataset.layout == "camvid" and dataset.label_space == known_label_space("camvid")
        counts = {split: sum(i.split == split for i in dataset.items) for split in dataset.splits}
        assert counts == {"test": 233, "train": 367, "val": 101}

    def test_a_generic_tree_with_its_classes_is_camvid(self, tmp_path):
        for split in ("train", "test"):
            mini.save_picture(tmp_path / split / "images" / f"{split}.jpg", (1, 2))
            mini.save_mask(tmp_path / split / "masks" / f"{split}.png", [[0, 11]])
        names = known_label_space("camvid").class_names
        rows = "".join(f"{i},{name}\n" for i, name in enumerate([*names, "Unlabelled"]))
        (tmp_path / "classes.csv").write_text(f"id,name\n{rows}")
        assert open_dataset(tmp_path).layout == "camvid"
        (tmp_path / "classes.csv").write_text("id,name\n0,a\n11,b\n")
        assert open_dataset(tmp_path).layout == "generic"


class TestCocoStuff:
    def test_masks_under_annotations(self, tmp_path):
        dataset = open_dataset(mini.make_coco_stuff(tmp_path, "annotations"))
        assert dataset.layout == "coco_stuff" and dataset.encoding == "class_ids"
        assert label_maps(dataset)[0] == [[0, 10, 255], [11, 170, 79]]

    def test_converted_masks_lie_beside_the_originals(self, tmp_path):
        mini.make_coco_stuff(tmp_path, "annotations")
        mini.make_coco_stuff(tmp_path, "annotations", train_ids=True)
        dataset = open_dataset(tmp_path)
        assert dataset.encoding == "train_ids" and label_maps(dataset)[0] == [[0, 10, 255], [11, 170, 79]]

    def test_an_id_that_coco_never_uses(self, tmp_path):
        mini.make_coco_stuff(tmp_path)
        mini.save_mask(next(tmp_path.rglob("stuffthingmaps/val2017/*.png")), [[11, 0, 0], [0, 0, 0]])
        with pytest.raises(DataError, match=r"ids 11 are outside the label space 'coco_stuff'"):
            label_maps(open_dataset(tmp_path))


def test_kitti_instances(tmp_path):
    item = open_dataset(mini.make_kitti(tmp_path)).items[0]
    np.testing.assert_array_equal(read_mask(item.instance_path) // 256, mini.CITYSCAPES_IDS)


class TestGeneric:
    @pytest.mark.parametrize("below", [False, True], ids=["split/images", "images/split"])
    def test_splits(self, tmp_path, below):
        dataset = open_dataset(mini.make_generic(tmp_path, "training", "valid", "Test", below=below))
        ids = [("test/a", "test"), ("test/b", "test"), ("train/a", "train"), ("train/b", "train"), ("val/a", "val")]
        assert ids_of(dataset) == [*ids, ("val/b", "val")]

    def test_folders_beside_those_of_splits_are_no_splits(self, tmp_path):
        mini.make_generic(tmp_path, "train", "night", below=True)
        assert [image_id for image_id, _ in ids_of(open_dataset(tmp_path))] == [
            "night/a",
            "night/b",
            "train/a",
            "train/b",
        ]
        assert open_dataset(tmp_path).splits == ("train",)

    def test_classes_are_found_in_the_masks(self, tmp_path):
        dataset = open_dataset(mini.make_generic(tmp_path))
        assert dataset.label_space.class_names == ("class_0", "class_1", "class_4")
        assert dataset.label_space.void_ids == (255,)
        (note,) = dataset.notes
        assert "each value in the masks counts as a class of its own: 0..1, 4. If one of them means void" in note

    @pytest.mark.parametrize(
        ("layout", "names"), [("camvid", known_label_space("camvid").class_names), ("generic", ("x", "y"))]
    )
    def test_a_part_of_a_dataset_taken_for_the_whole(self, tmp_path, layout, names):
        whole, table = tmp_path / "whole", "".join(f"{i},{name}\n" for i, name in enumerate(names))
        for split in ("train", "val"):
            mini.save_picture(whole / split / "images" / f"{split}.jpg", (1, 2))
            mini.save_mask(whole / split / "masks" / f"{split}.png", [[0, 1]])
        (whole / "classes.csv").write_text(f"id,name\n{table}")
        assert open_dataset(whole).layout == layout and open_dataset(whole).notes == ()
        part = open_dataset(whole / "train")
        assert part.layout == "generic" and part.label_space.class_names == ("class_0", "class_1")
        assert part.notes[0].startswith(f"the folder above, {whole}, is a dataset of layout {layout}; perhaps")
        assert part.notes[1].startswith("no classes.csv")
        (whole / "train" / "classes.csv").write_text(f"id,name\n{table}")
        assert open_dataset(whole / "train").notes == ()

    def test_classes_csv(self, tmp_path):
        (mini.make_generic(tmp_path) / "classes.csv").write_text("id,name\n0,water\n1,tree\n4,void\n")
        dataset = open_dataset(tmp_path)
        assert dataset.label_space.class_names == ("water", "tree")
        assert label_maps(dataset)[0] == [[0, 1, 255], [255, 255, 0]]

    def test_only_void(self, tmp_path):
        mini.save_picture(tmp_path / "images" / "a.png", (1, 1))
        mini.save_mask(tmp_path / "masks" / "a.png", [[255]])
        with pytest.raises(DataError, match=r"all masks are void \(255\); there is no class to annotate"):
            open_dataset(tmp_path)

    def test_sixteen_bit_masks(self, tmp_path):
        mini.save_picture(tmp_path / "images" / "a.tif", (1, 3))
        mini.save_mask(tmp_path / "masks" / "a.tif", [[7, 1000, 65535]])
        dataset = open_dataset(tmp_path)
        assert dataset.label_space.class_names == ("class_7", "class_1000")
        assert label_maps(dataset) == [[[0, 1, 255]]]

    def test_broken_classes_csv(self, tmp_path):
        (mini.make_generic(tmp_path) / "classes.csv").write_text("name\nwater\n")
        with pytest.raises(DataError, match=r"classes.csv: column id missing"):
            open_dataset(tmp_path)
