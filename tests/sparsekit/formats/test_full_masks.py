"""Polygons, boxes and masks of other tools as full masks, worked out pixel by pixel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cli.sparsekit_cli import main
from data_manifests import open_dataset, read_manifest
from data_manifests.files.masks import read_mask
from sparsekit.errors import AnnotationError
from sparsekit.formats import DRAWN_FORMATS
from sparsekit.formats.detect import find_drawn_format
from sparsekit.formats.full_masks import write_full_masks
from sparsekit.formats.shared.areas import polygon_pixels
from sparsekit.formats.shared.source import ImportOptions

HEIGHT, WIDTH = SHAPE = 20, 30
STAR = [(15.2, 1.3), (20.8, 18.6), (2.1, 7.7), (28.4, 7.9), (9.6, 18.2)]  # crosses itself
SQUARE = [(3.0, 2.0), (12.0, 2.0), (12.0, 9.0), (3.0, 9.0)]
#: A large star first, then a square over it.
SHAPES = [("tree", STAR), ("car", SQUARE)]
XY = tuple[float, float]


def inside(x: float, y: float, corners: Sequence[XY]) -> bool:
    """Whether a ray to the left crosses the sides an odd number of times."""
    count = 0
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 <= y) != (y1 <= y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x:
            count += 1
    return count % 2 == 1


def slow(shapes: Sequence[tuple[int, Sequence[XY]]], empty: int) -> np.ndarray:
    mask = np.full(SHAPE, empty)
    for class_id, corners in shapes:
        for row, col in np.ndindex(*SHAPE):
            if inside(col + 0.5, row + 0.5, corners):
                mask[row, col] = class_id
    return mask


def put(folder: Path, name: str, data: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


def draw(folder: Path, format_: str, shapes: Sequence[tuple[str, Sequence[XY]]], name: str = "a") -> None:
    """An image and polygons on it, each over those before it."""
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT)).save(folder / f"{name}.png")
    size = {"height": HEIGHT, "width": WIDTH}
    if format_ == "labelme":
        entries = [{"label": label, "shape_type": "polygon", "points": points} for label, points in shapes]
        data: Any = {"shapes": entries, "imagePath": "a.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
        put(folder, f"{name}.json", data)
    elif format_ == "cvat":
        body = "".join(
            f'<polygon label="{label}" z_order="0" points="{";".join(f"{x},{y}" for x, y in points)}"/>'
            for label, points in shapes
        )
        image = f'<image name="{name}.png" width="{WIDTH}" height="{HEIGHT}">{body}</image>'
        put(folder, "annotations.xml", f"<annotations><version>1.1</version>{image}</annotations>")
    elif format_ == "label-studio":
        results = [
            {"type": "polygonlabels", "original_width": WIDTH, "original_height": HEIGHT,
             "value": {"points": [[x / WIDTH * 100, y / HEIGHT * 100] for x, y in points], "polygonlabels": [label]}}
            for label, points in shapes
        ]  # fmt: skip
        put(
            folder,
            "tasks.json",
            [{"data": {"image": f"/data/upload/1/0a1b2c3d-{name}.png"}, "annotations": [{"result": results}]}],
        )
    else:
        names = sorted({label for label, _ in shapes})
        put(folder, "annotations/instances.json", {
            "images": [{"id": 40, "file_name": f"{name}.png", **size}],
            "categories": [{"id": 7 + 10 * i, "name": name} for i, name in enumerate(names)],
            "annotations": [
                {"id": i, "image_id": 40, "category_id": 7 + 10 * names.index(label),
                 "segmentation": [[value for point in points for value in point]]}
                for i, (label, points) in enumerate(shapes)
            ],
        })  # fmt: skip


@given(st.lists(st.tuples(st.integers(-40, 280), st.integers(-40, 200)), min_size=1, max_size=8))
def test_polygons_of_any_corners(eighths: list[tuple[int, int]]) -> None:
    """No side runs through a pixel's centre, where rounding would decide."""
    corners = [(x / 8 + 2**0.5 / 100, y / 8) for x, y in eighths]
    found = np.zeros(SHAPE, int)
    found.flat[polygon_pixels(corners, SHAPE)] = 1
    np.testing.assert_array_equal(found, slow([(1, corners)], 0))


@pytest.mark.parametrize("format_", DRAWN_FORMATS)
def test_the_last_drawn_lies_on_top(tmp_path: Path, format_: str) -> None:
    draw(tmp_path / "in", format_, SHAPES)
    assert find_drawn_format(tmp_path / "in") == format_
    made = write_full_masks(tmp_path / "in", format_, tmp_path / "out")
    assert made.class_names == ("background", "car", "tree") and made.num_images == 1 and made.notes == ()
    np.testing.assert_array_equal(read_mask(tmp_path / "out/masks/a.png"), slow([(2, STAR), (1, SQUARE)], 0))
    draw(tmp_path / "in", format_, SHAPES[::-1])
    write_full_masks(tmp_path / "in", format_, tmp_path / "out", overwrite=True)
    np.testing.assert_array_equal(read_mask(tmp_path / "out/masks/a.png"), slow([(1, SQUARE), (2, STAR)], 0))
    write_full_masks(tmp_path / "in", format_, tmp_path / "out", overwrite=True, overlaps="area")
    np.testing.assert_array_equal(read_mask(tmp_path / "out/masks/a.png"), slow([(2, STAR), (1, SQUARE)], 0))


def test_background_void_and_names(tmp_path: Path) -> None:
    draw(tmp_path / "in", "labelme", [("Tree", STAR), ("_background_", SQUARE)])
    options = ImportOptions(class_names={"Tree": "tree"})
    made = write_full_masks(tmp_path / "in", "labelme", tmp_path / "a", background=None, options=options)
    assert made.class_names == ("_background_", "tree")
    np.testing.assert_array_equal(read_mask(tmp_path / "a/masks/a.png"), slow([(1, STAR), (0, SQUARE)], 255))
    draw(tmp_path / "in", "labelme", [("tree", STAR), ("__ignore__", SQUARE)])
    made = write_full_masks(tmp_path / "in", "labelme", tmp_path / "b")
    np.testing.assert_array_equal(read_mask(tmp_path / "b/masks/a.png"), slow([(1, STAR), (255, SQUARE)], 0))


def test_names_that_mean_nothing_and_accents(tmp_path: Path) -> None:
    draw(tmp_path / "in", "labelme", [("gr\u00fcn", STAR), ("gru\u0308n", SQUARE)])
    options = ImportOptions(class_names={"Treee": ""})
    made = write_full_masks(tmp_path / "in", "labelme", tmp_path / "out", options=options)
    assert made.class_names == ("background", "gr\u00fcn")
    (note,) = made.notes
    assert "'Treee'" in note and "--ignore-class" in note


def test_coco_crowds_lie_below_and_ids_have_gaps(tmp_path: Path) -> None:
    draw(tmp_path / "in", "coco", SHAPES)
    path = tmp_path / "in/annotations/instances.json"
    data = json.loads(path.read_text())
    crowd = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
    data["annotations"].append({"image_id": 40, "category_id": 99, "iscrowd": 1, "segmentation": crowd})
    data["annotations"].append({"image_id": 40, "category_id": 99, "segmentation": [], "bbox": [28, 18, 2, 2]})
    data["categories"].append({"id": 99, "name": "people"})
    path.write_text(json.dumps(data))
    made = write_full_masks(tmp_path / "in", "coco", tmp_path / "out")
    assert made.class_names == ("background", "car", "people", "tree")
    corner = [(28.0, 18.0), (30.0, 18.0), (30.0, 20.0), (28.0, 20.0)]
    np.testing.assert_array_equal(
        read_mask(tmp_path / "out/masks/a.png"), slow([(3, STAR), (1, SQUARE), (2, corner)], 2)
    )
    assert made.notes == ("annotations without segmentation, taken as boxes (1)",)


def test_several_files_of_coco_and_images_elsewhere(tmp_path: Path) -> None:
    """As COCO comes: instances of both splits and captions in one folder, the images in others."""
    for name in ("a", "b"):
        draw(tmp_path / name, "coco", SHAPES, name)
        (tmp_path / f"photos/{name}2017").mkdir(parents=True)
        (tmp_path / f"{name}/{name}.png").rename(tmp_path / f"photos/{name}2017/{name}.png")
    (tmp_path / "b/annotations/instances.json").rename(tmp_path / "a/annotations/instances_b.json")
    put(tmp_path, "a/annotations/captions.json", {"annotations": [], "images": []})
    with pytest.raises(AnnotationError, match="--images DIR"):
        write_full_masks(tmp_path / "a", "coco", tmp_path / "out")
    made = write_full_masks(tmp_path / "a", "coco", tmp_path / "out", images_dir=tmp_path / "photos")
    assert made.num_images == 2
    for name in ("a", "b"):
        found = read_mask(tmp_path / f"out/masks/{name}2017/{name}.png")
        np.testing.assert_array_equal(found, slow([(2, STAR), (1, SQUARE)], 0))
    assert run("full-masks", tmp_path / "a", "--images", tmp_path / "photos", "-o", tmp_path / "ds")[0] == 0


@pytest.mark.parametrize("kind", ["instances", "roboflow"])
@pytest.mark.parametrize("images", ["", "images/"])
def test_splits_of_coco_keep_their_images(tmp_path: Path, images: str, kind: str) -> None:
    """Images of val have the names of those of train; no folder between may make them images of train."""
    for split, shape in (("train", STAR), ("val", SQUARE)):
        draw(tmp_path, "coco", [("tree", shape)], "a")
        (tmp_path / images / split).mkdir(parents=True)
        (tmp_path / "a.png").rename(tmp_path / images / split / "a.png")
        of_split = f"annotations/instances_{split}.json" if kind == "instances" else f"{split}/_annotations.coco.json"
        (tmp_path / of_split).parent.mkdir(exist_ok=True)
        (tmp_path / "annotations/instances.json").rename(tmp_path / of_split)
    (tmp_path / "annotations").rmdir() if kind == "roboflow" else None
    made = write_full_masks(tmp_path, "coco", tmp_path / "out")
    assert made.num_images == 2 and made.notes == ()
    dataset = open_dataset(tmp_path / "out")
    assert [(item.image_id, item.split) for item in dataset.items] == [("train/a", "train"), ("val/a", "val")]
    for split, shape in (("train", STAR), ("val", SQUARE)):
        np.testing.assert_array_equal(read_mask(tmp_path / f"out/masks/{split}/a.png"), slow([(1, shape)], 0))


def test_several_files_of_coco_for_one_folder_of_images(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw(tmp_path / "in", "coco", SHAPES, name)
        (tmp_path / "in/annotations/instances.json").rename(tmp_path / f"in/annotations/instances_{name}.json")
    (note,) = write_full_masks(tmp_path / "in", "coco", tmp_path / "out").notes
    assert note.startswith("images of several files in one folder")


def test_annotations_of_v7_are_not_coco(tmp_path: Path) -> None:
    put(tmp_path, "a.json", {"version": "2.0", "item": {"name": "a.png"}, "annotations": [{"polygon": {"paths": []}}]})
    assert find_drawn_format(tmp_path) is None


def test_a_folder_above_that_of_the_file(tmp_path: Path) -> None:
    draw(tmp_path / "in/export", "cvat", SHAPES)
    with pytest.raises(AnnotationError, match=r"expected annotations.xml, .* found export/annotations.xml"):
        write_full_masks(tmp_path / "in", "cvat", tmp_path / "out")


def test_clicks_and_strokes_fill_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "a.png")
    for kind, points in (("point", [[1, 1]]), ("linestrip", [[1, 1], [5, 5]])):
        put(
            tmp_path, "a.json", {"shapes": [{"label": "x", "shape_type": kind, "points": points}], "imagePath": "a.png"}
        )
        with pytest.raises(AnnotationError, match=r"a\.json: contains a (click|stroke), .*`sparsekit import`"):
            write_full_masks(tmp_path, "labelme", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    square = {"label": "y", "shape_type": "polygon", "points": SQUARE}
    line = {"label": "x", "shape_type": "linestrip", "points": [[1, 1], [5, 5]]}
    put(tmp_path, "a.json", {"shapes": [square, line], "imagePath": "a.png"})
    made = write_full_masks(tmp_path, "labelme", tmp_path / "out", options=ImportOptions(skip_unsupported=True))
    assert made.notes == ("strokes, which have no area: left out (1)",)
    np.testing.assert_array_equal(read_mask(tmp_path / "out/masks/a.png"), slow([(2, SQUARE)], 0))


def test_photos_with_an_orientation(tmp_path: Path) -> None:
    """Shapes of the image as shown stay; those of its pixels as stored are turned."""
    (tmp_path / "in").mkdir()
    image = Image.new("RGB", (HEIGHT, WIDTH))
    exif = image.getexif()
    exif[0x0112] = 6  # shown turned clockwise: x = height - y, y = x
    image.save(tmp_path / "in/a.jpg", exif=exif)
    for (height, width), corners in ((SHAPE, STAR), ((WIDTH, HEIGHT), [(y, WIDTH - x) for x, y in STAR])):
        shapes = [{"label": "tree", "points": corners}]
        data = {"shapes": shapes, "imagePath": "a.jpg", "imageHeight": height, "imageWidth": width}
        put(tmp_path, "in/a.json", data)
        write_full_masks(tmp_path / "in", "labelme", tmp_path / "out", overwrite=True)
        np.testing.assert_array_equal(read_mask(tmp_path / "out/masks/a.png"), slow([(1, STAR)], 0))


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def test_the_smaller_shape_on_top_by_command(tmp_path: Path) -> None:
    draw(tmp_path / "in", "labelme", SHAPES[::-1])
    words = ("full-masks", tmp_path / "in", "--from", "labelme", "--out", tmp_path / "out", "--overlaps", "area")
    code, _, err = run(*words)
    assert code == 0, err
    np.testing.assert_array_equal(read_mask(tmp_path / "out/masks/a.png"), slow([(2, STAR), (1, SQUARE)], 0))


@pytest.mark.parametrize("format_", DRAWN_FORMATS)
def test_points_on_a_folder_of_annotations(tmp_path: Path, format_: str) -> None:
    draw(tmp_path / "drawn", format_, SHAPES)
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "drawn/unseen.png")
    code, _, err = run("points", tmp_path / "drawn", "--clicks", 30, "--out", tmp_path / "sparse", "--dry-run")
    assert code == 1 and "full-masks" in err and not (tmp_path / "sparse").exists()
    code, _, err = run("points", tmp_path / "drawn", "--clicks", 30, "--out", tmp_path / "sparse")
    assert code == 0 and "drawn last lies on top" in err and "without an annotation, left out (1)" in err
    manifest = read_manifest(tmp_path / "sparse/drawn-30clicks")
    (row,) = manifest.rows
    assert (row.image_id, row.num_labelled) == ("a", 30) and manifest.label_space.class_names[1:] == ("car", "tree")
    sparse = read_mask(manifest.resolve(row.annotation))
    expected = slow([(2, STAR), (1, SQUARE)], 0)
    np.testing.assert_array_equal(sparse[sparse != 255], expected[sparse != 255])
    assert run("validate", tmp_path / "sparse/drawn-30clicks")[0] == 0
    before = (tmp_path / "sparse/drawn-full-masks/masks/a.png").stat().st_mtime_ns
    assert run("scribbles", tmp_path / "drawn", "--out", tmp_path / "sparse")[0] == 0
    assert (tmp_path / "sparse/drawn-full-masks/masks/a.png").stat().st_mtime_ns == before


def test_the_command(tmp_path: Path) -> None:
    draw(tmp_path / "in", "labelme", SHAPES)
    assert run("full-masks", tmp_path / "in", "--out", tmp_path / "ds", "--background", "none", "-q")[0] == 0
    dataset = open_dataset(tmp_path / "ds")
    assert dataset.label_space.class_names == ("car", "tree") and [item.image_id for item in dataset.items] == ["a"]
    np.testing.assert_array_equal(read_mask(tmp_path / "ds/masks/a.png"), slow([(1, STAR), (0, SQUARE)], 255))
    code, _, err = run("full-masks", tmp_path / "in", "--out", tmp_path / "in")
    assert code == 1 and "was not made by sparsekit" in err
    code, _, err = run("full-masks", tmp_path / "ds/masks", "--out", tmp_path / "x")
    assert code == 1 and "--from" in err
