"""Photos with an EXIF orientation: images are as viewers show them, in imports and exports."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from data_manifests import LabelMap, open_dataset, read_manifest
from data_manifests.manifest.rows import read_row_annotation
from sparsekit.errors import AnnotationError
from sparsekit.formats import EXPORTED
from sparsekit.formats.export import export_manifest
from sparsekit.formats.import_ import import_annotations

ORIENTATIONS = range(1, 9)
SIZES = [(6, 10), (8, 8)]  # height and width as shown
PLACE = (1, 4)  # of the tree, as shown


def photo(path: Path, shape: tuple[int, int], orientation: int, suffix: str = ".png") -> np.ndarray:
    """Write an image with an orientation; what Pillow makes of it is what viewers show."""
    stored = shape[::-1] if orientation >= 5 else shape
    pixels = np.random.default_rng(0).integers(0, 256, (*stored, 3), np.uint8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path.with_suffix(suffix), exif=exif)
    with Image.open(path.with_suffix(suffix)) as again:
        return np.asarray(ImageOps.exif_transpose(again))


def dataset_of(folder: Path, shape: tuple[int, int], orientation: int, suffix: str = ".png") -> np.ndarray:
    """A photo and its mask as shown: a tree (1) in one pixel of ground (0)."""
    shown = photo(folder / "images/a", shape, orientation, suffix)
    mask = np.zeros(shape, np.uint8)
    mask[PLACE] = 1
    (folder / "masks").mkdir()
    Image.fromarray(mask).save(folder / "masks/a.png")
    (folder / "classes.csv").write_text("id,name\n0,ground\n1,tree\n")
    return shown


def annotate(folder: Path, format_: str, shape: tuple[int, int], place: tuple[int, int]) -> None:
    """A click on a tree as a tool writes it whose image is of some size."""
    folder.mkdir()
    (height, width), (x, y) = shape, (place[1] + 0.5, place[0] + 0.5)
    if format_ == "labelme":
        one: dict[str, object] = {"label": "tree", "shape_type": "point", "points": [[x, y]]}
        data: object = {"shapes": [one], "imagePath": "a.png", "imageHeight": height, "imageWidth": width}
        (folder / "a.json").write_text(json.dumps(data))
    elif format_ == "cvat":
        (folder / "annotations.xml").write_text(
            f'<annotations><image id="0" name="a.png" width="{width}" height="{height}"><points label="tree" '
            f'points="{x},{y}"/></image></annotations>'
        )
    elif format_ == "label-studio":
        value = {"x": x / width * 100, "y": y / height * 100, "width": 1, "keypointlabels": ["tree"]}
        one = {"type": "keypointlabels", "original_width": width, "original_height": height, "value": value}
        data = [{"data": {"image": "/data/upload/1/a.png"}, "annotations": [{"result": [one]}]}]
        (folder / "tasks.json").write_text(json.dumps(data))
    elif format_ == "coco":
        counts = [place[1] * height + place[0], 1, height * width - place[1] * height - place[0] - 1]
        one = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [height, width], "counts": counts}}
        image = {"id": 1, "file_name": "a.png", "height": height, "width": width}
        data = {"images": [image], "categories": [{"id": 1, "name": "tree"}], "annotations": [one]}
        (folder / "annotations.json").write_text(json.dumps(data))
    else:
        label_map = np.full(shape, 255, np.uint8)
        label_map[place] = 1
        Image.fromarray(label_map).save(folder / "a.png")


def imported(tmp_path: Path, format_: str) -> LabelMap:
    summary = import_annotations(tmp_path / "in", format_, open_dataset(tmp_path / "ds"), tmp_path / "out")
    manifest = read_manifest(summary.folder)
    return read_row_annotation(manifest, manifest.rows[0])


FORMATS = ["labelme", "cvat", "label-studio", "coco", "urss"]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("format_", FORMATS)
def test_a_click_on_the_tree_as_shown_is_on_the_tree(
    tmp_path: Path, format_: str, orientation: int, shape: tuple[int, int]
) -> None:
    dataset_of(tmp_path / "ds", shape, orientation)
    annotate(tmp_path / "in", format_, shape, PLACE)
    expected = np.full(shape, 255)
    expected[PLACE] = 1
    np.testing.assert_array_equal(imported(tmp_path, format_), expected)


def stored_place(shape: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Where the tree lies in the file, found by trying every pixel."""
    for row, col in np.ndindex(*shape[::-1]):
        pixels = np.zeros((*shape[::-1], 3), np.uint8)
        pixels[row, col] = 255
        image = Image.fromarray(pixels)
        image.getexif()[0x0112] = orientation
        if np.asarray(ImageOps.exif_transpose(image))[PLACE].any():
            return row, col
    raise AssertionError


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("format_", FORMATS)
def test_an_annotation_of_the_size_as_stored_is_turned(tmp_path: Path, format_: str, orientation: int) -> None:
    shape = (6, 10)
    dataset_of(tmp_path / "ds", shape, orientation)
    annotate(tmp_path / "in", format_, shape[::-1], stored_place(shape, orientation))
    expected = np.full(shape, 255)
    expected[PLACE] = 1
    np.testing.assert_array_equal(imported(tmp_path, format_), expected)


@pytest.mark.parametrize("format_", FORMATS)
def test_another_size_is_refused_and_names_the_orientation(tmp_path: Path, format_: str) -> None:
    dataset_of(tmp_path / "ds", (6, 10), 6)
    annotate(tmp_path / "in", format_, (6, 11), PLACE)
    with pytest.raises(AnnotationError, match="EXIF orientation 6"):
        imported(tmp_path, format_)


@pytest.mark.parametrize("orientation", [2, 3, 4])
@pytest.mark.parametrize("format_", ["labelme", "cvat", "label-studio"])
def test_a_mask_of_the_pixels_as_stored_is_found_out(tmp_path: Path, format_: str, orientation: int) -> None:
    shape = (6, 10)
    dataset_of(tmp_path / "ds", shape, orientation)
    mask = np.zeros(shape, np.uint8)
    rows, cols = (PLACE[0] if orientation == 2 else -1 - PLACE[0]), (PLACE[1] if orientation == 4 else -1 - PLACE[1])
    mask[rows, cols] = 1
    Image.fromarray(mask).save(tmp_path / "ds/masks/a.png")
    annotate(tmp_path / "in", format_, shape, PLACE)
    with pytest.raises(AnnotationError, match=f"EXIF orientation {orientation}.*rotate the mask"):
        imported(tmp_path, format_)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_exports_carry_no_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    """Every reader, whether it follows orientations or not, sees the image as shown, of the labels' size."""
    shape = (6, 10)
    shown = dataset_of(tmp_path / "ds", shape, orientation, suffix)
    annotate(tmp_path / "in", "labelme", shape, PLACE)
    manifest = read_manifest(
        import_annotations(tmp_path / "in", "labelme", open_dataset(tmp_path / "ds"), tmp_path / "sparse").folder
    )
    for format_ in {*EXPORTED} - {"s4a"}:  # which has no images
        out = export_manifest(manifest, format_, tmp_path / format_, lossy=True, link=True).folder
        images = []
        for path in sorted(out.rglob("*")):
            if path.is_file() and path.suffix in (".png", ".jpg", ".tif"):
                as_stored = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
                assert as_stored is not None and as_stored.shape[:2] == shape, (format_, path)
                images.append(as_stored[:, :, ::-1])
        assert any(np.array_equal(image, shown) for image in images), format_
