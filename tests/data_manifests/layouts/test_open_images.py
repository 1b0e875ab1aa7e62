"""Images without full masks, for annotations made with other tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from data_manifests import DataError, LabelClass, LabelSpace, open_images
from sparsekit import ClickAnnotator, synthesize
from tests.helpers.miniature_datasets import save_image

SPACE = LabelSpace("custom", (LabelClass("ground", (0, 0, 0), (0,)), LabelClass("oak", (0, 99, 0), (1,))))


def test_images_at_any_depth_are_items_without_a_mask(tmp_path: Path) -> None:
    for name in ("b.png", "deep/a.jpg"):
        save_image(tmp_path / "town/images" / name, (4, 6))
    dataset = open_images(tmp_path / "town/images", SPACE)
    found = [(item.image_id, item.split, item.mask_path, item.image_or_mask) for item in dataset.items]
    images = tmp_path / "town/images"
    assert found == [("b", "train", None, images / "b.png"), ("deep/a", "train", None, images / "deep/a.jpg")]
    assert (dataset.root, dataset.label_space) == (tmp_path / "town", SPACE)
    assert "2 images" in repr(dataset) and dataset._repr_html_()


@pytest.mark.parametrize("where", ["images", "."])
def test_the_class_table_lies_in_the_folder_or_beside_it(tmp_path: Path, where: str) -> None:
    save_image(tmp_path / "images/a.png", (4, 6))
    (tmp_path / where / "classes.csv").write_text("id,name\n0,ground\n7,oak\n")
    assert open_images(tmp_path / "images").label_space.class_names == ("ground", "oak")
    merged = open_images(tmp_path / "images", class_map={"all": ["ground", "oak"]})
    assert merged.label_space.class_names == ("all",)


def test_colours_alone_may_name_the_classes(tmp_path: Path) -> None:
    save_image(tmp_path / "photos/a.png", (4, 6))
    (tmp_path / "classes.csv").write_text("name,r,g,b\nground,0,0,0\noak,0,99,0\n")
    dataset = open_images(tmp_path / "photos")
    assert dataset.encoding == "colors" and dataset.label_space.ids_are_colors


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        open_images(tmp_path / "images", SPACE)
    save_image(tmp_path / "images/a.png", (4, 6))
    with pytest.raises(DataError, match=r"classes\.csv"):
        open_images(tmp_path / "images")
    save_image(tmp_path / "images/a.jpg", (4, 6))
    with pytest.raises(DataError, match="image id 'a'"):
        open_images(tmp_path / "images", SPACE)
    (tmp_path / "images/manifest.csv").touch()
    with pytest.raises(DataError, match="annotations"):
        open_images(tmp_path / "images", SPACE)


def test_clicks_need_full_masks(tmp_path: Path) -> None:
    save_image(tmp_path / "images/a.png", (4, 6))
    with pytest.raises(DataError, match="no full mask"):
        synthesize(open_images(tmp_path / "images", SPACE), ClickAnnotator((1,)), tmp_path / "out")
    assert not list((tmp_path / "out").rglob("*.csv"))
