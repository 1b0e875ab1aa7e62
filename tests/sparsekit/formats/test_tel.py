"""Clicks and strokes of VOC as TEL reads them: what is exported, and what is refused on import."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from data_manifests import Dataset, open_dataset, read_marks
from sparsekit.errors import AnnotationError
from sparsekit.formats import tel
from sparsekit.formats.export import export_manifest
from tests.helpers.annotation_folders import SCRIBBLES, voc
from tests.sparsekit.formats.test_export_marks import annotation
from tests.sparsekit.formats.test_import_bad_input import BOMB, fails


def test_tel_voc_clicks(tmp_path: Path) -> None:
    """Two files by image: clicks on objects, clicks on background; both must know every image."""
    manifest = voc(tmp_path)
    out = export_manifest(manifest, "tel", tmp_path / "out").folder
    objects = json.loads((out / "voc_whats_the_point.json").read_text())
    background = json.loads((out / "voc_whats_the_point_bg_from_scribbles.json").read_text())
    assert set(objects) == set(background) == {"2007_000001", "2007_000002"}
    assert objects["2007_000002"] == background["2007_000002"] == []
    clicks = objects["2007_000001"] + background["2007_000001"]
    drawn = np.full((40, 60), 255, np.uint8)
    for click in clicks:
        drawn[click["y"], click["x"]] = click["cls"]
    np.testing.assert_array_equal(drawn, annotation(manifest))
    assert sorted(click["rank"] for click in clicks) == [0, 1, 2]
    assert zipfile.ZipFile(out / "voc_scribbles.zip").namelist() == []


def test_tel_voc_strokes(tmp_path: Path) -> None:
    """One XML by image in an archive: a size, and polygons of a tag and points with X before Y."""
    manifest = voc(tmp_path, SCRIBBLES)
    ((image_id, marks),) = read_marks(manifest.marks_path)
    with pytest.raises(AnnotationError, match=r"the width of \d strokes: the reader draws each 3 pixels wide.*--lossy"):
        export_manifest(manifest, "tel", tmp_path / "out")
    out = export_manifest(manifest, "tel", tmp_path / "out", lossy=True).folder
    with zipfile.ZipFile(out / "voc_scribbles.zip") as archive:
        assert archive.namelist() == [f"{image_id}.xml"]
        root = ElementTree.fromstring(archive.read(f"{image_id}.xml"))
    assert [int(root.findtext(f"size/{key}", "")) for key in ("width", "height")] == [60, 40]
    names = {"background": 0, "plane": 1, "cat": 8}
    found = []
    for polygon in root.findall("polygon"):
        points = [[entry.tag for entry in point] for point in polygon.findall("point")]
        assert all(tags == ["X", "Y"] for tags in points)
        xy = [(int(p.findtext("X", "")), int(p.findtext("Y", ""))) for p in polygon.findall("point")]
        found.append((names[polygon.findtext("tag", "")], xy))
    assert found == [(m.class_id, [(c, r) for r, c in m.points]) for m in reversed(marks)]
    assert json.loads((out / "voc_whats_the_point.json").read_text()) == {"2007_000001": [], "2007_000002": []}


def test_tel_voc_names_every_class_as_its_reader_does() -> None:
    from data_manifests import known_label_space
    from sparsekit.formats.tel import VOC_NAMES

    ours = known_label_space("pascal_voc").class_names
    # It shortens some names.
    other = {"bicycle": "bike", "tvmonitor": "monitor", "aeroplane": "plane", "diningtable": "table"}
    assert [other.get(name, name.removeprefix("potted")) for name in ours] == list(VOC_NAMES)


@pytest.fixture
def voc_export(tmp_path: Path) -> tuple[Path, Dataset]:
    manifest = voc(tmp_path, SCRIBBLES)
    return export_manifest(manifest, "tel", tmp_path / "in", lossy=True).folder, open_dataset(tmp_path / "voc")


def write_zip(folder: Path, xml: str | bytes) -> None:
    with zipfile.ZipFile(folder / "voc_scribbles.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("2007_000001.xml", xml)


def scribble(tag: str, point: str, size: str = "<width>60</width><height>40</height>") -> str:
    return f"<annotation><size>{size}</size><polygon><tag>{tag}</tag>{point}</polygon></annotation>"


POINT = "<point><X>1</X><Y>2</Y></point>"


@pytest.mark.parametrize(
    ("xml", "message"),
    [
        (BOMB, "has a document type"),
        ("", "not XML, or truncated"),
        ("<annotation/>", "not strokes of one image, or damaged"),
        (scribble("dragon", POINT), "unknown class 'dragon'"),
        (scribble("cat", ""), "a stroke cannot have 0 points"),
        (scribble("cat", "<point><X>61</X><Y>2</Y></point>"), "lies outside the image"),
        (scribble("cat", "<point><Y>2</Y></point>"), "damaged"),
        (scribble("cat", POINT, "<width>6</width><height>40</height>"), "refers to an image of 6x40"),
    ],
)
def test_wrong_strokes_of_tel(tmp_path: Path, voc_export: tuple[Path, Dataset], xml: str, message: str) -> None:
    write_zip(voc_export[0], xml)
    fails(tmp_path, voc_export[1], "tel", message)


def test_archives_of_tel(tmp_path: Path, voc_export: tuple[Path, Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, dataset = voc_export
    path = folder / "voc_scribbles.zip"
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        fails(tmp_path, dataset, "tel", "the archive is damaged or truncated")
    damaged = bytearray(whole)
    damaged[80] ^= 255
    path.write_bytes(damaged)
    fails(tmp_path, dataset, "tel", "the archive is damaged or truncated")
    monkeypatch.setattr(tel, "_MAX_XML", 10_000)
    write_zip(folder, "<annotation>" + " " * 10_000_000 + "</annotation>")
    assert path.stat().st_size < 20_000
    fails(tmp_path, dataset, "tel", "unpacks to more than 10000 bytes")


@pytest.mark.parametrize(
    ("click", "message"),
    [
        ({"x": 1, "y": 1, "cls": 21}, "class 21 of image '2007_000001' is not between 0 and 20"),
        ({"x": 62, "y": 1, "cls": 1}, "lies outside the image"),
        ({"x": -3, "y": 1, "cls": 1}, "lies outside the image"),
        ({"x": 1, "cls": 1}, "'y' is missing"),
        ({"x": "a", "y": 1, "cls": 1}, "damaged"),
        (3, "damaged"),
    ],
)
def test_wrong_clicks_of_tel(tmp_path: Path, voc_export: tuple[Path, Dataset], click: Any, message: str) -> None:
    (voc_export[0] / "voc_whats_the_point.json").write_text(json.dumps({"2007_000001": [click]}))
    fails(tmp_path, voc_export[1], "tel", message)
