"""Truncated, foreign and hostile annotations: one clear error each, nothing written, no file opened that they name."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, Dataset, open_dataset
from sparsekit.errors import AnnotationError
from sparsekit.formats import IMPORTED
from sparsekit.formats.export import export_manifest
from sparsekit.formats.import_ import ImportOptions, import_annotations
from sparsekit.formats.shared import files
from tests.sparsekit.formats.test_export_marks import MARKS, manifest_of

#: Many more were tried once.
ROUNDS = 150
FILES = {"labelme": "image_0.json", "cvat": "annotations.xml", "label-studio": "tasks.json", "coco": "annotations.json"}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    manifest_of(tmp_path / "m", MARKS)
    (tmp_path / "m/data/classes.csv").write_text("name,id\n" + "".join(f"class_{i},{i}\n" for i in range(3)))
    return open_dataset(tmp_path / "m/data")


def exported(tmp_path: Path, format_: str) -> Path:
    from data_manifests import read_manifest

    folder = export_manifest(read_manifest(tmp_path / "m"), format_, tmp_path / "in", lossy=True).folder
    if format_ == "coco":  # the other place where they may lie
        (folder / "annotations/instances_train.json").rename(folder / "annotations.json")
        (folder / "annotations").rmdir()
    return folder


def fails(tmp_path: Path, dataset: Dataset, format_: str, message: str, folder: str = "in") -> None:
    with pytest.raises(AnnotationError, match=message) as caught:
        import_annotations(tmp_path / folder, format_, dataset, tmp_path / "back")
    assert str(tmp_path) in str(caught.value) and len(str(caught.value)) < 2000
    assert not (tmp_path / "back").exists() and not list(tmp_path.glob(".back*"))


@pytest.mark.parametrize("format_", sorted({*IMPORTED} - {"sam"}))
def test_empty_missing_and_foreign_folders(tmp_path: Path, dataset: Dataset, format_: str) -> None:
    fails(tmp_path, dataset, format_, "no such folder")
    (tmp_path / "in").mkdir()
    fails(tmp_path, dataset, format_, "no label maps|no labelme files|expected annotations|expected tasks")
    (tmp_path / "in/readme.txt").write_text("hello")
    Image.new("L", (30, 20), 1).save(tmp_path / "in/nobody.png")
    fails(tmp_path, dataset, format_, "no annotation of an image|no labelme files|expected annotations|expected tasks")


@pytest.mark.parametrize("format_", FILES)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"<a>", b"GIF89a", b"[" * 100_000])
def test_no_such_file_at_all(tmp_path: Path, dataset: Dataset, format_: str, content: bytes) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / FILES[format_]).write_bytes(content)
    fails(tmp_path, dataset, format_, "truncated")


@pytest.mark.parametrize("format_", ["labelme", "label-studio", "coco"])
@pytest.mark.parametrize("content", ["{}", "[]", "[[]]", "1", "null", '"text"', '{"shapes": 3}', "[{}]"])
def test_json_of_something_else(tmp_path: Path, dataset: Dataset, format_: str, content: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / FILES[format_]).write_text(content)
    fails(tmp_path, dataset, format_, "not a labelme file|not tasks of|not annotations of|contains no annotation")


@pytest.mark.parametrize("format_", FILES)
def test_cut_off_anywhere(tmp_path: Path, dataset: Dataset, format_: str) -> None:
    path = exported(tmp_path, format_) / FILES[format_]
    whole = path.read_bytes().rstrip()
    for size in range(0, len(whole), max(1, len(whole) // 40)):
        path.write_bytes(whole[:size])
        fails(tmp_path, dataset, format_, "truncated")


@pytest.mark.parametrize("format_", FILES)
def test_damaged_values_never_end_in_another_error(tmp_path: Path, dataset: Dataset, format_: str) -> None:
    """Pieces of the file are swapped for others of its pieces, or for hostile ones."""
    path = exported(tmp_path, format_) / FILES[format_]
    whole = path.read_text()
    rng = random.Random(format_)
    pieces = ["null", "-1", "1e308", "NaN", "Infinity", "99999999999999999999", '"x"', "[]", "{}", "true", "0.5", ""]
    places = [i for i in range(1, len(whole)) if not (whole[i - 1].isalnum() and whole[i].isalnum())]
    ended_in: set[bool] = set()
    for _ in range(ROUNDS):
        start, end = sorted(rng.sample(places, 2))
        end = min(end, start + rng.randrange(1, 40))
        path.write_text(whole[:start] + rng.choice(pieces) + whole[end:])
        try:
            import_annotations(tmp_path / "in", format_, dataset, tmp_path / "back", overwrite=True)
            ended_in.add(True)
        except DataError as error:
            assert str(tmp_path) in str(error)
            ended_in.add(False)
    assert False in ended_in


Edit = Callable[[Any], None]


def edit_labelme(key: str, value: Any) -> Edit:
    def edit(data: Any) -> None:
        data["shapes"][0][key] = value

    return edit


def edit_coco(key: str, value: Any) -> Edit:
    def edit(data: Any) -> None:
        data["annotations"][0][key] = value

    return edit


def edit_studio(key: str, value: Any, number: int = 0) -> Edit:
    def edit(data: Any) -> None:
        data[0]["predictions"][0]["result"][number]["value"][key] = value

    return edit


def edit_result(**values: Any) -> Edit:
    """Of the box."""

    def edit(data: Any) -> None:
        data[0]["predictions"][0]["result"][2] |= values

    return edit


def edit_top(key: str, value: Any) -> Edit:
    def edit(data: Any) -> None:
        data[key] = value

    return edit


HUGE = 10**9
JSON_EDITS: list[tuple[str, Edit, str]] = [
    ("labelme", edit_labelme("label", "dragon"), "unknown class 'dragon'. Give --map dragon=CLASS"),
    ("labelme", edit_labelme("label", ["class_0"]), "not a labelme file, or damaged"),
    ("labelme", edit_labelme("shape_type", "spiral"), "a shape of type 'spiral', .*; expected one of: point"),
    ("labelme", edit_labelme("points", []), "a polygon cannot have 0 points"),
    ("labelme", edit_labelme("points", [[HUGE, 0]]), r"point \(1000000000.0, 0.0\) lies outside the image of 30x20"),
    ("labelme", edit_labelme("points", [[1, 2, 3]]), "not a labelme file, or damaged"),
    ("labelme", edit_top("imageHeight", HUGE), r"an image of 30x1000000000 .* is 30x20"),
    ("labelme", edit_top("shapes", [{"label": "class_0", "shape_type": "linestrip", "points": [[1, 1], [2, 2]],
                                     "description": "widths 1;1;1"}]), "a stroke of 2 points cannot have the widths"),
    ("labelme", edit_top("shapes", [{"label": "class_0", "shape_type": "linestrip", "points": [[1, 1]],
                                     "description": "width 0"}]), "a stroke of 1 point cannot have the widths"),
    ("coco", edit_coco("category_id", 77), "not a list of masks: 77 is missing"),
    *(("coco", edit_coco("segmentation", wrong), "neither a list of polygons, .*, nor run lengths with size and counts")
      for wrong in ([[1, 1, 2, 2, 3]], [1, 1, 9, 1, 9, 9], [{"size": [20, 30], "counts": [600]}])),
    ("coco", edit_coco("segmentation", [["a", 1, 2, 2]]), "not a list of masks, or damaged"),
    ("coco", edit_coco("segmentation", [[1, 1, 2, 2, 3, 99]]), r"point \(3.0, 99.0\) lies outside the image"),
    ("coco", edit_coco("segmentation", {"size": [HUGE, HUGE], "counts": [1]}), "the size .1000000000, 1000000000."),
    ("coco", edit_coco("segmentation", {"size": [20, 30], "counts": [HUGE]}), "do not add up to 600 pixels"),
    ("coco", edit_coco("segmentation", {"size": [20, 30], "counts": [700, -100]}), "do not add up to 600 pixels"),
    ("coco", edit_coco("segmentation", {"size": [20, 30], "counts": "g0" + "o" * 999}), "not valid in run lengths"),
    ("coco", edit_coco("segmentation", {"size": [20, 30], "counts": "g03n\x00"}), "not valid in run lengths"),
    ("coco", edit_coco("segmentation", {"size": [20, 30], "counts": "g"}), "end in the middle of a number"),
    ("coco", edit_coco("attributes", {"kind": "click", "points": [[99, 0]]}), "lies outside the image"),
    ("coco", edit_coco("attributes", {"kind": "click", "points": [[1.5, 1]]}), "expected a whole number, got 1.5"),
    ("coco", edit_top("images", [{"id": 1, "file_name": None}]), "expected the name of an image, got None"),
    ("coco", edit_top("images", [{"id": 1, "file_name": "image_0", "height": HUGE, "width": 3}]), "an image of"),
    ("coco", edit_top("images", [{"id": 1, "file_name": name, "height": 20, "width": 30} for name in
                                 ("image_0.png", "image_1.png")]), "several images have the id 1"),
    ("label-studio", edit_studio("rle", [0, 0, 0], -1), "run lengths are truncated"),
    ("label-studio", edit_studio("rle", [255] * 9, -1), "run lengths cover 4294967295 values"),
    ("label-studio", edit_studio("rle", [256], -1), "not a list of results, or damaged"),
    ("label-studio", edit_studio("points", [[120, 5]]), "lies outside the image"),
    ("label-studio", edit_studio("polygonlabels", ["dragon"]), "unknown class 'dragon'"),
    ("label-studio", edit_studio("polygonlabels", ["class_0", "class_1"]), "a region with the labels class_0, class_1"),
    ("label-studio", edit_studio("polygonlabels", []), "a region without a label"),
    ("label-studio", edit_studio("rle", 1 << 31, -1), "expected a list of bytes, got 2147483648"),
    ("label-studio", edit_studio("rle", [0] * 99_999, -1), "99999 bytes of run lengths are too many for 30x20 pixels"),
    ("label-studio", edit_result(image_rotation=90), "image '.*image_0.png': was rotated by 90 degrees"),
    *(("label-studio", edit_result(type=kind), f"contains a region of type {kind!r}.* bitmasklabels, brushlabels, "
       "ellipselabels, keypointlabels, polygonlabels, rectanglelabels. Draw it as")
      for kind in ("ellipse", "rectangle", "vectorlabels", "no such type", None)),
    *(("label-studio", edit_result(type=kind), "image '.*image_0.png': contains a region without a label")
      for kind in ("ellipselabels", "labels")),
]  # fmt: skip


@pytest.mark.parametrize(("format_", "edit", "message"), JSON_EDITS, ids=[m[:60] for _, _, m in JSON_EDITS])
def test_wrong_values(tmp_path: Path, dataset: Dataset, format_: str, edit: Edit, message: str) -> None:
    path = exported(tmp_path, format_) / FILES[format_]
    data = json.loads(path.read_text())
    edit(data)
    path.write_text(json.dumps(data))
    fails(tmp_path, dataset, format_, message)


BOMB = """<?xml version="1.0"?><!DOCTYPE annotations [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><annotations><version>&c;</version></annotations>"""
OUTSIDE = '<!DOCTYPE annotations [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'


@pytest.mark.parametrize("content", [BOMB, OUTSIDE], ids=["bomb", "outside"])
def test_xml_with_entities(tmp_path: Path, dataset: Dataset, content: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/annotations.xml").write_text(content)
    fails(tmp_path, dataset, "cvat", "has a document type")


def image_xml(shapes: str, name: str = "image_0.png", size: str = 'width="30" height="20"') -> str:
    return f'<annotations><image id="0" name="{name}" {size}>{shapes}</image></annotations>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<html/>", "not annotations of CVAT for images 1.1"),
        ('<annotations><track id="1" label="class_0"><box frame="0"/></track></annotations>', "frame_000000"),
        (image_xml('<mask label="class_0"/>'), "not a list of shapes: 'left' is missing"),
        (image_xml('<mask label="class_0" left="20" top="0" width="11" height="1" rle="1,10"/>'), "lies outside"),
        (image_xml('<mask label="class_0" left="0" top="0" width="9" height="1" rle="1,99999999999"/>'), "add up to 9"),
        (image_xml('<ellipse label="class_0" cx="5" cy="5" rx="1e300" ry="2"/>'), "has the half axes"),
        (image_xml('<cuboid label="class_0"/>'), "a shape <cuboid>.*; expected one of: points, polyline"),
        (image_xml('<points points="1,1"/>'), "not a list of shapes: 'label' is missing"),
        (image_xml('<points label="class_0" points="1,"/>'), "damaged"),
        (image_xml('<points label="class_0" points="1e400,1"/>'), "lies outside the image"),
        (image_xml('<points label="class_0" points="1,1"/>', size='width="30" height="9"'), "an image of 30x9"),
        (image_xml('<points label="class_0" points="1,1"/>', size='width="x" height="9"'), "damaged"),
        (image_xml('<points label="class_0" points="1,1"/>', name="../../etc/passwd"), "Names in them: ../../etc/pass"),
        (image_xml('<box label="class_0" xtl="0" ytl="0" xbr="32" ybr="2"/>'), "lies outside the image"),
    ],
)  # fmt: skip
def test_wrong_xml(tmp_path: Path, dataset: Dataset, content: str, message: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/annotations.xml").write_text(content)
    fails(tmp_path, dataset, "cvat", message)


def test_names_that_are_paths_are_only_names(tmp_path: Path, dataset: Dataset) -> None:
    """An annotation of ../../image_0.png is of the dataset's image_0, and nothing is read or written elsewhere."""
    (tmp_path / "in").mkdir()
    content = image_xml('<points label="class_0" points="1,1"/>', name="../../image_0.png")
    (tmp_path / "in/annotations.xml").write_text(content)
    before = sorted(path for path in tmp_path.rglob("*"))
    import_annotations(tmp_path / "in", "cvat", dataset, tmp_path / "back")
    after = sorted(path for path in tmp_path.rglob("*") if "back" not in path.parts)
    assert before == after


def test_two_annotations_of_one_image(tmp_path: Path, dataset: Dataset) -> None:
    folder = exported(tmp_path, "labelme")
    (folder / "deeper").mkdir()
    shutil.copy(folder / "image_0.json", folder / "deeper/image_0.json")
    fails(tmp_path, dataset, "labelme", "two annotations of image 'image_0'")


@pytest.mark.parametrize("format_", FILES)
def test_files_above_the_limit_are_not_read(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    with (exported(tmp_path, format_) / FILES[format_]).open("ab") as file:
        file.truncate(10_000)
    monkeypatch.setattr(files, "MAX_BYTES", 8 << 10)
    fails(tmp_path, dataset, format_, "larger than 8 KiB")


@pytest.mark.parametrize("format_", FILES)
def test_links_to_endless_files(tmp_path: Path, dataset: Dataset, format_: str) -> None:
    path = exported(tmp_path, format_) / FILES[format_]
    path.unlink()
    path.symlink_to("/dev/zero")
    fails(tmp_path, dataset, format_, "not a regular file|expected|no labelme files")


@pytest.mark.parametrize("format_", ["labelme", "label-studio", "coco"])
@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity", "9" * 5000])
def test_numbers_that_are_not_finite(tmp_path: Path, dataset: Dataset, format_: str, number: str) -> None:
    (exported(tmp_path, format_) / FILES[format_]).write_text(f'{{"shapes": [{number}]}}')
    fails(tmp_path, dataset, format_, "not JSON")


@pytest.mark.parametrize("format_", ["urss", "agmm", "tel"])
def test_label_maps(tmp_path: Path, dataset: Dataset, format_: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()

    def save(image: Image.Image) -> None:
        image.save(folder / "image_0.png")

    save(Image.fromarray(np.full((20, 30), 77, np.uint8)))
    fails(tmp_path, dataset, format_, "contains the unknown values 77")
    save(Image.new("L", (31, 20)))
    fails(tmp_path, dataset, format_, "refers to an image of 31x20")
    save(Image.new("L", (5000, 5000)))  # its size is looked at before it is decoded
    fails(tmp_path, dataset, format_, "refers to an image of 5000x5000")
    (folder / "image_0.png").write_bytes((folder / "image_0.png").read_bytes()[:60])
    with pytest.raises(DataError, match="image_0.png"):
        import_annotations(folder, format_, dataset, tmp_path / "back")
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)).save(folder / "image_0.png")
    with pytest.raises(DataError, match="colour-coded mask"):
        import_annotations(folder, format_, dataset, tmp_path / "back")


def test_several_annotations_in_one_folder(tmp_path: Path, dataset: Dataset) -> None:
    for name in ("20clicks", "50clicks"):
        (tmp_path / "in" / name).mkdir(parents=True)
    fails(tmp_path, dataset, "agmm", "holds several annotations: 20clicks, 50clicks")


def test_voc_files_for_a_data_set_of_other_classes(tmp_path: Path, dataset: Dataset) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/voc_whats_the_point.json").write_text("{}")
    fails(tmp_path, dataset, "tel", "of the 21 classes of VOC, but the dataset has 3")


def test_wrong_arguments_and_places(tmp_path: Path, dataset: Dataset) -> None:
    folder = exported(tmp_path, "coco")
    with pytest.raises(ValueError, match="Choose from: agmm"):
        import_annotations(folder, "word", dataset, tmp_path / "x")
    with pytest.raises(ValueError, match="at least 1, got 0"):
        ImportOptions(stroke_width=0)
    for value in (-1, 65536):
        with pytest.raises(ValueError, match="unlabelled must be"):
            ImportOptions(unlabelled=value)
    with pytest.raises(AnnotationError, match="was not made by sparsekit"):
        import_annotations(folder, "coco", dataset, folder, overwrite=True)
    assert (folder / "annotations.json").is_file()
