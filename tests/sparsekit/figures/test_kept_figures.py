"""Which figures drawn before are kept, and which are refused or replaced."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import (
    Manifest,
    Mark,
    write_marks,
)
from data_manifests.files.atomic import write_atomically
from data_manifests.manifest.relocate import with_data_root
from sparsekit.errors import AnnotationError
from sparsekit.figures.provenance import has_note
from sparsekit.figures.write import draw_figures, plan_figures
from tests.helpers.drawn_figures import DOTS, draw
from tests.sparsekit.conftest import SCENE, tiny_manifest


@pytest.mark.parametrize("file_format", ["png", "pdf"])
def test_figures_drawn_before_stay_unless_asked(tmp_path: Path, file_format: str) -> None:
    manifest, look = tiny_manifest(tmp_path / "m"), replace(DOTS, file_format=file_format)
    (first,) = draw([manifest], tmp_path / "f", look, limit=1)
    before = first.stat().st_mtime_ns
    plan = plan_figures([manifest], tmp_path / "f", look)
    assert [p.stem for p in plan.skipped] == ["image_0"] and [f.path.stem for f in plan.figures] == ["image_1"]
    draw_figures(plan)
    assert first.stat().st_mtime_ns == before
    assert len(plan_figures([manifest], tmp_path / "f", look, overwrite=True).figures) == 2


def other_marks(folder: Path) -> Manifest:
    """The same image, and one other click."""
    return tiny_manifest(folder, [SCENE], marks=[[Mark("click", 1, 7, 7)]])


@pytest.mark.parametrize("file_format", ["png", "pdf"])
@pytest.mark.parametrize(
    ("others", "changes"),
    [
        (["b"], {}),
        (["a", "b"], {}),
        (["a"], {"dot_size": 3}),
        (["a"], {"full_mask": True}),
        (["a"], {"names": True}),
        (["a"], {"captions": ("words",)}),
        (["a"], {"max_width": 640}),
    ],
    ids=lambda value: "-".join(value),
)
def test_figures_of_something_else_are_neither_kept_nor_replaced(
    tmp_path: Path, file_format: str, others: list[str], changes: dict[str, Any]
) -> None:
    made = {"a": tiny_manifest(tmp_path / "a", [SCENE]), "b": other_marks(tmp_path / "b")}
    look = replace(DOTS, file_format=file_format)
    (path,) = draw([made["a"]], tmp_path / "f", look)
    before = path.read_bytes()
    asked = [made[name] for name in others]
    with pytest.raises(
        AnnotationError, match="image_0.p.*was not made from these images and annotations .* Give --overwrite"
    ):
        plan_figures(asked, tmp_path / "f", replace(look, **changes))
    assert path.read_bytes() == before
    draw(asked, tmp_path / "f", replace(look, **changes), overwrite=True)
    assert path.read_bytes() != before
    assert plan_figures(asked, tmp_path / "f", replace(look, **changes)).skipped == (path,)


def test_figures_of_marks_that_were_edited_are_not_kept(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    draw([manifest], tmp_path / "f")
    write_marks(manifest.marks_path, [("image_0", [Mark("click", 1, 7, 7)])])
    with pytest.raises(AnnotationError, match="was not made from these images and annotations"):
        plan_figures([manifest], tmp_path / "f", DOTS)


def test_figures_of_an_image_that_was_swapped_are_not_kept(tmp_path: Path) -> None:
    """A manifest holds no hash of images: another file under the same name must not pass for the one that was drawn."""
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    (path,) = draw([manifest], tmp_path / "f")
    assert plan_figures([manifest], tmp_path / "f", DOTS).skipped == (path,)
    Image.new("RGB", SCENE.shape[::-1], (1, 2, 3)).save(manifest.resolve(manifest.rows[0].image))
    with pytest.raises(AnnotationError, match="was not made from these images and annotations"):
        plan_figures([manifest], tmp_path / "f", DOTS)


def test_figures_of_a_dataset_that_moved_are_kept(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    (path,) = draw([manifest], tmp_path / "f")
    (tmp_path / "m/data").rename(tmp_path / "elsewhere")
    moved = with_data_root(manifest, tmp_path / "elsewhere")
    assert plan_figures([moved], tmp_path / "f", DOTS).skipped == (path,)


def test_sheets_of_other_images_and_files_of_the_user_are_not_taken_for_figures(tmp_path: Path) -> None:
    manifest, look = tiny_manifest(tmp_path / "m", [SCENE] * 3), replace(DOTS, sheet=(1, 2))
    draw([manifest], tmp_path / "f", look)
    with pytest.raises(AnnotationError, match=r"sheet-001.png: .*--overwrite"):
        plan_figures([manifest], tmp_path / "f", look, image_ids=["image_0", "image_2"])
    for i in (0, 1):
        write_atomically(tmp_path / f"g/image_{i}.png", b"mine")
    with pytest.raises(AnnotationError, match=r"image_0.png \(and 1 more\): .*--overwrite"):
        plan_figures([manifest], tmp_path / "g", DOTS)


def test_the_note_leaves_a_png_valid_and_its_pixels_alone(tmp_path: Path) -> None:
    (path,) = draw([tiny_manifest(tmp_path / "m", [SCENE])], tmp_path / "f")
    with Image.open(path) as opened:
        note = opened.info["Comment"]  # Pillow checks the sum of the chunk
        pixels = np.asarray(opened.convert("RGB"))
    assert re.fullmatch("sparsekit:made-from:[0-9a-f]{64}", note) and has_note(path, note)
    data = path.read_bytes()
    start = data.index(b"tEXt") - 4
    plain = data[:start] + data[start + 12 + int.from_bytes(data[start : start + 4], "big") :]
    assert np.array_equal(pixels, np.asarray(Image.open(io.BytesIO(plain)).convert("RGB")))
    path.write_bytes(plain)
    assert not has_note(path, note)
