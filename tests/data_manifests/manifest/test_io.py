"""Manifests: round trips to the byte."""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests import (
    MANIFEST_COLUMNS,
    Manifest,
    ManifestError,
    ManifestInfo,
    ManifestRow,
    known_label_space,
    read_manifest,
    write_manifest,
    write_marks,
)
from data_manifests.files.paths import name_fault
from data_manifests.manifest import io as manifest_io
from data_manifests.manifest.io import info_to_json, load_manifest
from tests.helpers.awkward_text import awkward, texts

INFO = ManifestInfo(known_label_space("camvid"), command="points", settings={"seed": 0, "clicks_per_image": 2})

names = texts.filter(lambda text: not name_fault(text)) | st.sampled_from(
    ["a,b", 'say "x"', "ünïcödé", "日本", "NA", "1e5", "#x", "=1+1", "train/a b", "12:30"]
)
counts = st.integers(0, 10**6)

rows = st.builds(
    ManifestRow,
    image_id=names,
    split=st.sampled_from(["train", "val", "test"]),
    image=awkward,
    full_mask=awkward,
    annotation=awkward,
    height=counts.map(lambda count: count + 1),
    width=counts.map(lambda count: count + 1),
    num_labelled=counts,
    classes_labelled=st.lists(st.integers(0, 10), unique=True).map(lambda c: tuple(sorted(c))),
    full_mask_sha256=st.just("") | st.text("0123456789abcdef", min_size=64, max_size=64),
)
row_lists = st.lists(rows, max_size=6, unique_by=lambda row: row.image_id)


same_folder = settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class TestManifestRoundTrip:
    @same_folder
    @given(rows=row_lists)
    def test_what_is_written_is_read(self, tmp_path, rows):
        manifest = Manifest(tmp_path / "manifest.csv", tuple(rows), INFO)
        write_manifest(manifest)
        got = read_manifest(tmp_path / "manifest.csv")
        assert got.rows == tuple(sorted(rows, key=lambda row: row.image_id))
        assert got.info == INFO

    @same_folder
    @given(rows=row_lists, data=st.data())
    def test_equal_content_gives_equal_bytes(self, tmp_path, rows, data):
        files = [tmp_path / "manifest.csv", tmp_path / "manifest.json"]
        write_manifest(Manifest(files[0], tuple(rows), INFO))
        before = [file.read_bytes() for file in files]
        info = replace(INFO, settings=dict(reversed(INFO.settings.items())))
        write_manifest(Manifest(files[0], tuple(data.draw(st.permutations(rows))), info))
        assert [file.read_bytes() for file in files] == before

    @same_folder
    @given(rows=row_lists)
    def test_pandas_reads_the_same(self, tmp_path, rows):
        write_manifest(Manifest(tmp_path / "manifest.csv", tuple(rows), INFO))
        table = pd.read_csv(tmp_path / "manifest.csv", dtype=str, keep_default_na=False)
        assert table.columns.tolist() == list(MANIFEST_COLUMNS)
        assert table["image_id"].tolist() == sorted(row.image_id for row in rows)

    def test_bytes_written_out(self, tmp_path):
        row = ManifestRow("a,1", "train", "../x/a.png", "", "annotations/a.png", 4, 6, 2, (0, 10), "", "ff")
        write_manifest(Manifest(tmp_path / "manifest.csv", (row,), INFO))
        assert (tmp_path / "manifest.csv").read_bytes() == (
            b"image_id,split,image,full_mask,annotation,height,width,num_labelled,classes_labelled,"
            b"full_mask_sha256,annotation_sha256\n"
            b'"a,1",train,../x/a.png,,annotations/a.png,4,6,2,0 10,,ff\n'
        )
        assert b"\r" not in (tmp_path / "manifest.json").read_bytes()

    def test_files_saved_by_a_spreadsheet_are_read(self, tmp_path):
        path = tmp_path / "manifest.csv"
        write_manifest(Manifest(path, (ManifestRow("a", "train", "a.png", "", "", 1, 2),), INFO))
        lines = path.read_text().splitlines()
        # A byte order mark, Windows line ends, and one column more, in front.
        path.write_bytes(b"\xef\xbb\xbf" + "".join(f"note {i},{line}\r\n" for i, line in enumerate(lines)).encode())
        row = ManifestRow("a", "train", "a.png", "", "", 1, 2, extra=(("note 0", "note 1"),))
        assert read_manifest(tmp_path).rows == (row,)


class TestMoreColumns:
    """What ``manifest.csv`` holds beyond the columns that every version has."""

    def test_unknown_ones_are_kept(self, tmp_path):
        rows = (
            ManifestRow("a", "train", "a.png", "", "", 1, 2, extra=(("weather", "rain, wind"), ("camera", "=2"))),
            ManifestRow("b", "train", "b.png", "", "", 1, 2),
            ManifestRow("c", "train", "c.png", "", "", 1, 2, extra=(("camera", ""), ("lens", "x"))),
        )
        write_manifest(Manifest(tmp_path / "manifest.csv", rows, INFO))
        header, *lines = csv.reader((tmp_path / "manifest.csv").read_text().splitlines())
        assert header == [*MANIFEST_COLUMNS, "weather", "camera", "lens"]
        assert [line[-3:] for line in lines] == [["rain, wind", "=2", ""], ["", "", ""], ["", "", "x"]]
        before = (tmp_path / "manifest.csv").read_bytes()
        write_manifest(read_manifest(tmp_path))
        assert (tmp_path / "manifest.csv").read_bytes() == before

    def test_optional_ones_take_their_default(self, tmp_path, monkeypatch):
        """A field more of ``ManifestRow`` is all that a new column takes."""

        @dataclass(frozen=True, slots=True)
        class WiderRow(ManifestRow):
            weight: float = 1.5
            sensor: str = "rgb"
            volume: int = -1

        old = Manifest(tmp_path / "manifest.csv", (ManifestRow("a", "train", "a.png", "", "", 1, 2),), INFO)
        write_manifest(old)
        before = (tmp_path / "manifest.csv").read_bytes()
        monkeypatch.setattr(manifest_io, "ManifestRow", WiderRow)
        (row,) = read_manifest(tmp_path).rows
        assert (row.weight, row.sensor, row.volume) == (1.5, "rgb", -1)
        write_manifest(read_manifest(tmp_path))
        assert (tmp_path / "manifest.csv").read_bytes() == before  # no column says what all rows have by default
        new = (
            replace(row, weight=0.25),
            replace(row, image_id="b", volume=7),
            replace(row, image_id="c", extra=(("x", "y"),)),
        )
        write_manifest(Manifest(tmp_path / "manifest.csv", new, INFO))
        assert read_manifest(tmp_path).rows == (
            replace(new[0], extra=(("x", ""),)), replace(new[1], extra=(("x", ""),)), new[2],
        )  # fmt: skip
        assert (tmp_path / "manifest.csv").read_text().splitlines()[0].endswith("annotation_sha256,weight,volume,x")
        text = (tmp_path / "manifest.csv").read_text()
        (tmp_path / "manifest.csv").write_text(text.replace(",0.25,", ",,").replace(",7,", ",seven,"))
        with pytest.raises(ManifestError, match=r"row 3 \('b'\): .*seven"):
            read_manifest(tmp_path)
        assert load_manifest(tmp_path)[0].rows[0].weight == 1.5  # an empty cell is the default
        monkeypatch.undo()  # an older version takes the columns for unknown ones, and keeps them
        assert dict(load_manifest(tmp_path)[0].rows[0].extra) == {"weight": "", "volume": "-1", "x": ""}


class TestManifest:
    def test_rows_of(self, manifest):
        read = read_manifest(manifest)
        assert [row.image_id for row in read.rows_of("train")] == ["a", "b", "c"]
        with pytest.raises(ManifestError, match=r"split 'val' has no rows. .*: train \(3\)\. `sparsekit split`"):
            read.rows_of("val")
        empty = Manifest(manifest, (), INFO)
        with pytest.raises(ManifestError, match="Splits of this manifest: none"):
            empty.rows_of("val")

    def test_paths(self, manifest):
        read = read_manifest(manifest)
        assert read.resolve("x/a.png") == manifest.parent / "x" / "a.png"
        assert read.resolve(str(manifest)) == manifest
        assert read.marks_path == manifest.with_name("marks.csv")
        write_marks(manifest.with_name("marks.parquet"), [])
        assert read.marks_path == manifest.with_name("marks.parquet")

    def test_json_holds_no_number_that_json_lacks(self):
        with pytest.raises(ValueError, match="not JSON compliant"):
            info_to_json(replace(INFO, settings={"x": float("nan")}))
