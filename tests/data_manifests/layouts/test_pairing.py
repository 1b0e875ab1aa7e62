"""Images and masks that belong together, and those without a partner."""

from __future__ import annotations

import pytest

from data_manifests import DataError, open_dataset
from tests.helpers import miniature_datasets as mini


def test_lonely_files_are_all_named_up_to_ten(tmp_path):
    mini.make_generic(tmp_path)
    mini.save_image(tmp_path / "images" / "lonely.png")
    for i in range(12):
        mini.save_mask(tmp_path / "masks" / f"extra_{i:02}.png", [[0]])
    with pytest.raises(DataError) as caught:
        open_dataset(tmp_path)
    message = str(caught.value)
    assert "1 image without a mask" in message and "lonely.png" in message
    assert "12 masks without an image" in message and "extra_09.png and 2 more" in message
    assert "extra_10" not in message and "Add the missing files" in message
    assert "NFC" not in message


def test_names_that_only_look_the_same(tmp_path):
    """As when one of two archives was packed on a Mac."""
    mini.save_image(tmp_path / "images" / "caf\N{LATIN SMALL LETTER E WITH ACUTE}.png")
    mini.save_mask(tmp_path / "masks" / "cafe\N{COMBINING ACUTE ACCENT}.png", [[0]])
    (item,) = open_dataset(tmp_path).items
    assert item.image_id == "caf\N{LATIN SMALL LETTER E WITH ACUTE}" and item.mask_path.stem.endswith("\u0301")


def test_two_formats_of_one_image(tmp_path):
    mini.make_generic(tmp_path)
    mini.save_image(tmp_path / "images" / "a.png")
    with pytest.raises(DataError, match=r"a\.\w+ and .*a\.\w+ are the same image in two formats; keep one of them"):
        open_dataset(tmp_path)


def test_empty_folder(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"(images|masks): contains no images \(.*\.png"):
        open_dataset(tmp_path)
