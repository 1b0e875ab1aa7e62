"""Manifests and marks as pandas tables, and manifests as sequences of rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from data_manifests import (
    Manifest,
    ManifestError,
    ManifestInfo,
    ManifestRow,
    Mark,
    known_label_space,
    read_manifest,
    write_manifest,
    write_marks,
)

INFO = ManifestInfo(known_label_space("camvid"), command="points", settings={"seed": 0})


@pytest.fixture
def manifest(tmp_path):
    """Three annotated images and one to evaluate on, with a column of one's own."""
    rows = [
        ManifestRow(
            f"i{n}", "train", f"{n}.png", "", f"a{n}.png", 4, 6, n, tuple(range(n)), "", "x", (("city", "Bonn"),)
        )
        for n in range(3)
    ]
    rows.append(ManifestRow("NA", "val", "3.png", "m3.png", "", 4, 6))
    write_marks(tmp_path / "marks.csv", [
        ("i1", [Mark("click", 0, 1, 2)]),
        ("i2", [Mark("click", 1, 0, 0), Mark("stroke", 0, 0, 1, ((0, 1), (3, 4)), (3, 3), 7)]),
    ])  # fmt: skip
    write_manifest(Manifest(tmp_path / "manifest.csv", tuple(rows), INFO))
    return read_manifest(tmp_path)


def test_a_manifest_is_a_sequence_of_rows(manifest):
    assert len(manifest) == 4 and list(manifest) == list(manifest.rows)
    assert manifest[-1] is manifest.rows[-1] and manifest[np.int64(1)] is manifest.rows[1]
    assert [row.image_id for row in manifest[1:3]] == ["i0", "i1"]
    assert isinstance(manifest[:0], Manifest) and not len(manifest[:0])
    with pytest.raises(IndexError):
        manifest[4]


def test_filter_meets_all_conditions(manifest):
    def ids(**conditions):
        return [row.image_id for row in manifest.filter(**conditions)]

    names = manifest.label_space.class_names
    assert ids() == ["NA", "i0", "i1", "i2"]
    assert ids(split="train") == ["i0", "i1", "i2"]
    assert ids(classes=[names[1]]) == ["i2"] and ids(classes=names[:2]) == ["i1", "i2"]
    assert ids(where=lambda row: row.num_labelled < 2, split="train") == ["i0", "i1"]
    with pytest.raises(ManifestError, match=r"split 'test' has no rows"):
        ids(split="test")
    with pytest.raises(ManifestError, match=r"no class unicorn\. Classes: Sky"):
        ids(classes=["unicorn"])


def test_the_checksum_counts_rows_selected_in_memory(manifest):
    assert manifest.filter().sha256() != manifest.sha256() == read_manifest(manifest.path).sha256()
    assert manifest[:2].sha256() == manifest[:2].sha256() != manifest[:3].sha256()
    write_manifest(manifest[:2])
    again = read_manifest(manifest.path)
    assert again.rows == manifest.rows[:2] and not again.edited


def test_a_table_has_the_cells_of_the_file(manifest):
    frame = manifest.to_pandas()
    read = pd.read_csv(manifest.path, keep_default_na=False, dtype={"classes_labelled": str})
    assert list(frame.columns) == list(read.columns)
    frame["classes_labelled"] = [" ".join(map(str, ids)) for ids in frame.classes_labelled]
    pd.testing.assert_frame_equal(frame, read, check_dtype=False)
    assert frame.dtypes[["height", "width", "num_labelled"]].eq("int64").all()
    empty = manifest[:0].to_pandas()
    assert empty.empty and empty.height.dtype == "int64"


def test_a_table_gives_the_manifest_back(manifest, tmp_path):
    assert Manifest.from_pandas(manifest.to_pandas(), manifest) == replace(manifest, edited=True)
    for options in ({"keep_default_na": False}, {"keep_default_na": False, "dtype": str}, {"na_values": []}):
        frame = pd.read_csv(manifest.path, **options).replace({"image_id": {np.nan: "NA"}})
        assert Manifest.from_pandas(frame.sample(frac=1, random_state=0), manifest).rows == manifest.rows
    frame = manifest.to_pandas().convert_dtypes()
    frame["height"] = frame.height.astype(float)  # as joins with missing rows make them
    frame["classes_labelled"] = [np.array(ids, int) for ids in frame.classes_labelled]
    assert Manifest.from_pandas(frame, manifest).rows == manifest.rows
    fresh = Manifest(tmp_path / "new/manifest.csv", (), INFO)
    write_manifest(Manifest.from_pandas(frame.assign(split="train", full_mask=None), fresh))
    assert {row.split for row in read_manifest(tmp_path / "new")} == {"train"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="split"), "column split missing"),
        (lambda f: f.assign(height=[4, 4, 0.5, 4]), r"row 2 of the table \('i1'\): .*0\.5"),
        (lambda f: f.assign(width=0), r"row 0 of the table \('NA'\): height and width must be at least 1"),
        (lambda f: f.assign(image_id="one"), r"row 1 of the table \('one'\): image_id 'one' occurs twice"),
        (lambda f: f.assign(image_id=["a", "b", "../c", "d"]), r"image_id '../c' is not a plain name"),
        (
            lambda f: f.assign(classes_labelled=[(), (), (99,), ()]),
            r"row 2 .*must lie between 0 and 10",
        ),
    ],
    ids=["column", "fraction", "size", "twice", "name", "class"],
)
def test_wrong_tables_are_refused(manifest, change, message):
    with pytest.raises(ManifestError, match=message):
        Manifest.from_pandas(change(manifest.to_pandas()), manifest)


def test_marks_as_a_table(manifest):
    frame = manifest.marks_to_pandas()
    assert list(zip(frame.image_id, frame.mark, frame.kind, frame.row, frame.col, strict=True)) == [
        ("i1", 0, "click", 1, 2), ("i2", 0, "click", 0, 0), ("i2", 1, "stroke", 0, 1),
    ]  # fmt: skip
    stroke = frame.iloc[2]
    assert (stroke.points, stroke.widths, stroke.region) == (((0, 1), (3, 4)), (3, 3), 7)
    assert frame.class_name.tolist() == [manifest.label_space.class_names[i] for i in frame.class_id]
    assert manifest.filter(lambda row: row.image_id == "i1").marks_to_pandas().image_id.tolist() == ["i1"]
    assert manifest[:1].marks_to_pandas().class_id.dtype == "int64"
    manifest.marks_path.write_text(manifest.marks_path.read_text() + "i2,2,click,0,0,0,,,\n")
    with pytest.raises(ManifestError, match="the marks have changed"):
        manifest.marks_to_pandas()
