"""Masks of colours, of ids in one channel, of black and white, and masks that do not hold what their layout says."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, open_dataset
from data_manifests.files.images import read_image
from data_manifests.files.masks import read_mask
from data_manifests.layouts.base import spread
from data_manifests.layouts.image_notes import image_notes
from data_manifests.manifest.info import describe_dataset
from tests.helpers import miniature_datasets as mini

IDS = np.random.default_rng(3).integers(0, 3, (6, 8)).astype(np.uint8)
COLORS = np.array([[0, 0, 0], [250, 50, 83], [51, 221, 255]], np.uint8)
TABLE = "id,name,r,g,b\n0,ground,0,0,0\n1,tree,250,50,83\n2,car,51,221,255\n"
WITHOUT_IDS = "name,r,g,b\nground,0,0,0\ntree,250,50,83\ncar,51,221,255\n"


def make(root, mask, name="m.png", classes=""):
    """A generic folder of one image; ``mask`` is an array of ids or colours."""
    mini.save_image(root / "images" / "m.jpg", mask.shape[:2])
    (root / "masks").mkdir()
    Image.fromarray(mask).save(root / "masks" / name, **({"quality": 95} if name.endswith("jpg") else {}))
    if classes:
        (root / "classes.csv").write_text(classes)
    return root


def train_ids(dataset, index=0):
    """The train ids of a mask."""
    mask = dataset.items[index].mask_path
    return dataset.label_space.to_train_ids(read_mask(mask, dataset.encoding), dataset.encoding, mask)


@pytest.mark.parametrize("options", [{}, {"encoding": "colors"}], ids=str)
@pytest.mark.parametrize("table", [TABLE, WITHOUT_IDS], ids=["ids", "no ids"])
def test_colours_of_the_table(tmp_path, table, options):
    dataset = open_dataset(make(tmp_path, COLORS[IDS], classes=table), **options)
    assert dataset.encoding == "colors" and dataset.label_space.class_names == ("ground", "tree", "car")
    np.testing.assert_array_equal(train_ids(dataset), IDS)
    merged = open_dataset(tmp_path, class_map={"thing": ["car", "tree"]}, **options)
    np.testing.assert_array_equal(train_ids(merged), np.where(IDS == 0, 1, 0))


def test_colours_of_void_and_of_rows_that_form_a_class(tmp_path):
    table = "id,name,train_id,r,g,b\n0,ground,0,0,0,0\n1,tree,1,250,50,83\n2,palm,1,51,221,255\n3,void,,9,9,9\n"
    colors = COLORS[IDS]
    colors[0] = 9
    dataset = open_dataset(make(tmp_path, colors, classes=table))
    expected = np.minimum(IDS, 1)
    expected[0] = 255
    np.testing.assert_array_equal(train_ids(dataset), expected)
    assert dataset.notes == ()


def test_palette_masks_are_read_by_index_unless_colours_are_asked_for(tmp_path):
    image = Image.fromarray(2 - IDS)
    image.putpalette(COLORS[::-1].tobytes())
    make(tmp_path, IDS, classes=TABLE)
    image.save(tmp_path / "masks" / "m.png")
    np.testing.assert_array_equal(train_ids(open_dataset(tmp_path)), 2 - IDS)
    np.testing.assert_array_equal(train_ids(open_dataset(tmp_path, encoding="colors")), IDS)


def test_few_pixels_of_no_class_are_void_and_named(tmp_path):
    ids = np.zeros((20, 20), np.uint8)
    ids[:4] = 1
    colors = COLORS[ids]
    colors[10, :3] = (1, 2, 3)
    dataset = open_dataset(make(tmp_path, colors, classes=TABLE))
    assert "(1, 2, 3) on 3 pixels" in dataset.notes[0]
    expected = ids.copy()
    expected[10, :3] = 255
    np.testing.assert_array_equal(train_ids(dataset), expected)


def test_many_pixels_of_no_class_are_refused(tmp_path):
    colors = COLORS[np.zeros((20, 20), np.uint8)]
    colors[10, :5] = (1, 2, 3)
    with pytest.raises(DataError, match=r"m.png: 1.2% .* no class .*: \(1, 2, 3\) on 5 pixels.*nearest-colors"):
        open_dataset(make(tmp_path, colors, classes=TABLE))
    np.testing.assert_array_equal(train_ids(open_dataset(tmp_path, encoding="nearest_colors")), np.zeros((20, 20)))


def test_jpeg_masks_by_the_nearest_colour(tmp_path):
    ids = np.kron(IDS, np.ones((16, 16), np.uint8))
    with pytest.raises(DataError, match="JPEG changes pixel values.*nearest-colors"):
        open_dataset(make(tmp_path, COLORS[ids], "m.jpg", TABLE))
    dataset = open_dataset(tmp_path, encoding="nearest_colors")
    stored = np.asarray(Image.open(tmp_path / "masks" / "m.jpg").convert("RGB")).astype(int)
    expected = ((stored[:, :, None] - COLORS[None, None].astype(int)) ** 2).sum(-1).argmin(-1)
    np.testing.assert_array_equal(train_ids(dataset), expected)
    assert (expected == ids).mean() > 0.9


def test_colours_without_a_table(tmp_path):
    dataset = open_dataset(make(tmp_path, COLORS[IDS]))
    assert dataset.label_space.class_names == ("color_000000", "color_33ddff", "color_fa3253")
    np.testing.assert_array_equal(train_ids(dataset), np.array([0, 2, 1])[IDS])
    assert "each colour in the masks becomes a class: 3 colours. " in dataset.notes[0]


def test_rare_colours_without_a_table_are_counted(tmp_path):
    colors = COLORS[np.kron(IDS, np.ones((16, 16), np.uint8))]
    colors[0, :4] = np.arange(1, 5)[:, None] * 40
    (note,) = open_dataset(make(tmp_path, colors)).notes
    assert "7 colours, 4 of them on less than 1 % of the pixels each" in note and "nearest-colors" in note


def test_a_table_without_colours(tmp_path):
    with pytest.raises(DataError, match=r"hold colours, but .* no colours of their own.*r,g,b.*--mask-channel"):
        open_dataset(make(tmp_path, COLORS[IDS], classes="id,name\n0,a\n1,b\n2,c\n"))


def test_photographs_for_masks(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3)).astype(np.uint8)
    with pytest.raises(DataError, match="more than 255 colours"):
        open_dataset(make(tmp_path, noise))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_ids_in_the_red_channel(tmp_path, dtype):
    """As SYNTHIA has them: the class in red, the instance in green."""
    make(tmp_path, IDS, classes="id,name\n0,a\n1,b\n2,c\n")
    channels = np.dstack([IDS * 0, IDS > 0, IDS]).astype(dtype)
    cv2.imwrite(str(tmp_path / "masks" / "m.png"), channels)
    with pytest.raises(DataError, match="--mask-channel red"):
        train_ids(open_dataset(tmp_path))
    np.testing.assert_array_equal(train_ids(open_dataset(tmp_path, encoding="red")), IDS)
    (tmp_path / "classes.csv").unlink()
    with pytest.raises(DataError, match="--mask-channel red"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, encoding="red").label_space.num_classes == 3


class TestBlackAndWhite:
    def test_without_a_table_both_are_classes(self, tmp_path):
        dataset = open_dataset(make(tmp_path, (IDS > 0).astype(np.uint8) * 255))
        assert dataset.label_space.class_names == ("background", "foreground")
        np.testing.assert_array_equal(train_ids(dataset), IDS > 0)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_by_the_colours_of_the_table(self, tmp_path, channels):
        mask = (IDS > 0).astype(np.uint8) * 255
        mask = mask if channels == 1 else np.dstack([mask] * 3)
        table = "id,name,r,g,b\n0,back,0,0,0\n1,front,255,255,255\n"
        np.testing.assert_array_equal(train_ids(open_dataset(make(tmp_path, mask, classes=table))), IDS > 0)

    def test_a_table_of_0_and_1_is_no_table_of_them(self, tmp_path):
        make(tmp_path, (IDS > 0).astype(np.uint8) * 255, classes="id,name\n0,back\n1,front\n")
        with pytest.raises(DataError, match="hold 0 and 255, but 'front' has id 1"):
            open_dataset(tmp_path)
        (tmp_path / "classes.csv").write_text("id,name\n0,back\n255,front\n")
        np.testing.assert_array_equal(train_ids(open_dataset(tmp_path)), IDS > 0)
        (tmp_path / "classes.csv").write_text("id,name\n0,back\n1,front\n255,void\n")
        np.testing.assert_array_equal(train_ids(open_dataset(tmp_path)), np.where(IDS > 0, 255, 0))

    def test_of_16_bits_as_kaggle_s_salt_challenge_has_them(self, tmp_path):
        dataset = open_dataset(make(tmp_path, (IDS > 0).astype(np.uint16) * 65535))
        assert dataset.label_space.class_names == ("background", "foreground")
        np.testing.assert_array_equal(train_ids(dataset), IDS > 0)
        (tmp_path / "classes.csv").write_text("id,name\n0,back\n1,front\n")
        with pytest.raises(DataError, match="hold 0 and 65535, but 'front' has id 1"):
            open_dataset(tmp_path)

    @pytest.mark.parametrize("table", ["id,name\n0,back\n1,front\n", "id,name,void\n0,back,1\n1,front,0\n"])
    def test_most_masks_without_any_object(self, tmp_path, table):
        """The only white pixel is in a mask that a sample of 12 leaves out."""
        make(tmp_path, IDS * 0, classes=table)
        for number in range(30):
            mini.save_image(tmp_path / "images" / f"{number:02}.jpg", IDS.shape)
            mini.save_mask(tmp_path / "masks" / f"{number:02}.png", (IDS > 9) * 255 if number != 1 else (IDS > 0) * 255)
        with pytest.raises(DataError, match="hold 0 and 255, but 'front' has id 1"):
            open_dataset(tmp_path)

    @pytest.mark.parametrize(
        ("white", "table"), [(255, ""), (65535, ""), (255, "id,name,r,g,b\n0,back,0,0,0\n255,front,255,255,255\n")]
    )
    def test_blended_borders(self, tmp_path, white, table):
        large = np.kron(IDS > 0, np.ones((9, 9), np.uint8)).astype(np.min_scalar_type(white))
        mask = cv2.GaussianBlur(large * white, (3, 3), 0)
        make(tmp_path, mask, classes=table)
        with pytest.raises(DataError, match=f"hold 0, {white} and .* between.*--mask-values nearest-colors"):
            open_dataset(tmp_path)
        if table:
            dataset = open_dataset(tmp_path, encoding="nearest_colors")
            np.testing.assert_array_equal(train_ids(dataset), mask > 127)
        else:
            assert open_dataset(tmp_path, encoding="class_ids").label_space.num_classes > 4

    def test_white_alone_may_be_a_class(self, tmp_path):
        make(tmp_path, np.full((6, 8), 255, np.uint8))
        with pytest.raises(DataError, match="all masks are void"):
            open_dataset(tmp_path)
        (tmp_path / "classes.csv").write_text("id,name\n255,front\n")
        assert not train_ids(open_dataset(tmp_path)).any()


class TestADE20K:
    @pytest.mark.parametrize("has_255", [True, False])
    def test_masks_that_count_from_0_are_refused(self, tmp_path, has_255):
        mini.make_ade20k(tmp_path)
        ids = np.zeros((2, 3), np.uint8)
        ids[0] = (1, 2, 255 if has_255 else 0)
        for folder in ("training/ADE_train_00000001", "validation/ADE_val_00000001"):
            mini.save_mask(tmp_path / "annotations" / f"{folder}.png", ids)
        with pytest.raises(DataError, match="start at 0.*--mask-values train-ids"):
            open_dataset(tmp_path)
        np.testing.assert_array_equal(train_ids(open_dataset(tmp_path, encoding="train_ids")), ids)
        if not has_255:
            shifted = np.where(ids == 0, 255, ids.astype(int) - 1)
            np.testing.assert_array_equal(train_ids(open_dataset(tmp_path, encoding="class_ids")), shifted)


@pytest.mark.parametrize("name", ["ade", "coco", "bdd", "kitti", "cityscapes", "camvid", "voc"])
def test_classes_csv_in_the_folder_of_any_layout(tmp_path, name):
    build = {
        "ade": mini.make_ade20k, "coco": mini.make_coco_stuff, "bdd": mini.make_bdd100k, "kitti": mini.make_kitti,
        "cityscapes": mini.make_cityscapes, "camvid": mini.make_camvid, "voc": mini.make_voc,
    }  # fmt: skip
    build[name](tmp_path)
    layout = open_dataset(tmp_path).layout
    ids = np.array([[0, 1], [2, 0]])
    for item in open_dataset(tmp_path).items:
        mini.save_mask(item.mask_path, ids)
    (tmp_path / "classes.csv").write_text("id,name\n0,ground\n1,tree\n2,car\n")
    dataset = open_dataset(tmp_path)
    assert dataset.layout == layout and dataset.label_space.class_names == ("ground", "tree", "car")
    np.testing.assert_array_equal(train_ids(dataset), ids)


def make_voc_export(root, palette):
    for name in ("a", "b"):
        mini.save_image(root / "JPEGImages" / f"{name}.jpg", IDS.shape)
        (root / "SegmentationClass").mkdir(exist_ok=True)
        image = Image.fromarray(IDS if palette else COLORS[IDS])
        if palette:
            image.putpalette(COLORS.tobytes())
        image.save(root / "SegmentationClass" / f"{name}.png")


def test_cvat_segmentation_mask(tmp_path):
    make_voc_export(tmp_path, palette=False)
    (tmp_path / "ImageSets" / "Segmentation").mkdir(parents=True)
    (tmp_path / "ImageSets" / "Segmentation" / "default.txt").write_text("a\nb\n")
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nbackground:0,0,0::\ntree:250,50,83::\ncar:51,221,255::\n"
    )
    dataset = open_dataset(tmp_path)
    assert dataset.label_space.class_names == ("background", "tree", "car") and len(dataset.items) == 2
    np.testing.assert_array_equal(train_ids(dataset), IDS)
    (tmp_path / "labelmap.txt").write_text("tree:250,50::\n")
    with pytest.raises(DataError, match="labelmap.txt, line 1: expected 'name:r,g,b::'"):
        open_dataset(tmp_path)


def test_labelme2voc(tmp_path):
    make_voc_export(tmp_path, palette=True)
    (tmp_path / "class_names.txt").write_text("_background_\ntree\ncar")
    dataset = open_dataset(tmp_path)
    assert dataset.label_space.class_names == ("_background_", "tree", "car")
    np.testing.assert_array_equal(train_ids(dataset), IDS)


def test_exif_is_told(tmp_path):
    make(tmp_path, IDS, classes=TABLE)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.new("RGB", (8, 6)).save(tmp_path / "images" / "m.jpg", exif=exif)
    (note,) = image_notes(open_dataset(tmp_path).items)
    assert "1 of 1 image inspected has an EXIF rotation" in note


@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.webp"])
def test_transparency_is_told(tmp_path, name):
    make(tmp_path, IDS, classes=TABLE)
    (tmp_path / "images" / "m.jpg").unlink()
    Image.new("RGBA", (8, 6)).save(tmp_path / "images" / name)
    (note,) = image_notes(open_dataset(tmp_path).items)
    assert "1 of 1 image inspected has transparency" in note


def test_damaged_exif_is_told_in_our_words(tmp_path):
    make(tmp_path, IDS, classes=TABLE)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01"
    Image.new("RGB", (8, 6)).save(tmp_path / "images" / "m.jpg", exif=exif)
    (note,) = image_notes(open_dataset(tmp_path).items)  # warnings are errors in this suite
    assert "1 of 1 image inspected has a damaged EXIF block" in note
    assert read_image(tmp_path / "images" / "m.jpg").shape == (6, 8, 3)


class TestPalettes:
    def two_masks(self, folder):
        """The same classes in the same colours; the second program numbers them in its own order."""
        make(folder, IDS, classes=TABLE)
        mini.save_image(folder / "images" / "n.jpg", IDS.shape)
        order = np.array([2, 0, 1], np.uint8)
        for name, ids, palette in (("m", IDS, COLORS[:3]), ("n", order[IDS], COLORS[:3][np.argsort(order)])):
            mask = Image.fromarray(ids.astype(np.uint8))
            mask.putpalette(palette.astype(np.uint8).tobytes())
            mask.save(folder / "masks" / f"{name}.png")

    def test_an_index_of_two_colours_is_refused(self, tmp_path):
        self.two_masks(tmp_path)
        with pytest.raises(DataError, match=r"m.png and .*n.png: index 0 .*--mask-values colors"):
            open_dataset(tmp_path)

    def test_the_colours_or_the_indices_on_demand(self, tmp_path):
        self.two_masks(tmp_path)
        one, other = (train_ids(open_dataset(tmp_path, encoding="colors"), i) for i in (0, 1))
        np.testing.assert_array_equal(one, IDS)
        np.testing.assert_array_equal(other, IDS)
        by_index = train_ids(open_dataset(tmp_path, encoding="class_ids"), 1)
        np.testing.assert_array_equal(by_index, np.array([2, 0, 1])[IDS])


@pytest.mark.parametrize("number", [2, 12, 13, 23, 24, 25])
def test_a_sample_reaches_from_the_first_mask_to_the_last_ones(tmp_path, number):
    paths = [tmp_path / str(i) for i in range(number)]
    sample = spread(paths)
    assert sample == sorted(set(sample), key=paths.index) and len(sample) == min(12, number)
    steps = np.diff([*map(paths.index, sample), number])
    assert sample[0] == paths[0] and steps.max() - steps.min() <= 1


def test_colours_beside_ids(tmp_path):
    make(tmp_path, COLORS[IDS], classes=TABLE)
    mini.save_image(tmp_path / "images" / "n.jpg", IDS.shape)
    mini.save_mask(tmp_path / "masks" / "n.png", IDS)
    with pytest.raises(DataError, match="m.png holds colours, but .*n.png holds ids in one channel"):
        open_dataset(tmp_path)


def test_colour_masks_are_described_as_such(tmp_path):
    found = describe_dataset(open_dataset(make(tmp_path, COLORS[IDS], classes=TABLE)))
    assert found["mask_files"] == {"png, colours": 1}


def test_ids_in_one_channel_need_a_table_with_ids(tmp_path):
    with pytest.raises(DataError, match=r"m.png: .*one channel.*only colours. Add a column id"):
        open_dataset(make(tmp_path, IDS, classes=WITHOUT_IDS))
