"""What people have drawn with other tools, and the pixels it means."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import Dataset, read_marks
from sparsekit.errors import AnnotationError
from sparsekit.formats.import_ import import_annotations
from tests.sparsekit.formats.foreign import (
    HEIGHT,
    SHAPE,
    WIDTH,
    annotation,
    bring,
    coco,
    cvat,
    in_box,
    in_ellipse,
    labelme,
    put,
    region,
    shape,
    task,
    where,
)

# --- labelme


def test_labelme_of_version_3_has_neither_shape_type_nor_size(tmp_path: Path, dataset: Dataset) -> None:
    square = {"label": "tree", "points": [[10, 13], [29, 13], [29, 17], [10, 17]]}
    put(tmp_path, "a.json", {"shapes": [square], "imagePath": "a.png", "lineColor": [0, 255, 0, 128]})
    ((_, (mark,)),) = read_marks(bring(tmp_path, dataset, "labelme").folder / "marks.csv")
    assert (mark.kind, mark.points) == ("polygon", ((13, 10), (13, 29), (17, 29), (17, 10)))
    put(tmp_path, "a.json", labelme(square) | {"imageHeight": None})
    assert annotation(bring(tmp_path, dataset, "labelme"))[13:18, 10:30].tolist() == [[1] * 20] * 5


def test_labelme_circles_masks_and_several_points(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "a.json", labelme(shape("circle", (12, 9), (15.5, 9))))
    summary = bring(tmp_path, dataset, "labelme")
    np.testing.assert_array_equal(annotation(summary), where(in_ellipse(12, 9, 3.5, 3.5, 0)))
    assert summary.num_marks == 1
    mask = np.random.default_rng(0).random((5, 7)) < 0.5
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    put(tmp_path, "a.json", labelme(shape("mask", (10, 4), (16, 8), mask=text)))
    expected = np.full(SHAPE, 255)
    expected[4:9, 10:17][mask] = 1
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "labelme")), expected)
    put(tmp_path, "a.json", labelme(shape("points", (1.5, 2.5), (4.9, 5.1))))
    ((_, marks),) = read_marks(bring(tmp_path, dataset, "labelme").folder / "marks.csv")
    assert [(m.kind, m.row, m.col) for m in marks] == [("click", 2, 1), ("click", 5, 4)]


@pytest.mark.parametrize("mask", ["iVBORw0K", "%%%", "", 3])
def test_labelme_masks_that_are_none(tmp_path: Path, dataset: Dataset, mask: Any) -> None:
    put(tmp_path, "a.json", labelme(shape("mask", (10, 4), (16, 8), mask=mask)))
    with pytest.raises(AnnotationError, match=r"in/a.json: "):
        bring(tmp_path, dataset, "labelme")


def test_labelme_masks_are_no_larger_than_the_image(tmp_path: Path, dataset: Dataset) -> None:
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    put(tmp_path, "a.json", labelme(shape("mask", (0, 0), (8999, 8999), mask=text)))
    with pytest.raises(AnnotationError, match="a mask of 9000x9000 is larger than its image of 30x20"):
        bring(tmp_path, dataset, "labelme")


def test_hidden_files_are_passed_over(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "a.json", labelme(shape("point", (3, 4))))
    for name in ("._a.json", ".ipynb_checkpoints/a-checkpoint.json", "__MACOSX/._a.json", "Thumbs.db"):
        put(tmp_path, name, "\x00\x05\x16")
    assert bring(tmp_path, dataset, "labelme").num_images == 1
    for format_, name, data in (("coco", "x.json", coco({"bbox": [1, 1, 2, 2]})), ("cvat", "x.xml", cvat(""))):
        folder = tmp_path / format_
        folder.mkdir()
        (folder / name).write_text(data if isinstance(data, str) else json.dumps(data))
        (folder / f"._{name}").write_text("\x00")
        if format_ == "coco":
            assert import_annotations(folder, format_, dataset, tmp_path / "y").num_images == 1


# --- CVAT


@pytest.mark.parametrize("degrees", [0, 30, 90, 200.5])
def test_cvat_ellipses_and_rotated_boxes(tmp_path: Path, dataset: Dataset, degrees: float) -> None:
    put(
        tmp_path, "annotations.xml", cvat(f'<ellipse label="tree" cx="14" cy="10" rx="7" ry="3" rotation="{degrees}"/>')
    )
    expected = where(in_ellipse(14, 10, 7, 3, degrees))
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "cvat")), expected)
    box = f'<box label="tree" xtl="9.2" ytl="7.3" xbr="19.6" ybr="12.1" rotation="{degrees or 360}"/>'
    put(tmp_path, "annotations.xml", cvat(box))
    if degrees:
        expected = where(in_box(9.2, 7.3, 10.4, 4.8, degrees, complex(14.4, 9.7)))
        np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "cvat")), expected)
    else:  # upright: every pixel that it touches
        assert (annotation(bring(tmp_path, dataset, "cvat"))[7:13, 9:20] == 1).all()


def test_cvat_masks(tmp_path: Path, dataset: Dataset) -> None:
    mask = '<mask label="tree" rle="1, 2, 3, 4, 2" left="8" top="12" width="4" height="3" z_order="0"></mask>'
    put(tmp_path, "annotations.xml", cvat(mask))
    expected = np.full(SHAPE, 255)
    expected[12:15, 8:12].flat[[1, 2, 6, 7, 8, 9]] = 255
    block = np.array([0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0, 0], bool).reshape(3, 4)
    expected[12:15, 8:12][block] = 1
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "cvat")), expected)


def test_cvat_skeletons_and_frames_of_tracks(tmp_path: Path, dataset: Dataset) -> None:
    joints = '<points label="1" points="3,3" outside="0" occluded="0"/><points label="2" points="9,9" occluded="1"/>'
    put(tmp_path, "annotations.xml", cvat(f'<skeleton label="tree">{joints}</skeleton>'))
    np.testing.assert_array_equal(np.argwhere(annotation(bring(tmp_path, dataset, "cvat")) == 1), [[3, 3]])
    shown = '<points frame="7" outside="0" points="4,5"/><points frame="8" outside="1" points="4,5"/>'
    put(tmp_path, "annotations.xml", f'<annotations><track label="tree">{shown}</track></annotations>')
    summary = bring(tmp_path, dataset, "cvat")
    np.testing.assert_array_equal(np.argwhere(annotation(summary, "frame_000007") == 1), [[5, 4]])
    assert summary.unmatched == ()


# --- Label Studio


@pytest.mark.parametrize(
    ("image", "image_id"),
    [
        ("/data/upload/1/0a1b2c3d-a%2Bb%20c.png", "a+b c"),
        ("/data/upload/1/3-0a1b2c3d-a%2Bb%20c.png", "a+b c"),
        ("/data/local-files/?d=images%2Fa%2Bb%20c.png", "a+b c"),
        ("/data/local-files/?d=images/sub/a.png", "sub/a"),
        ("https://bucket.example/x/gr%C3%BCn.png?X-Amz-Signature=abc%2Fd", "grün"),
        ("s3://bucket/sub/a.png", "sub/a"),
        ("a+b c.png", "a+b c"),
        ("/data/upload/1/0a1b2c3d-grün.png", "grün"),
        ("/data/upload/1/0a1b2c3d-ab_c.png", "a+b c"),  # as the server stores the name
        ("/storage-data/uploaded/?filepath=upload/1/0a1b2c3d-ab_c.png", "a+b c"),
        (f"/tasks/3/presign/?fileuri={base64.urlsafe_b64encode(b's3://bucket/sub/a.png').decode()}", "sub/a"),
        ("/tasks/3/presign/?fileuri=s3://bucket/sub/a.png", "sub/a"),
    ],
)
def test_label_studio_addresses(tmp_path: Path, dataset: Dataset, image: str, image_id: str) -> None:
    put(tmp_path, "tasks.json", [task(region("keypointlabels", x=10.5, y=21), image=image)])
    assert annotation(bring(tmp_path, dataset, "label-studio"), image_id)[4, 3] == 1


POINT = region("keypointlabels", x=10.5, y=21)
TASKS: dict[str, Any] = {
    "another key": {"data": {"id": "7", "img": "/x/a.png"}, "annotations": [{"result": [POINT]}]},
    "completions": {"data": {"image": "/x/images/a.png"}, "completions": [{"result": [POINT]}]},
    "empty first": {"data": {"image": "images/a.png"}, "annotations": [{"result": []}, {"result": [POINT]}]},
    "json-min": {"image": "images/a.png", "id": 1, "tag": [{"x": 10.5, "y": 21, "width": 0.4, "original_width": WIDTH,
                 "original_height": HEIGHT, "keypointlabels": ["tree"]}], "annotator": 1},
    "labels": task({**POINT, "id": "p", "type": "keypoint"},
                   {**POINT, "id": "p", "type": "labels", "value": {"x": 10.5, "y": 21, "labels": ["tree"]}}),
}  # fmt: skip


@pytest.mark.parametrize("name", TASKS)
def test_label_studio_tasks(tmp_path: Path, dataset: Dataset, name: str) -> None:
    put(tmp_path, "project-1.json", [json.loads(json.dumps(TASKS[name]).replace("/x/a.png", "/x/images/a.png"))])
    np.testing.assert_array_equal(np.argwhere(annotation(bring(tmp_path, dataset, "label-studio")) == 1), [[4, 3]])


def test_label_studio_asks_for_the_key_of_the_image(tmp_path: Path, dataset: Dataset) -> None:
    data = {"left": "images/a.png", "right": "images/grün.png"}
    put(tmp_path, "tasks.json", [{"data": data, "annotations": [{"result": [POINT]}]}])
    with pytest.raises(AnnotationError, match="'left', 'right' is the image; give --image-key"):
        bring(tmp_path, dataset, "label-studio")
    assert annotation(bring(tmp_path, dataset, "label-studio", image_key="right"), "grün")[4, 3] == 1
    with pytest.raises(AnnotationError, match="no 'middle'"):
        bring(tmp_path, dataset, "label-studio", image_key="middle")


@pytest.mark.parametrize("degrees", [0, 20, 90])
def test_label_studio_ellipses_and_rotated_rectangles(tmp_path: Path, dataset: Dataset, degrees: float) -> None:
    """Per cents of width and height; rectangles turn about their upper left corner, ellipses about their centre."""
    ellipse = region("ellipselabels", x=50, y=50, radiusX=20, radiusY=15, rotation=degrees)
    put(tmp_path, "tasks.json", [task(ellipse)])
    expected = where(in_ellipse(15, 10, 6, 3, degrees))
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "label-studio")), expected)
    put(tmp_path, "tasks.json", [task(region("rectanglelabels", x=50, y=25, width=30, height=20, rotation=degrees))])
    expected = where(in_box(15, 5, 9, 4, degrees, complex(15, 5)))
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "label-studio")), expected)


# --- COCO


def test_coco_polygons_boxes_and_foreign_attributes(tmp_path: Path, dataset: Dataset) -> None:
    """Later annotations lie over earlier ones; a polygon of whole pixels covers its border."""
    put(tmp_path, "instances.json", coco(
        {"segmentation": [[2, 2, 9, 2, 9, 6, 2, 6], [20, 2, 24, 2, 24, 6]], "attributes": {"points": 5, "kind": "x"}},
        {"segmentation": [], "bbox": [4, 3, 3, 2], "category_id": 90, "attributes": ["occluded"]},
    ))  # fmt: skip
    found = annotation(bring(tmp_path, dataset, "coco"))
    expected = np.full(SHAPE, 255)
    expected[2:7, 2:10] = 1
    for row in range(2, 7):
        expected[row, 20 + row - 2 : 25] = 1
    expected[3:5, 4:7] = 0
    np.testing.assert_array_equal(found, expected)


def test_coco_crowds(tmp_path: Path, dataset: Dataset) -> None:
    counts = [HEIGHT * 3 + 2, 4, HEIGHT * (WIDTH - 3) - 6]
    put(tmp_path, "x.json", coco({"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}, "iscrowd": 1}))
    found = annotation(bring(tmp_path, dataset, "coco"))
    np.testing.assert_array_equal(np.argwhere(found == 1), [[2, 3], [3, 3], [4, 3], [5, 3]])
