"""Exports of clicks and strokes as such, read back by the rules of each format."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_manifests import LabelClass, LabelMap, LabelSpace, Manifest, Mark, read_marks
from data_manifests.manifest.rows import read_row_annotation
from sparsekit.errors import AnnotationError
from sparsekit.formats import EXPORTED, load_format
from sparsekit.formats.export import export_manifest
from sparsekit.formats.shared.rle import coco_pixels, coco_uncompress, label_studio_pixels
from sparsekit.geometry.rasterize import rasterize
from tests.helpers.annotation_folders import SCRIBBLES, camvid, cityscapes
from tests.sparsekit.conftest import numbered_space, tiny_manifest

#: Every kind of mark, two of them on top of each other, on 20x30 pixels.
MARKS = (
    Mark("stroke", 2, 3, 3, ((3, 3), (6, 12), (4, 20)), (3, 3, 3)),
    Mark("click", 0, 0, 0),
    Mark("click", 1, 19, 29),
    Mark("stroke", 1, 5, 8, ((5, 8), (15, 8)), (5, 1)),
    Mark("box", 2, 12, 20, ((12, 20), (18, 28))),
    Mark("block", 0, 10, 12, ((10, 12), (16, 12), (16, 17))),
    Mark("polygon", 1, 0, 22, ((0, 22), (0, 28), (8, 28), (8, 22))),
)
SHAPE = (20, 30)
CLICKS = MARKS[1:3]


def manifest_of(folder: Path, *images: tuple[Mark, ...]) -> Manifest:
    space = numbered_space(3)
    sparse = [rasterize(marks, SHAPE, space) for marks in images]
    full = np.zeros(SHAPE, np.uint8)
    return tiny_manifest(folder, [full] * len(images), images, sparse_maps=sparse, label_space=space, command="mixed")


def annotation(manifest: Manifest, number: int = 0) -> LabelMap:
    return read_row_annotation(manifest, manifest.rows[number])


@pytest.fixture
def mixed(tmp_path: Path) -> Manifest:
    return manifest_of(tmp_path / "m", MARKS, CLICKS)


def decoded(queries: dict[str, Any], name: str) -> LabelMap:
    """What PixelPick makes of an image's entry."""
    info = queries[name]
    label_map = np.full((info["height"], info["width"]), 255, np.uint8)
    for row, col, class_id in zip(info["y_coords"], info["x_coords"], info["category_id"], strict=True):
        label_map[row, col] = class_id
    return label_map


def test_pixelpick(tmp_path: Path) -> None:
    """Entries are joined with images by sorted paths."""
    manifest = camvid(tmp_path)
    out = export_manifest(manifest, "pixelpick", tmp_path / "out").folder
    queries = pickle.loads((out / "0_query/queries.pkl").read_bytes())
    assert sorted(queries) == sorted(str(path.relative_to(out)) for path in (out / "train").glob("*.png"))
    np.testing.assert_array_equal(decoded(queries, "train/train_1.png"), annotation(manifest, 1))
    assert len(queries["train/train_1.png"]["category_id"]) == 3
    assert [path.name for path in (out / "test").glob("*.png")] == ["test_1.png"]
    assert [path.name for path in (out / "testannot").glob("*.png")] == ["test_1.png"]


def test_pixelpick_cannot_hold_strokes(tmp_path: Path, mixed: Manifest) -> None:
    with pytest.raises(AnnotationError, match=r"2 marks of kind stroke would become separate pixels.*--lossy"):
        export_manifest(mixed, "pixelpick", tmp_path / "out")
    summary = export_manifest(mixed, "pixelpick", tmp_path / "out", lossy=True)
    assert len(summary.losses) == 4
    queries = pickle.loads((summary.folder / "0_query/queries.pkl").read_bytes())
    np.testing.assert_array_equal(decoded(queries, "train/image_0.png"), annotation(mixed))
    assert "lost: 2 marks of kind stroke" in (summary.folder / "README.txt").read_text()


def test_s4a(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py")
    import cv2

    strokes = (MARKS[0], Mark("stroke", 1, 15, 2, ((15, 2), (15, 25), (18, 25)), (3, 3, 3)))
    manifest = manifest_of(tmp_path / "m", strokes)
    out = export_manifest(manifest, "s4a", tmp_path / "out").folder
    channels = cv2.imread(str(out / "scribbles/image_0.png"), cv2.IMREAD_COLOR)
    assert channels is not None
    # Id 0 is a class here, so values are train id + 1.
    expected = np.where(annotation(manifest) == 255, 0, annotation(manifest).astype(int) + 1)
    np.testing.assert_array_equal(channels, np.repeat(expected[:, :, None], 3, axis=2))
    with h5py.File(out / "scribbles/image_0.h5") as file:
        lines, values, dims = (np.array(file[key]) for key in ("scribble", "scribble_values", "image_dims"))
        config = json.loads(file["config"][()])
    assert lines.shape == (2, 100, 2) and dims.tolist() == [20, 30, 3] and config["background_px_value"] == [0, 0, 0]
    canvas = np.zeros(dims, np.uint8)
    for line, value in zip(lines, values, strict=True):
        cv2.polylines(canvas, [line.astype(np.int32)], False, value.tolist(), config["line_thickness"])
    agree = (canvas[:, :, 0] > 0) & (expected > 0)
    assert agree.sum() > 0.9 * (expected > 0).sum()
    np.testing.assert_array_equal(canvas[:, :, 0][agree], expected[agree])
    for line, stroke in zip(lines, reversed(strokes), strict=True):
        corners = [(col, row) for row, col in stroke.points]
        assert [p for p in map(tuple, line.astype(int).tolist()) if p in corners][:1] == corners[:1]
        assert set(corners) <= set(map(tuple, line.astype(int).tolist()))


def test_s4a_of_masks_of_colours_numbers_the_classes_from_1() -> None:
    classes = (LabelClass("a", (200, 0, 9), (0xC80009,)), LabelClass("b", (0, 0, 7), (7,)))
    values = load_format("s4a", "export").values
    assert values and values(LabelSpace("custom", classes, ids_are_colors=True)).of_class == (1, 2)
    assert values(LabelSpace("custom", (LabelClass("a", (0, 0, 7), (7,)),))).of_class == (7,)


def test_s4a_of_cityscapes_is_called_as_its_ground_truth(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="needs h5py")
    manifest = cityscapes(tmp_path, SCRIBBLES)
    out = export_manifest(manifest, "s4a", tmp_path / "out").folder
    path = out / "scribbles/gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    found = np.asarray(Image.open(path))[:, :, 0]
    assert set(np.unique(found)) <= {0, 7, 23, 26} and path.with_suffix(".h5").is_file()
    assert found.any()


def test_s4a_clicks_need_lossy(tmp_path: Path, mixed: Manifest) -> None:
    with pytest.raises(AnnotationError, match="4 marks of kind click would be in the PNG only"):
        export_manifest(mixed, "s4a", tmp_path / "out")


def test_labelme(tmp_path: Path, mixed: Manifest) -> None:
    out = export_manifest(mixed, "labelme", tmp_path / "out").folder
    data = json.loads((out / "image_0.json").read_text())
    assert {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"} == set(data)
    with Image.open(out / data["imagePath"]) as shown:
        assert shown.size == (data["imageWidth"], data["imageHeight"]) == (30, 20)
    kinds = Counter(shape["shape_type"] for shape in data["shapes"])
    assert kinds == {"point": 2, "linestrip": 2, "rectangle": 1, "polygon": 2}
    least = {"point": 1, "linestrip": 2, "rectangle": 2, "polygon": 3}
    for shape in data["shapes"]:
        assert len(shape["points"]) >= least[shape["shape_type"]] and shape["label"].startswith("class_")
        assert all(0 <= x <= 30 and 0 <= y <= 20 for x, y in shape["points"])
    # The first mark stays on top: tools draw later shapes over earlier ones.
    assert data["shapes"][-1] | {"points": []} == {
        "label": "class_2", "points": [], "group_id": None, "description": "width 3", "shape_type": "linestrip",
        "flags": {}, "mask": None,
    }  # fmt: skip
    assert data["shapes"][-1]["points"] == [[3.5, 3.5], [12.5, 6.5], [20.5, 4.5]]
    assert (out / "labels.txt").read_text() == "class_0\nclass_1\nclass_2\n"


def test_shapes_cover_the_same_pixels_when_others_draw_them(tmp_path: Path) -> None:
    """Boxes and polygons on whole pixels are the same to Pillow as to us, half a pixel off and last corner inside."""
    marks = (MARKS[4], MARKS[6])
    manifest = manifest_of(tmp_path / "m", marks)
    out = export_manifest(manifest, "labelme", tmp_path / "out").folder
    canvas = Image.new("L", SHAPE[::-1], 255)
    draw = ImageDraw.Draw(canvas)
    for shape in json.loads((out / "image_0.json").read_text())["shapes"]:
        class_id = int(shape["label"].removeprefix("class_"))
        if shape["shape_type"] == "rectangle":
            (x0, y0), (x1, y1) = shape["points"]
            draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=class_id)
        else:
            draw.polygon([(x - 0.5, y - 0.5) for x, y in shape["points"]], fill=class_id)
    np.testing.assert_array_equal(np.asarray(canvas), annotation(manifest))


def test_cvat(tmp_path: Path, mixed: Manifest) -> None:
    out = export_manifest(mixed, "cvat", tmp_path / "out").folder
    root = ElementTree.parse(out / "annotations.xml").getroot()
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    labels = [label.findtext("name") for label in root.iterfind("meta/task/labels/label")]
    raw = json.loads((out / "labels.json").read_text())
    assert labels == [label["name"] for label in raw] == ["class_0", "class_1", "class_2"]
    images = root.findall("image")
    assert [image.get("id") for image in images] == ["0", "1"]
    for image in images:
        with Image.open(out / "images" / image.get("name", "")) as shown:
            assert (str(shown.width), str(shown.height)) == (image.get("width"), image.get("height"))
        for shape in image:
            assert shape.get("label") in labels and {"occluded", "source", "z_order"} <= set(shape.keys())
            if shape.tag == "box":
                assert {"xtl", "ytl", "xbr", "ybr"} <= set(shape.keys())
            else:
                assert all(len(point.split(",")) == 2 for point in shape.get("points", "").split(";"))
            names = {attribute.get("name") for attribute in shape.findall("attribute")}
            assert names <= {raw[0]["attributes"][0]["name"]}
    assert [shape.tag for shape in images[0]] == [
        "polygon", "polygon", "box", "polyline", "points", "points", "polyline",
    ]  # fmt: skip
    assert images[1][1].get("points") == "0.5,0.5"


def test_coco(tmp_path: Path, mixed: Manifest) -> None:
    out = export_manifest(mixed, "coco", tmp_path / "out").folder
    data = json.loads((out / "annotations/instances_train.json").read_text())
    assert [c["id"] for c in data["categories"]] == [1, 2, 3]
    for number, image in enumerate(data["images"]):
        assert (out / "images" / image["file_name"]).is_file()
        found = np.full(SHAPE, 255, np.uint8)
        for one in (a for a in data["annotations"] if a["image_id"] == image["id"]):
            mask = slow_coco_mask(one["segmentation"])
            assert not (mask & (found != 255)).any()  # no two share a pixel
            assert one["area"] == mask.sum() and one["iscrowd"] == 1
            rows, cols = np.nonzero(mask)
            left, top, width, height = one["bbox"]
            assert (left, top, left + width, top + height) == (cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)
            found[mask] = one["category_id"] - 1
        np.testing.assert_array_equal(found, annotation(mixed, number))
    assert len({a["id"] for a in data["annotations"]}) == len(data["annotations"]) == 9


def slow_coco_mask(segmentation: dict[str, Any]) -> np.ndarray:
    height, width = segmentation["size"]
    mask = np.zeros((height, width), bool)
    place, inside = 0, False
    for count in segmentation["counts"]:
        for _ in range(count):
            mask[place % height, place // height] = inside
            place += 1
        inside = not inside
    assert place == height * width
    return mask


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of pycocotools
def test_coco_is_read_by_pycocotools(tmp_path: Path, mixed: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    coco = pytest.importorskip("pycocotools.coco", reason="needs pycocotools")
    masks = pytest.importorskip("pycocotools.mask")

    out = export_manifest(mixed, "coco", tmp_path / "out").folder
    read = coco.COCO(out / "annotations/instances_train.json")
    for number, image_id in enumerate(read.getImgIds()):
        found = np.full(SHAPE, 255, np.uint8)
        for one in read.loadAnns(read.getAnnIds(imgIds=[image_id])):
            mask = read.annToMask(one).astype(bool)
            found[mask] = one["category_id"] - 1
            compressed = masks.encode(np.asfortranarray(mask.astype(np.uint8)))
            text = compressed["counts"].decode()
            np.testing.assert_array_equal(coco_pixels(coco_uncompress(text), SHAPE), np.flatnonzero(mask))
        np.testing.assert_array_equal(found, annotation(mixed, number))


def test_coco_has_a_file_for_each_split(tmp_path: Path, mixed: Manifest) -> None:
    rows = replace(mixed.rows[0], split="train"), replace(mixed.rows[1], split="")
    out = export_manifest(replace(mixed, rows=rows), "coco", tmp_path / "out").folder
    files = sorted((out / "annotations").iterdir())
    assert [path.name for path in files] == ["instances_default.json", "instances_train.json"]
    found = [json.loads(path.read_text()) for path in files]
    assert [data["images"][0]["id"] for data in found] == [2, 1]
    ids = [one["id"] for data in found for one in data["annotations"]]
    assert sorted(ids) == list(range(1, 10))


@pytest.mark.filterwarnings("ignore")  # of supervision
def test_coco_is_read_by_supervision(tmp_path: Path, mixed: Manifest) -> None:
    supervision = pytest.importorskip("supervision", reason="needs supervision")
    out = export_manifest(mixed, "coco", tmp_path / "out").folder
    read = supervision.DetectionDataset.from_coco(
        str(out / "images"), str(out / "annotations/instances_train.json"), force_masks=True
    )
    assert tuple(read.classes) == mixed.label_space.class_names
    for number, (_, image, found) in enumerate(read):
        drawn = np.full(image.shape[:2], 255, np.uint8)
        for mask, class_id in zip(found.mask, found.class_id, strict=True):
            drawn[mask] = class_id
        np.testing.assert_array_equal(drawn, annotation(mixed, number))


@pytest.mark.filterwarnings("ignore")  # of Datumaro
@pytest.mark.parametrize("format_", ["coco", "cvat"])
def test_datumaro_finds_every_mark(tmp_path: Path, mixed: Manifest, format_: str) -> None:
    datumaro = pytest.importorskip("datumaro", reason="needs datumaro, which allows older pandas and OpenCV only")
    out = export_manifest(mixed, format_, tmp_path / "out").folder
    (detected,) = datumaro.Environment().detect_dataset(str(out))
    read = datumaro.Dataset.import_from(str(out), detected)
    names = [label.name for label in read.categories()[datumaro.AnnotationType.label].items]
    assert tuple(names) == mixed.label_space.class_names
    marks = dict(read_marks(mixed.marks_path))
    for item in read:
        classes = [
            one.label for one in item.annotations if one.type != datumaro.AnnotationType.bbox or format_ == "cvat"
        ]
        assert sorted(classes) == sorted(mark.class_id for mark in marks[item.id])


def test_label_studio(tmp_path: Path, mixed: Manifest) -> None:
    out = export_manifest(mixed, "label-studio", tmp_path / "out").folder
    tasks = json.loads((out / "tasks.json").read_text())
    config = ElementTree.parse(out / "config.xml").getroot()
    controls = {control.get("name"): control for control in config if control.tag != "Image"}
    assert [task["data"]["image"] for task in tasks] == [f"/data/local-files/?d=images/image_{i}.png" for i in range(2)]
    kinds: Counter[str] = Counter()
    for result in tasks[0]["predictions"][0]["result"]:
        kinds[result["type"]] += 1
        control = controls[result["from_name"]]
        assert control.get("toName") == result["to_name"] == "image" and control.tag.lower() == result["type"]
        assert set(result["value"][result["type"]]) <= {label.get("value") for label in control}
        assert (result["original_width"], result["original_height"]) == (30, 20)
    assert kinds == {"brushlabels": 2, "keypointlabels": 2, "rectanglelabels": 1, "polygonlabels": 2}
    top = tasks[0]["predictions"][0]["result"][-1]
    painted = slow_label_studio_mask(top["value"]["rle"])
    np.testing.assert_array_equal(painted, rasterize(MARKS[:1], SHAPE, numbered_space(3)) == 2)
    np.testing.assert_array_equal(label_studio_pixels(top["value"]["rle"], SHAPE), np.flatnonzero(painted))
    click = tasks[1]["predictions"][0]["result"][0]["value"]
    assert (click["x"] * 30 / 100, click["y"] * 20 / 100) == pytest.approx((29.5, 19.5))


def slow_label_studio_mask(rle: list[int]) -> np.ndarray:
    """Bit by bit: length, bits of a value, of four sizes of runs; then runs, repeated or literal."""
    bits = [byte >> (7 - i) & 1 for byte in rle for i in range(8)]

    def take(count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + bits.pop(0)
        return value

    length, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < length:
        repeated = take(1)
        run = take(sizes[take(2)]) + 1
        values += [take(word)] * run if repeated else [take(word) for _ in range(run)]
    return np.array(values).reshape(*SHAPE, 4)[:, :, 3] > 0


@pytest.mark.parametrize("target", ["labelme", "cvat", "label-studio", "coco", "s4a"])
def test_needs_marks(tmp_path: Path, mixed: Manifest, target: str) -> None:
    mixed.marks_path.unlink()
    with pytest.raises(AnnotationError, match=f"the format {target} consists of marks"):
        export_manifest(mixed, target, tmp_path / "out")
    with pytest.raises(AnnotationError, match="without marks, strokes and clicks are indistinguishable"):
        export_manifest(mixed, "pixelpick", tmp_path / "out")


@pytest.mark.parametrize("target", sorted(EXPORTED))
def test_counts_each_image_once(tmp_path: Path, target: str) -> None:
    if target == "s4a":
        pytest.importorskip("h5py", reason="needs h5py")
    done: list[None] = []
    summary = export_manifest(
        camvid(tmp_path), target, tmp_path / "out", lossy=True, on_image=lambda: done.append(None)
    )
    assert (summary.num_annotated, summary.num_evaluated) == (1, 0 if load_format(target, "export").needs_marks else 2)
    assert len(done) == summary.num_annotated + summary.num_evaluated


@pytest.mark.parametrize("target", ["pixelpick", "labelme", "cvat", "label-studio", "coco"])
def test_equal_bytes(tmp_path: Path, mixed: Manifest, target: str) -> None:
    trees = []
    for name in ("a", "b"):
        out = export_manifest(mixed, target, tmp_path / name, lossy=True).folder
        trees.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert trees[0] == trees[1]
