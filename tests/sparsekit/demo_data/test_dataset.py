import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, open_dataset
from data_manifests.files.images import read_image
from data_manifests.files.masks import read_mask
from sparsekit.demo_data import DemoSettings, draw_scene, write_demo_data
from sparsekit.demo_data import dataset as module
from sparsekit.demo_data.dataset import NOTE, PARTIAL, scene_name
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


@pytest.mark.usefixtures("drawn")
def test_files_of_others_beside_the_scenes_stay(tmp_path):
    write_demo_data(tmp_path, TINY)
    (tmp_path / "sparse").mkdir()
    (tmp_path / "sparse/manifest.csv").write_bytes(b"x")
    write_demo_data(tmp_path, DemoSettings(2, 24, 16), overwrite=True)
    assert files_of(tmp_path)["sparse/manifest.csv"] == b"x" and len(files_of(tmp_path)) == 2 * 3 + 2


class Interrupted(BaseException):
    """As KeyboardInterrupt, which would end pytest."""


def interrupted(out_dir, settings=TINY, *, after=2, **options):
    """Draw so many scenes and stop, as the user's Ctrl-C or a full disk may."""
    left = iter([None] * (after - 1))

    def advance():
        if next(left, "none") == "none":
            raise Interrupted

    with pytest.raises(Interrupted):
        write_demo_data(out_dir, settings, on_image=advance, **options)


draw_once = cache(draw_scene)


@pytest.fixture
def drawn(monkeypatch):
    """Ids of the scenes that are drawn; drawing again what another test has drawn takes no time."""
    ids = []

    def draw(*args):
        ids.append(args[-1])
        return draw_once(*args)

    monkeypatch.setattr(module, "draw_scene", draw)
    return ids


@pytest.fixture
def whole(tmp_path, drawn):
    write_demo_data(tmp_path / "whole", TINY)
    return files_of(tmp_path / "whole")


def test_a_part_of_the_scenes_is_no_dataset_and_the_same_call_goes_on(tmp_path, whole, drawn):
    out = tmp_path / "town"
    interrupted(out, after=2)
    assert [path.name for path in out.iterdir()] == [PARTIAL]
    with pytest.raises(DataError, match="fits no known layout"):
        open_dataset(out)
    stray = out / PARTIAL / "gtFine/train/alder/.alder_000001.png.77.partial"
    stray.write_bytes(b"killed")
    drawn.clear()
    calls = []
    assert write_demo_data(out, TINY, on_image=lambda: calls.append(1)) == {"train": 4, "val": 1}
    assert files_of(out) == whole and len(calls) == 5
    assert not {scene_name(0)[1], scene_name(1)[1]} & {*drawn}
    assert sorted(path.name for path in out.iterdir()) == [NOTE, "gtFine", "leftImg8bit"]


def test_other_settings_begin_anew(tmp_path, whole, drawn):
    interrupted(tmp_path / "town", DemoSettings(5, 32, 16, seed=5))
    drawn.clear()
    write_demo_data(tmp_path / "town", TINY)
    assert files_of(tmp_path / "town") == whole and len(drawn) == 5


def test_scenes_to_be_replaced_stay_until_the_new_ones_are_there(tmp_path, whole):
    out = tmp_path / "town"
    write_demo_data(out, DemoSettings(2, 24, 16))
    before = files_of(out)
    interrupted(out, overwrite=True)
    assert len(open_dataset(out).items) == 2
    assert {name: data for name, data in files_of(out).items() if PARTIAL not in name} == before
    with pytest.raises(AnnotationError, match="already holds demo data. Give --overwrite"):
        write_demo_data(out, TINY)
    write_demo_data(out, TINY, overwrite=True)
    assert files_of(out) == whole


@pytest.mark.parametrize(
    ("replaces", "step"), [(False, 0), (False, 1), (False, 2), *((True, step) for step in range(6))]
)
def test_a_kill_while_the_scenes_are_moved(tmp_path, whole, monkeypatch, step, replaces):
    out = tmp_path / "town"
    if replaces:
        write_demo_data(out, DemoSettings(2, 24, 16))
    steps = iter(range(9))

    def rename(self, target, rename=Path.rename):
        if next(steps) == step:
            raise Interrupted
        return rename(self, target)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(Path, "rename", rename)
        write_demo_data(out, TINY, overwrite=replaces)
    assert (out / NOTE).exists() == (replaces and step == 0)  # the old scenes are still there
    num_items = ({0: 2, 1: 2, 5: 5} if replaces else {2: 5}).get(step)  # all of the old, all of the new, or none
    if num_items is None:
        with pytest.raises(DataError, match="fits no known layout"):
            open_dataset(out)
    else:
        assert len(open_dataset(out).items) == num_items
    write_demo_data(out, TINY, overwrite=replaces and step == 0)
    assert files_of(out) == whole and PARTIAL not in {path.name for path in out.iterdir()}


def test_a_second_process_is_kept_off_and_does_not_say_that_all_is_there(tmp_path, whole):
    errors = []

    def meanwhile():
        for overwrite in (False, True):
            with pytest.raises(DataError) as caught:
                write_demo_data(tmp_path / "town", TINY, overwrite=overwrite)
            errors.append(str(caught.value))

    write_demo_data(tmp_path / "town", TINY, on_image=meanwhile)
    assert len(errors) == 10 and all("another process is writing to it" in error for error in errors)
    assert files_of(tmp_path / "town") == whole


@pytest.mark.usefixtures("drawn")
def test_what_others_put_beside_a_part_of_the_scenes_is_never_touched(tmp_path):
    interrupted(tmp_path)
    precious = tmp_path / "gtFine" / "aachen.png"
    precious.parent.mkdir()
    precious.write_bytes(b"x")
    for overwrite in (False, True):
        with pytest.raises(AnnotationError, match="not made by demo-data"):
            write_demo_data(tmp_path, TINY, overwrite=overwrite)
    assert precious.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_images": 0}, "num_images must lie between 1 and 100000, got 0"),
        ({"height": 8}, "at least 16x16 .* got 32x8"),
    ],
    ids=["images", "size"],
)
def test_bad_settings(changed, message):
    with pytest.raises(ValueError, match=message):
        DemoSettings(**vars(TINY) | changed)
