"""Manifests and datasets that have moved."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_manifests import (
    Manifest,
    ManifestError,
    read_manifest,
    read_row_annotation,
    read_row_full_mask,
    read_row_image,
    write_manifest,
)
from data_manifests.files.paths import as_path
from data_manifests.manifest.relocate import relocate_manifest, with_data_root
from data_manifests.manifest.rows import require_files
from tests.data_manifests.files.test_paths import put, store
from tests.sparsekit.conftest import SCENE, tiny_manifest

__all__ = ["store"]


@pytest.fixture
def moved(tmp_path: Path) -> Manifest:
    """A manifest of a dataset beside it, moved without the dataset, which lies elsewhere under another name."""
    manifest = tiny_manifest(tmp_path / "old/made", [SCENE, SCENE.T, SCENE[::-1]], num_val=1)
    (tmp_path / "old/made/data").rename(tmp_path / "old/town")
    text = manifest.path.read_text().replace("data/images", "../town/images").replace("data/masks", "../town/masks")
    manifest.path.write_text(text)
    shutil.copytree(tmp_path / "old/made", tmp_path / "here/deep/made")
    shutil.move(tmp_path / "old/town", tmp_path / "disk/renamed")
    shutil.rmtree(tmp_path / "old")
    return read_manifest(tmp_path / "here/deep/made")


def contents(manifest: Manifest) -> list[list[bytes]]:
    return [
        [read(manifest, row).tobytes() for read in (read_row_image, read_row_full_mask)] for row in manifest.rows
    ]  # fmt: skip


def test_files_are_found_below_another_folder(moved, tmp_path):
    with pytest.raises(ManifestError, match=r"no such file, but .*manifest.csv names it.*--data-root.*relocate"):
        read_row_image(moved, moved.rows[0])
    new = with_data_root(moved, tmp_path / "disk/renamed")
    for i, row in enumerate(new.rows):
        for path, read in (("images", read_row_image), ("masks", read_row_full_mask)):
            with Image.open(tmp_path / f"disk/renamed/{path}/image_{i}.png") as there:
                np.testing.assert_array_equal(read(new, row), there)
    assert [replace(row, image="", full_mask="") for row in new.rows] == [
        replace(row, image="", full_mask="") for row in moved.rows
    ]
    assert not Path(new.rows[0].image).is_absolute()
    read_row_annotation(new, new.rows[0])


def test_the_dataset_may_lie_deeper_too(moved, tmp_path):
    """As much of the old path as is there below the folder is kept."""
    shutil.move(tmp_path / "disk/renamed", tmp_path / "disk/b/town")
    assert contents(with_data_root(moved, tmp_path / "disk/b")) == contents(
        with_data_root(moved, tmp_path / "disk/b/town")
    )


def test_masks_are_never_taken_for_images(moved, tmp_path):
    """Both have the same names in folders of their own: only a folder that holds both will do."""
    for folder in ("disk/renamed/masks", "disk/renamed/images", "disk"):
        with pytest.raises(ManifestError, match=r"does not contain images/image_0.png, which .*manifest.csv names"):
            with_data_root(moved, tmp_path / folder)
    with pytest.raises(ManifestError, match="no such folder"):
        with_data_root(moved, tmp_path / "none")


def test_all_missing_files_are_named(moved, tmp_path):
    for name in ("images/image_1.png", "masks/image_2.png"):
        (tmp_path / "disk/renamed" / name).unlink()
    with pytest.raises(ManifestError, match=r"2 files of 6 are missing: .*image_1.png, .*masks/image_2.png"):
        with_data_root(moved, tmp_path / "disk/renamed")
    require_files(moved, [tmp_path / "disk/renamed/images/image_0.png"])


def test_absolute_paths_of_another_system(moved, tmp_path):
    rows = tuple(
        replace(
            row,
            image=row.image.replace("../town", "D:/data/town"),
            full_mask=row.full_mask.replace("../town", "D:/data/town"),
        )
        for row in moved.rows
    )
    new = with_data_root(replace(moved, rows=rows), tmp_path / "disk/renamed")
    assert new.rows[0].image == (tmp_path / "disk/renamed/images/image_0.png").as_posix()  # absolute, as it was


def test_into_a_store(moved, tmp_path, store):
    put(tmp_path / "disk/renamed", as_path("memory://store/town"))
    here = with_data_root(moved, tmp_path / "disk/renamed")
    assert contents(with_data_root(moved, "memory://store/town")) == contents(here)


def test_annotations_that_lie_elsewhere(moved, tmp_path):
    """As those of a subset: they stay where they are, or are found below the folder too."""
    rows = tuple(replace(row, annotation=row.annotation and f"../gone/{row.annotation}") for row in moved.rows)
    shutil.move(moved.path.parent / "sparse", tmp_path / "disk/renamed/sparse")
    new = with_data_root(replace(moved, rows=rows), tmp_path / "disk/renamed")
    read_row_annotation(new, new.rows[0])


class TestRelocate:
    def test_writes_the_new_places_down(self, moved, tmp_path):
        before = json.loads(moved.path.with_suffix(".json").read_bytes())
        new = relocate_manifest(moved, tmp_path / "disk/renamed", workers=2)
        assert read_manifest(moved.path).rows == new.rows
        assert contents(read_manifest(moved.path)) == contents(with_data_root(moved, tmp_path / "disk/renamed"))
        after = json.loads(moved.path.with_suffix(".json").read_bytes())
        assert len(after.pop("marks_sha256")) == 64 and after == before  # marks without a hash get one
        before = moved.path.read_bytes()
        relocate_manifest(read_manifest(moved.path), tmp_path / "disk/renamed")
        assert moved.path.read_bytes() == before

    @pytest.mark.parametrize("change", ["mask", "size", "annotation", "marks"])
    def test_other_files_are_refused_and_nothing_is_written(self, moved, tmp_path, change):
        write_manifest(moved)  # with the hash of the marks
        moved = read_manifest(moved.path)
        root = tmp_path / "disk/renamed"
        if change == "size":
            Image.new("RGB", (3, 3)).save(root / "images/image_0.png")
        elif change == "marks":
            text = moved.marks_path.read_text()
            moved.marks_path.write_text(text.replace(",click,0,", ",click,1,", 1))
        else:
            path = root / "masks/image_0.png" if change == "mask" else moved.resolve(moved.rows[0].annotation)
            values = np.asarray(Image.open(path)).copy()
            values[-1, -1] = 1 - min(values[-1, -1], 1)
            Image.fromarray(values).save(path)
        before = moved.path.read_bytes()
        with pytest.raises(ManifestError, match="changed|is 3x3|image_0"):
            relocate_manifest(moved, root)
        assert moved.path.read_bytes() == before
