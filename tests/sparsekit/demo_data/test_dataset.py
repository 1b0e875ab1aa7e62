import json

import numpy as np
import pytest
from PIL import Image

from data_manifests import open_dataset
from data_manifests.image_io import read_image, read_mask
from sparsekit.demo_data import DemoSettings, draw_scene, write_demo_data
from sparsekit.demo_data.dataset import NOTE, scene_name
from sparsekit.errors import AnnotationError

TINY = DemoSettings(num_images=5, width=32, height=16, seed=4)


def files_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_layout_is_found_by_looking(tmp_path):
    assert write_demo_data(tmp_path / "town", TINY) == {"train": 4, "val": 1}
    dataset = open_dataset(tmp_path / "town")
    assert dataset.layout == "cityscapes"
    assert [(item.split, item.image_id) for item in dataset.items] == sorted(
        (scene_name(number) for number in range(5)), key=lambda pair: pair[1]
    )
    for item in dataset.items:
        scene = draw_scene(32, 16, 4, item.image_id)
        np.testing.assert_array_equal(read_image(item.image_path), scene.image)
        np.testing.assert_array_equal(read_mask(item.mask_path), scene.label_ids)
        np.testing.assert_array_equal(read_mask(item.instance_path), scene.instance_ids)
        with Image.open(item.mask_path) as labels, Image.open(item.instance_path) as instances:
            assert labels.mode == "L" and instances.mode.startswith("I")


def test_few_scenes_are_the_first_of_many_whatever_the_workers(tmp_path):
    write_demo_data(tmp_path / "few", TINY)
    write_demo_data(tmp_path / "many", DemoSettings(9, 32, 16, seed=4), workers=2)
    few, many = files_of(tmp_path / "few"), files_of(tmp_path / "many")
    del few[NOTE]
    assert len(few) == 15 and len(many) == 28
    assert all(many[name] == data for name, data in few.items())


def test_note_says_how_the_folder_was_made(tmp_path):
    write_demo_data(tmp_path, TINY)
    note = json.loads((tmp_path / NOTE).read_text())
    assert {key: note[key] for key in ("num_images", "width", "height", "seed")} == vars(TINY)


def test_scenes_are_replaced_only_on_request_and_without_leftovers(tmp_path):
    write_demo_data(tmp_path, TINY)
    with pytest.raises(AnnotationError, match="--overwrite"):
        write_demo_data(tmp_path, TINY)
    write_demo_data(tmp_path, DemoSettings(2, 24, 16), overwrite=True)
    assert len(open_dataset(tmp_path).items) == 2


def test_folders_of_others_are_never_touched(tmp_path):
    precious = tmp_path / "gtFine" / "train" / "aachen.png"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(AnnotationError, match="not made by demo-data"):
            write_demo_data(tmp_path, TINY, overwrite=overwrite)
    assert files_of(tmp_path) == {"gtFine/train/aachen.png": b"x"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"num_images": 0}, "num_images must be at least 1, got 0"), ({"height": 8}, "at least 16x16, got 32x8")],
    ids=["images", "size"],
)
def test_bad_settings(changed, message):
    with pytest.raises(ValueError, match=message):
        DemoSettings(**vars(TINY) | changed)
