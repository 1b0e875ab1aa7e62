"""Widths of strokes, points outside, classes, names and label maps: what an import asks about, moves or refuses."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import Dataset, read_manifest
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
    labelme,
    put,
    region,
    shape,
    task,
)

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
    ("labelme", "a.json", labelme(shape("linestrip", (-5, 1), (9, 9)), shape("point", (3, 4))), "outside the image"),
    ("cvat", "annotations.xml", cvat('<mask label="tree" rle="0, 4" left="28" top="0" width="4" height="1"/>'
                                     '<points label="tree" points="3,4"/>'), "outside the image"),
    ("label-studio", "tasks.json", [task(region("rectanglelabels", x=95, y=1, width=9, height=1),
                                         region("keypointlabels", x=10.5, y=21))], "outside the image"),
    ("coco", "annotations.json", coco({"bbox": [-3, 1, 5, 5]}, {"bbox": [3, 4, 1, 1]}), "outside the image"),
]  # fmt: skip


@pytest.mark.parametrize(("format_", "name", "data", "message"), UNREAD, ids=[f"{f}-{m}" for f, _, _, m in UNREAD])
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
