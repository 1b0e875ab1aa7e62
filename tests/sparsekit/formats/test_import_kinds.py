"""What people have drawn with other tools, and the pixels it means, worked out pixel by pixel."""

from __future__ import annotations

import base64
import io
import json
import math
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import Dataset, LabelMap, open_dataset, read_manifest, read_marks
from data_manifests.manifest.rows import read_row_annotation
from sparsekit.errors import AnnotationError
from sparsekit.formats.import_ import ImportOptions, ImportSummary, import_annotations

HEIGHT, WIDTH = SHAPE = 20, 30
IDS = ("a", "sub/a", "grün", "a+b c", "frame_000007")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    for name in IDS:
        for folder in ("images", "masks"):
            path = tmp_path / "ds" / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (WIDTH, HEIGHT)).save(path)
    (tmp_path / "ds/classes.csv").write_text("id,name\n0,ground\n1,tree\n2,grün\n")
    return open_dataset(tmp_path / "ds")


def put(tmp_path: Path, name: str, data: Any) -> None:
    path = tmp_path / "in" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(data if isinstance(data, str) else json.dumps(data))


def labelme(*shapes: dict[str, Any], name: str = "a.png") -> dict[str, Any]:
    return {"shapes": list(shapes), "imagePath": name, "imageHeight": HEIGHT, "imageWidth": WIDTH}


def shape(kind: str, *points: tuple[float, float], label: str = "tree", **more: Any) -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": [list(point) for point in points], **more}


def cvat(body: str, name: str = "a.png") -> str:
    return f'<annotations><image name="{name}" width="{WIDTH}" height="{HEIGHT}">{body}</image></annotations>'


def region(kind: str, label: str | None = "tree", **value: Any) -> dict[str, Any]:
    labels = {} if label is None else {kind: [label]}
    return {"type": kind, "original_width": WIDTH, "original_height": HEIGHT, "value": {**value, **labels}}


def task(*results: dict[str, Any], image: str = "/data/local-files/?d=images/a.png") -> dict[str, Any]:
    return {"data": {"image": image}, "annotations": [{"result": list(results)}]}


def coco(*annotations: dict[str, Any], name: str = "a.png") -> dict[str, Any]:
    return {
        "images": [{"id": 7, "file_name": name, "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 3, "name": "tree"}, {"id": 90, "name": "ground"}],
        "annotations": [{"image_id": 7, "category_id": 3, **annotation} for annotation in annotations],
    }


def bring(tmp_path: Path, dataset: Dataset, format_: str, **options: Any) -> ImportSummary:
    return import_annotations(
        tmp_path / "in", format_, dataset, tmp_path / "out", options=ImportOptions(**options), overwrite=True
    )


def annotation(summary: ImportSummary, image_id: str = "a") -> LabelMap:
    manifest = read_manifest(summary.folder)
    (row,) = (row for row in manifest.rows if row.image_id == image_id)
    return read_row_annotation(manifest, row)


def where(inside: Callable[[float, float], bool], class_id: int = 1) -> np.ndarray:
    """The label map of the pixels whose centres (x, y) are inside."""
    expected = np.full(SHAPE, 255)
    for row, col in np.ndindex(*SHAPE):
        if inside(col + 0.5, row + 0.5):
            expected[row, col] = class_id
    return expected


def in_ellipse(cx: float, cy: float, rx: float, ry: float, degrees: float) -> Callable[[float, float], bool]:
    """Turned clockwise as one looks at it, with y downwards."""

    def inside(x: float, y: float) -> bool:
        turned = complex(x - cx, y - cy) * complex(math.cos(math.radians(degrees)), -math.sin(math.radians(degrees)))
        return (turned.real / rx) ** 2 + (turned.imag / ry) ** 2 <= 1

    return inside


def in_box(x: float, y: float, w: float, h: float, degrees: float, about: complex) -> Callable[[float, float], bool]:
    def inside(px: float, py: float) -> bool:
        turn = complex(math.cos(math.radians(degrees)), -math.sin(math.radians(degrees)))
        back = (complex(px, py) - about) * turn + about
        return x < back.real < x + w and y < back.imag < y + h

    return inside


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


# --- stroke widths, points outside


@pytest.mark.parametrize("width", ["51", "3000", "1000000000", str(1 << 63), "nan", "-1", "0", "9" * 5000, "1e9"])
@pytest.mark.parametrize("word", ["width", "widths"])
def test_strokes_wider_than_the_image_are_refused(tmp_path: Path, dataset: Dataset, width: str, word: str) -> None:
    line = shape("linestrip", (1, 1), (5, 5), description=f"{word} {width}" + (f";{width}" if word == "widths" else ""))
    put(tmp_path, "a.json", labelme(line))
    with pytest.raises(AnnotationError, match=r"in/a\.json: ") as caught:
        bring(tmp_path, dataset, "labelme")
    assert len(str(caught.value)) < 500


def test_the_widest_stroke_of_every_format(tmp_path: Path, dataset: Dataset) -> None:
    points = '<polyline label="tree" points="1,1;5,5">{}</polyline>'
    for width, fits in ((50, True), (51, False)):
        for format_, name, data in (
            ("cvat", "annotations.xml", cvat(points.format(f'<attribute name="note">width {width}</attribute>'))),
            ("coco", "annotations.json", coco({
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": [HEIGHT * WIDTH]},
                "attributes": {"kind": "stroke", "points": [[1, 1]], "widths": [width]},
            })),
            ("labelme", "a.json", labelme(shape("linestrip", (1, 1), description=f"width {width}"))),
        ):  # fmt: skip
            folder = tmp_path / f"{format_}{width}"
            folder.mkdir()
            (folder / name).write_text(data if isinstance(data, str) else json.dumps(data))
            if fits:
                assert import_annotations(folder, format_, dataset, tmp_path / f"out-{format_}").num_images == 1
            else:
                with pytest.raises(AnnotationError, match="51 pixels wide; at most 50"):
                    import_annotations(folder, format_, dataset, tmp_path / "none")


@pytest.mark.parametrize(
    ("point", "pixel"),
    [((-0.9, 3), (3, 0)), ((30.9, 3), (3, 29)), ((4, -1), (0, 4)), ((4, 21), (19, 4)), ((-1.1, 3), None),
     ((4, 21.1), None)],
)  # fmt: skip
def test_points_just_outside_are_moved_to_the_edge_and_counted(
    tmp_path: Path, dataset: Dataset, point: tuple[float, float], pixel: tuple[int, int] | None
) -> None:
    put(tmp_path, "a.json", labelme(shape("point", point), shape("point", (8, 8))))
    if pixel is None:
        with pytest.raises(AnnotationError, match=r"point \(.*\) lies outside the image of 30x20"):
            bring(tmp_path, dataset, "labelme")
        return
    summary = bring(tmp_path, dataset, "labelme")
    assert annotation(summary)[pixel] == 1 and summary.num_labelled == 2
    assert summary.notes == ("points just outside the image, moved to its edge (1)",)


# --- classes and shapes to leave out


def test_unknown_classes(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "a.json", labelme(shape("point", (3, 4), label="Tree"), shape("point", (9, 9))))
    with pytest.raises(AnnotationError, match=r"'Tree'; did you mean 'tree'\? Give --map Tree=tree .*--ignore-class"):
        bring(tmp_path, dataset, "labelme")
    assert bring(tmp_path, dataset, "labelme", class_names={"Tree": "tree"}).num_labelled == 2
    with pytest.raises(AnnotationError, match="'oak' for 'Tree', but the dataset has: ground, tree"):
        bring(tmp_path, dataset, "labelme", class_names={"Tree": "oak"})
    summary = bring(tmp_path, dataset, "labelme", class_names={"Tree": ""})
    assert summary.num_labelled == 1 and summary.notes == ("shapes of class 'Tree' left out (1)",)
    (note,) = bring(tmp_path, dataset, "labelme", class_names={"Tree": "tree", "Treee": ""}).notes
    assert "'Treee'" in note and "--ignore-class" in note  # a misspelt name leaves nothing out in silence


def test_accents_match_however_they_are_written(tmp_path: Path, dataset: Dataset) -> None:
    apart = unicodedata.normalize("NFD", "grün")
    put(tmp_path, f"{apart}.json", labelme(shape("point", (3, 4), label=apart), name=f"{apart}.png"))
    assert annotation(bring(tmp_path, dataset, "labelme"), "grün")[4, 3] == 2


UNREAD: list[tuple[str, str, Any, str]] = [
    ("labelme", "a.json", labelme(shape("spiral", (1, 1)), shape("point", (3, 4))), "type 'spiral'"),
    ("cvat", "annotations.xml", cvat('<cuboid label="tree"/><points label="tree" points="3,4"/>'), "<cuboid>"),
    ("label-studio", "tasks.json", [task(region("vectorlabels"), region("keypointlabels", x=10.5, y=21))],
     "type 'vectorlabels'"),
    ("label-studio", "tasks.json", [task(region("keypointlabels", None, x=1, y=1),
                                         region("keypointlabels", x=10.5, y=21))], "without a label"),
    ("coco", "annotations.json", coco({"keypoints": [1, 1, 2]}, {"bbox": [3, 4, 1, 1]}), "segmentation or bbox"),
]  # fmt: skip


@pytest.mark.parametrize(("format_", "name", "data", "message"), UNREAD, ids=[m for *_, m in UNREAD])
def test_what_is_not_read_is_refused_or_left_out_and_counted(
    tmp_path: Path, dataset: Dataset, format_: str, name: str, data: Any, message: str
) -> None:
    put(tmp_path, name, data)
    with pytest.raises(AnnotationError, match=rf"{message}.*--skip-unsupported") as caught:
        bring(tmp_path, dataset, format_)
    assert "damaged" not in str(caught.value)
    summary = bring(tmp_path, dataset, format_, skip_unsupported=True)
    np.testing.assert_array_equal(np.argwhere(annotation(summary) == 1), [[4, 3]])
    assert [note.endswith(": left out (1)") for note in summary.notes if message in note] == [True]


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


# --- equal names, label maps


@pytest.mark.parametrize(
    ("name", "image_id"),
    [("a.png", "a"), ("sub/a.png", "sub/a"), ("images/a.png", "a"), ("C:\\x\\sub\\a.PNG", "sub/a"), ("sub_a", "sub/a"),
     ("x/y.png", None), ("elsewhere/a.png", "two")],
)  # fmt: skip
def test_equal_names_in_two_folders(tmp_path: Path, dataset: Dataset, name: str, image_id: str | None) -> None:
    put(tmp_path, "x.json", coco({"bbox": [3, 4, 1, 1]}, name=name))
    if image_id is None:
        with pytest.raises(AnnotationError, match="Names in them: x/y.png"):
            bring(tmp_path, dataset, "coco")
    elif image_id == "two":
        with pytest.raises(AnnotationError, match=r"images/a\.png.*images/sub/a\.png"):
            bring(tmp_path, dataset, "coco")
    else:
        assert [row.image_id for row in read_manifest(bring(tmp_path, dataset, "coco").folder).rows] == [image_id]


@pytest.mark.parametrize("format_", ["agmm", "urss", "tel"])
def test_zero_for_no_label_is_asked_about(tmp_path: Path, dataset: Dataset, format_: str) -> None:
    label_map = np.zeros(SHAPE, np.uint8)
    label_map[3, 4] = 1
    (tmp_path / "in").mkdir()
    Image.fromarray(label_map).save(tmp_path / "in/a.png")
    with pytest.raises(AnnotationError, match=r"99\.8% of the pixels have the value 0.*--unlabelled 0"):
        bring(tmp_path, dataset, format_)
    np.testing.assert_array_equal(
        annotation(bring(tmp_path, dataset, format_, unlabelled=0)), np.where(label_map, 1, 255)
    )
    kept = 3 if format_ == "agmm" else 255
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, format_, unlabelled=kept)), label_map)
