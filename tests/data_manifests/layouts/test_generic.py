"""Any folder with images and masks."""

from __future__ import annotations

import pytest

from data_manifests import DataError, known_label_space, open_dataset
from tests.data_manifests.layouts.read_back import ids_of, label_maps
from tests.helpers import miniature_datasets as mini


@pytest.mark.parametrize("below", [False, True], ids=["split/images", "images/split"])
def test_splits(tmp_path, below):
    dataset = open_dataset(mini.make_generic(tmp_path, "training", "valid", "Test", below=below))
    ids = [("test/a", "test"), ("test/b", "test"), ("train/a", "train"), ("train/b", "train"), ("val/a", "val")]
    assert ids_of(dataset) == [*ids, ("val/b", "val")]


def test_folders_beside_those_of_splits_are_no_splits(tmp_path):
    mini.make_generic(tmp_path, "train", "night", below=True)
    assert [image_id for image_id, _ in ids_of(open_dataset(tmp_path))] == [
        "night/a",
        "night/b",
        "train/a",
        "train/b",
    ]
    assert open_dataset(tmp_path).splits == ("train",)


def test_classes_are_found_in_the_masks(tmp_path):
    dataset = open_dataset(mini.make_generic(tmp_path))
    assert dataset.label_space.class_names == ("class_0", "class_1", "class_4")
    assert dataset.label_space.void_ids == (255,)
    (note,) = dataset.notes
    assert "each value in the masks becomes a class: 0..1, 4; 255 means void." in note


@pytest.mark.parametrize(
    ("layout", "names"), [("camvid", known_label_space("camvid").class_names), ("generic", ("x", "y"))]
)
def test_a_part_of_a_dataset_taken_for_the_whole(tmp_path, layout, names):
    whole, table = tmp_path / "whole", "".join(f"{i},{name}\n" for i, name in enumerate(names))
    for split in ("train", "val"):
        mini.save_image(whole / split / "images" / f"{split}.jpg", (1, 2))
        mini.save_mask(whole / split / "masks" / f"{split}.png", [[0, 1]])
    (whole / "classes.csv").write_text(f"id,name\n{table}")
    assert open_dataset(whole).layout == layout and open_dataset(whole).notes == ()
    part = open_dataset(whole / "train")
    assert part.layout == "generic" and part.label_space.class_names == ("class_0", "class_1")
    assert part.notes[0].startswith(f"the parent folder, {whole}, has the layout {layout};")
    assert part.notes[1].startswith("no classes.csv")
    (whole / "train" / "classes.csv").write_text(f"id,name\n{table}")
    assert open_dataset(whole / "train").notes == ()


def test_classes_csv(tmp_path):
    (mini.make_generic(tmp_path) / "classes.csv").write_text("id,name\n0,water\n1,tree\n4,void\n")
    dataset = open_dataset(tmp_path)
    assert dataset.label_space.class_names == ("water", "tree")
    assert label_maps(dataset)[0] == [[0, 1, 255], [255, 255, 0]]


def test_only_void(tmp_path):
    mini.save_image(tmp_path / "images" / "a.png", (1, 1))
    mini.save_mask(tmp_path / "masks" / "a.png", [[255]])
    with pytest.raises(DataError, match=r"all masks are void \(255\); there is no class to annotate"):
        open_dataset(tmp_path)


def test_sixteen_bit_masks(tmp_path):
    mini.save_image(tmp_path / "images" / "a.tif", (1, 3))
    mini.save_mask(tmp_path / "masks" / "a.tif", [[7, 1000, 65535]])
    dataset = open_dataset(tmp_path)
    assert dataset.label_space.class_names == ("class_7", "class_1000")
    assert label_maps(dataset) == [[[0, 1, 255]]]


def test_broken_classes_csv(tmp_path):
    (mini.make_generic(tmp_path) / "classes.csv").write_text("name\nwater\n")
    with pytest.raises(DataError, match=r"classes.csv: no column id"):
        open_dataset(tmp_path)
