"""CamVid: the real set, and one that is arranged as a generic tree."""

from __future__ import annotations

from data_manifests import known_label_space, open_dataset
from tests.helpers import miniature_datasets as mini
from tests.helpers.real_data import real_data


def test_real_set():
    dataset = open_dataset(real_data("camvid"))
    assert dataset.layout == "camvid" and dataset.label_space == known_label_space("camvid")
    counts = {split: sum(i.split == split for i in dataset.items) for split in dataset.splits}
    assert counts == {"test": 233, "train": 367, "val": 101}


def test_a_generic_tree_with_its_classes_is_camvid(tmp_path):
    for split in ("train", "test"):
        mini.save_image(tmp_path / split / "images" / f"{split}.jpg", (1, 2))
        mini.save_mask(tmp_path / split / "masks" / f"{split}.png", [[0, 11]])
    names = known_label_space("camvid").class_names
    rows = "".join(f"{i},{name}\n" for i, name in enumerate([*names, "Unlabelled"]))
    (tmp_path / "classes.csv").write_text(f"id,name\n{rows}")
    assert open_dataset(tmp_path).layout == "camvid"
    (tmp_path / "classes.csv").write_text("id,name\n0,a\n11,b\n")
    assert open_dataset(tmp_path).layout == "generic"
