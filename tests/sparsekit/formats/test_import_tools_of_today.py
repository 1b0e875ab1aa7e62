"""Files as current versions of the tools write them, and the pixels that they mean."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import Dataset, Mark, open_dataset, read_manifest, read_marks
from sparsekit.errors import AnnotationError
from sparsekit.formats.export import export_manifest
from sparsekit.formats.full_masks import write_full_masks
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
    labelme,
    put,
    region,
    shape,
    task,
    where,
)
from tests.sparsekit.formats.test_export_marks import manifest_of

#: A box of 8 x 4 rotated by 30 degrees about its centre, as CVAT and Label Studio say it.
TURNED = where(in_box(9.2, 7.3, 8, 4, 30, complex(13.2, 9.3)))


def corners(degrees: float) -> list[tuple[float, float]]:
    """Corners of that box, clockwise."""
    turn = complex(np.cos(np.radians(degrees)), np.sin(np.radians(degrees)))
    found = [complex(13.2, 9.3) + complex(x, y) * turn for x, y in ((-4, -2), (4, -2), (4, 2), (-4, 2))]
    return [(corner.real, corner.imag) for corner in found]


def png(values: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


# --- labelme


@pytest.mark.parametrize("kind", ["oriented_rectangle", "rotation", "rectangle"])
@pytest.mark.parametrize("degrees", [0, 30])
def test_labelme_boxes_of_four_corners(tmp_path: Path, dataset: Dataset, kind: str, degrees: float) -> None:
    """Of labelme 6; of X-AnyLabeling, which gives four to upright rectangles too."""
    put(tmp_path, "a.json", labelme(shape(kind, *corners(degrees))))
    summary = bring(tmp_path, dataset, "labelme")
    expected = where(in_box(9.2, 7.3, 8, 4, degrees, complex(13.2, 9.3)))
    np.testing.assert_array_equal(annotation(summary), expected)
    assert summary.num_marks == 1


def test_labelme_boxes_of_one_corner(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "a.json", labelme(shape("rectangle", (3, 2))))
    with pytest.raises(AnnotationError, match="a box cannot have 1 point"):
        bring(tmp_path, dataset, "labelme")


def test_labelme_masks_dragged_to_the_edge(tmp_path: Path, dataset: Dataset) -> None:
    """labelme keeps the corners inside and rounds them, so a column may end outside."""
    mask = shape("mask", (25.5, 4), (29.5, 8), mask=png(np.ones((5, 5), np.uint8)))
    put(tmp_path, "a.json", labelme(mask))
    summary = bring(tmp_path, dataset, "labelme")
    expected = np.full(SHAPE, 255)
    expected[4:9, 26:30] = 1
    np.testing.assert_array_equal(annotation(summary), expected)
    assert summary.notes == ("pixels of masks just outside the image, left out (5)",)
    put(tmp_path, "a.json", labelme(mask | {"points": [[27, 4], [31, 8]]}))
    with pytest.raises(AnnotationError, match="lies outside the image"):
        bring(tmp_path, dataset, "labelme")


def test_labelme_descriptions_are_anybodys(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "a.json", labelme(shape("linestrip", (1, 1), (5, 1), description="width of the road unclear")))
    ((_, (mark,)),) = read_marks(bring(tmp_path, dataset, "labelme").folder / "marks.csv")
    assert mark.widths == (3, 3)


def test_other_json_beside_those_of_labelme(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "a.json", labelme(shape("point", (3, 4))))
    put(tmp_path, "names.json", {"names": ["tree"]})
    with pytest.raises(AnnotationError, match=r"names\.json: not a labelme file.* Move other JSON files"):
        bring(tmp_path, dataset, "labelme")


def test_shapes_between_the_centres_leave_the_marks_of_others(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "a.json", labelme(shape("circle", (3, 3), (3.2, 3)), shape("point", (9, 9))))
    summary = bring(tmp_path, dataset, "labelme")
    assert summary.num_marks == 1 and summary.notes == ("shapes that cover no pixel: left out (1)",)


def test_labelme_files_without_shapes_are_counted(tmp_path: Path, dataset: Dataset) -> None:
    """labelme saves flags of the image alone; full masks of such an image are background."""
    put(tmp_path, "a.json", labelme())
    assert bring(tmp_path, dataset, "labelme").notes == ("images without a labelled pixel (1)",)
    made = write_full_masks(tmp_path / "in", "labelme", tmp_path / "full", images_dir=tmp_path / "ds/images")
    assert made.num_images == 1 and made.class_names == ("background",)


# --- CVAT


def test_cvat_skeletons_with_attributes(tmp_path: Path, dataset: Dataset) -> None:
    joint = '<points label="1" source="manual" outside="0" occluded="0" points="3.00,4.00">{}</points>'
    own = '<attribute name="side">left</attribute>'
    put(tmp_path, "annotations.xml", cvat(f'<skeleton label="tree" z_order="0">{joint.format(own)}{own}</skeleton>'))
    np.testing.assert_array_equal(np.argwhere(annotation(bring(tmp_path, dataset, "cvat")) == 1), [[4, 3]])


def test_cvat_subsets_of_a_project_tell_images_of_one_name_apart(tmp_path: Path, dataset: Dataset) -> None:
    image = f'<image id="0" name="a.png" {{}} task_id="7" width="{WIDTH}" height="{HEIGHT}">{{}}</image>'
    click = '<points label="tree" points="3,4"/>'
    image = image.format('subset="sub"', click)
    put(tmp_path, "annotations.xml", f"<annotations>{image}</annotations>")
    assert annotation(bring(tmp_path, dataset, "cvat"), "sub/a")[4, 3] == 1


def test_cvat_tracks_of_several_tasks_are_not_mixed(tmp_path: Path, dataset: Dataset) -> None:
    box = '<box frame="7" keyframe="1" outside="0" occluded="0" xtl="1.00" ytl="1.00" xbr="4.00" ybr="4.00"/>'
    track = f'<track id="0" label="tree" source="manual" task_id="{{}}" subset="default">{box}</track>'
    put(tmp_path, "annotations.xml", f"<annotations>{track.format(3)}{track.format(3)}</annotations>")
    assert bring(tmp_path, dataset, "cvat").num_marks == 2
    put(tmp_path, "annotations.xml", f"<annotations>{track.format(3)}{track.format(4)}</annotations>")
    with pytest.raises(AnnotationError, match="tasks 3, 4, .* Export each task by itself"):
        bring(tmp_path, dataset, "cvat")


# --- Label Studio

POINT = region("keypointlabels", x=10.5, y=21)
BOX = region("rectanglelabels", x=10, y=10, width=20, height=20, rotation=0)


def of(*results: list[Any], **more: Any) -> dict[str, Any]:
    return {"data": {"image": "images/a.png"}, "annotations": [{"result": one} for one in results], **more}


def test_label_studio_counts_what_other_annotators_drew(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "tasks.json", [of([], [POINT], [BOX], [BOX])])
    summary = bring(tmp_path, dataset, "label-studio")
    assert summary.num_labelled == 1 and summary.notes == ("further annotations of the same task: left out (2)",)


def test_label_studio_tasks_that_were_skipped(tmp_path: Path, dataset: Dataset) -> None:
    skipped = of(predictions=[{"result": [BOX]}]) | {"annotations": [{"was_cancelled": True, "result": []}]}
    put(tmp_path, "tasks.json", [skipped])
    with pytest.raises(AnnotationError, match=r"no annotation .* Noted: tasks skipped in Label Studio: left out \(1\)"):
        bring(tmp_path, dataset, "label-studio")
    put(tmp_path, "tasks.json", [skipped | {"annotations": []}])
    assert bring(tmp_path, dataset, "label-studio").num_marks == 1


def test_label_studio_predictions_may_have_no_size(tmp_path: Path, dataset: Dataset) -> None:
    result = {key: value for key, value in POINT.items() if not key.startswith("original")}
    put(tmp_path, "tasks.json", [of(predictions=[{"result": [result]}])])
    assert annotation(bring(tmp_path, dataset, "label-studio"))[4, 3] == 1


def test_label_studio_json_min_with_texts_and_choices(tmp_path: Path, dataset: Dataset) -> None:
    size = {"original_width": WIDTH, "original_height": HEIGHT}
    place = {"x": 10.5, "y": 21, **size}
    put(tmp_path, "tasks.json", [{
        "image": "images/a.png", "id": 1, "tag": [{**place, "keypointlabels": ["tree"]}], "comment": ["dark", "wet"],
        "kind": [{**place, "taxonomy": [["a", "b"]]}], "stars": [{"rating": 3}], "words": [{**place, "text": ["x"]}],
        "weather": {"choices": ["fog", "rain"]},
    }])  # fmt: skip
    assert bring(tmp_path, dataset, "label-studio").num_marks == 1


@pytest.mark.parametrize("labels", [False, True])
def test_label_studio_bitmasks(tmp_path: Path, dataset: Dataset, labels: bool) -> None:
    """Black on a transparent canvas as large as the image; with the control Labels, each occurs twice."""
    canvas = np.zeros((*SHAPE, 4), np.uint8)
    canvas[3:6, 4:9, 3] = 255
    value = {"imageDataURL": f"data:image/png;base64,{png(canvas)}"}
    results = [region("bitmasklabels", **value)]
    if labels:
        results = [region("bitmask", None, **value) | {"id": "b"}, region("labels", **value) | {"id": "b"}]
    put(tmp_path, "tasks.json", [task(*results)])
    expected = np.full(SHAPE, 255)
    expected[3:6, 4:9] = 1
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "label-studio")), expected)
    for wrong, message in (
        (f"data:image/png;base64,{png(canvas[:9])}", "a bitmask of 30x9, not as large as the image"),
        ("data:image/png;base64,iVBORw0K", "not a PNG"),
    ):
        put(tmp_path, "tasks.json", [task(region("bitmasklabels", imageDataURL=wrong))])
        with pytest.raises(AnnotationError, match=message):
            bring(tmp_path, dataset, "label-studio")


@pytest.mark.parametrize("image", [["/x/a.png", "/x/sub/a.png"], "data:image/png;base64," + "A" * 9999, None, 3])
def test_label_studio_images_without_an_address(tmp_path: Path, dataset: Dataset, image: Any) -> None:
    put(tmp_path, "tasks.json", [of([POINT]) | {"data": {"image": image}}])
    with pytest.raises(AnnotationError, match="'image' of a task must be the address of one image") as caught:
        bring(tmp_path, dataset, "label-studio")
    assert len(str(caught.value)) < 400


def test_label_studio_addresses_within_addresses(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "tasks.json", [task(POINT, image="/x?fileuri=" * 9999 + "a.png")])
    with pytest.raises(AnnotationError, match="no annotation of an image"):
        bring(tmp_path, dataset, "label-studio")


# --- COCO


def test_coco_boxes_that_cvat_rotated(tmp_path: Path, dataset: Dataset) -> None:
    """CVAT writes the upright box, and its rotation as an attribute; users may have an attribute of that name."""
    box = {"segmentation": [], "bbox": [9.2, 7.3, 8, 4]}
    put(tmp_path, "x.json", coco(box | {"attributes": {"occluded": False, "rotation": 30.0}}))
    np.testing.assert_array_equal(annotation(bring(tmp_path, dataset, "coco")), TURNED)
    for other in ("left", 0.0, 360, None):
        put(tmp_path, "x.json", coco(box | {"attributes": {"rotation": other}}))
        assert (annotation(bring(tmp_path, dataset, "coco"))[7:12, 9:18] == 1).all()


@pytest.mark.parametrize("name", ["images/0a1b2c3d-ab_c.png", "images\\1/0a1b2c3d-ab_c.png", "images/a+b c.png"])
def test_coco_of_label_studio_names_uploads(tmp_path: Path, dataset: Dataset, name: str) -> None:
    data = coco({"segmentation": [], "bbox": [3, 4, 1, 1]}, name=name)
    put(tmp_path, "result.json", data | {"info": {"contributor": "Label Studio"}})
    assert annotation(bring(tmp_path, dataset, "coco"), "a+b c")[4, 3] == 1
    if "0a1b2c3d" in name:
        put(tmp_path, "result.json", data)
        with pytest.raises(AnnotationError, match="Names in them: images"):
            bring(tmp_path, dataset, "coco")


def test_coco_boxes_with_an_empty_polygon(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "x.json", coco({"segmentation": [[]], "bbox": [3, 4, 1, 1]}))
    summary = bring(tmp_path, dataset, "coco")
    np.testing.assert_array_equal(np.argwhere(annotation(summary) == 1), [[4, 3]])


def test_coco_keypoints_are_counted(tmp_path: Path, dataset: Dataset) -> None:
    square = [2, 2, 9, 2, 9, 6, 2, 6]
    put(tmp_path, "x.json", coco({"segmentation": [square], "keypoints": [3, 3, 2]}, {"segmentation": [square]}))
    assert bring(tmp_path, dataset, "coco").notes == ("keypoints of annotations: left out (1)",)


def test_coco_panoptic_annotations(tmp_path: Path, dataset: Dataset) -> None:
    data = coco()
    data["annotations"] = [{"image_id": 7, "file_name": "a.png", "segments_info": [{"id": 3, "category_id": 3}]}]
    put(tmp_path, "panoptic_val.json", data)
    with pytest.raises(AnnotationError, match="panoptic annotations, .* Give the instances"):
        bring(tmp_path, dataset, "coco")


# --- all


def test_full_masks_name_the_images_that_they_miss(tmp_path: Path, dataset: Dataset) -> None:
    put(tmp_path, "x.json", coco({"segmentation": [], "bbox": [3, 4, 1, 1]}, name="images/0a1b2c3d-x.png"))
    with pytest.raises(AnnotationError, match=r"any of the 5 images\. Names in them: images/0a1b2c3d-x\.png"):
        write_full_masks(tmp_path / "in", "coco", tmp_path / "full", images_dir=tmp_path / "ds/images")


@pytest.mark.parametrize("format_", ["labelme", "cvat", "label-studio"])
def test_marks_of_few_points_become_shapes_that_tools_open(tmp_path: Path, format_: str) -> None:
    """CVAT opens no job with a polygon of fewer than three points, or a polyline of one."""
    marks = (
        Mark("block", 0, 1, 1, ((1, 1),)),
        Mark("block", 1, 3, 3, ((3, 3), (3, 9))),
        Mark("polygon", 2, 6, 6, ((6, 6), (8, 9))),
        Mark("polygon", 2, 12, 6, ((12, 6), (14, 9), (12, 9))),
        Mark("stroke", 1, 9, 20, ((9, 20),), (3,)),
    )
    manifest = manifest_of(tmp_path / "m", marks)
    (tmp_path / "m/data/classes.csv").write_text("name,id\n" + "".join(f"class_{i},{i}\n" for i in range(3)))
    out = export_manifest(manifest, format_, tmp_path / "out").folder
    if format_ == "labelme":
        counts = [len(one["points"]) for one in json.loads((out / "image_0.json").read_text())["shapes"]]
        assert counts == [2, 3, 3, 3, 3]
    elif format_ == "cvat":
        assert (out / "annotations.xml").read_text().count('points="1.5,1.5;1.5,1.5;1.5,1.5"') == 1
    summary = import_annotations(out, format_, open_dataset(tmp_path / "m/data"), tmp_path / "back")
    ((_, back),) = read_marks(read_manifest(summary.folder).marks_path)
    assert tuple(back) == marks
