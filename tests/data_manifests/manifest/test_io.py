"""Manifests and marks: round trips to the byte, and what is wrong with a damaged one."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sys
from dataclasses import dataclass, replace

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests import (
    MANIFEST_COLUMNS,
    MARK_COLUMNS,
    Manifest,
    ManifestError,
    ManifestInfo,
    ManifestRow,
    Mark,
    known_label_space,
    read_manifest,
    read_marks,
    write_manifest,
    write_marks,
)
from data_manifests.files.csv import format_line, read_table, read_text_cell, text_cell, write_table
from data_manifests.files.paths import name_fault
from data_manifests.manifest import io as manifest_io
from data_manifests.manifest import marks as marks_io
from data_manifests.manifest.io import info_to_json, load_manifest
from data_manifests.manifest.marks import marks_fault, read_marks_of
from data_manifests.manifest.validate import check_manifest

INFO = ManifestInfo(known_label_space("camvid"), command="points", settings={"seed": 0, "clicks_per_image": 2})

#: Everything that a file name could bring along, but NUL and halves of surrogate pairs.
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
awkward = texts | st.sampled_from(
    ["a,b", 'say "x"', "line\nbreak", "\r", "\r\n", " ", "ünïcödé", "日本", "NA", "1e5", "#x"]
)
names = texts.filter(lambda text: not name_fault(text)) | st.sampled_from(
    ["a,b", 'say "x"', "ünïcödé", "日本", "NA", "1e5", "#x", "=1+1", "train/a b", "12:30"]
)
counts = st.integers(0, 10**6)
points = st.lists(st.tuples(counts, counts), min_size=2, max_size=4).map(tuple)

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


@st.composite
def mark(draw):
    if draw(st.booleans()):
        return Mark("click", draw(counts), draw(counts), draw(counts), region=draw(st.integers(-1, 9)))
    corners = draw(points)
    widths = draw(st.lists(st.integers(1, 9), min_size=len(corners), max_size=len(corners)))
    return Mark("stroke", draw(counts), *corners[0], corners, tuple(widths))


same_folder = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


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


@same_folder
@given(cells=st.lists(st.lists(awkward, min_size=2, max_size=2), max_size=4))
def test_tables_are_what_pythons_reader_expects(tmp_path, cells):
    text = format_line(["x", "y"]) + "".join(map(format_line, cells))
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [["x", "y"], *cells]
    write_table(tmp_path / "t.csv", ["x", "y"], cells)
    assert (tmp_path / "t.csv").read_bytes() == text.encode()
    assert list(read_table(tmp_path / "t.csv", ["y", "x"])) == [(i, (y, x)) for i, (x, y) in enumerate(cells, start=2)]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_that_a_spreadsheet_would_run(text):
    assert text_cell(text) == f"'{text}" and read_text_cell(f"'{text}") == text
    for plain in ("a=1", "'quoted'", "", -1, -0.5, None, "'"):
        assert text_cell(plain) == plain
    for plain in ("a=1", "'quoted'", "", "-1", "'"):
        assert read_text_cell(plain) == plain


class TestMarks:
    @same_folder
    @given(images=st.lists(st.tuples(awkward, st.lists(mark(), min_size=1, max_size=3)), unique_by=lambda i: i[0]))
    @pytest.mark.parametrize("name", ["marks.csv", "marks.parquet"])
    def test_round_trip(self, tmp_path, images, name):
        write_marks(tmp_path / name, images)
        assert list(read_marks(tmp_path / name)) == images

    def test_images_without_marks_do_not_occur(self, tmp_path):
        write_marks(tmp_path / "marks.csv", [("a", []), ("b", [Mark("click", 0, 1, 2)])])
        assert list(read_marks(tmp_path / "marks.csv")) == [("b", [Mark("click", 0, 1, 2)])]
        assert (tmp_path / "marks.csv").read_bytes() == (
            b"image_id,mark,kind,class_id,row,col,width,region,points\nb,0,click,0,1,2,,,\n"
        )

    def test_equal_widths_are_written_once(self, tmp_path):
        strokes = [
            Mark("stroke", 1, 5, 6, ((5, 6), (7, 8)), (3, 3), 0),
            Mark("stroke", 1, 5, 6, ((5, 6), (7, 8)), (3, 5)),
        ]
        write_marks(tmp_path / "marks.csv", [("a", strokes)])
        lines = (tmp_path / "marks.csv").read_text().splitlines()[1:]
        assert lines == ["a,0,stroke,1,5,6,3,0,5 6;7 8", "a,1,stroke,1,5,6,3;5,,5 6;7 8"]

    def test_a_polygon_longer_than_the_readers_limit(self, tmp_path):
        long = Mark("polygon", 0, 0, 0, tuple((i, i) for i in range(20_000)))
        write_marks(tmp_path / "marks.csv", [("a", [long])])
        assert next(read_marks(tmp_path / "marks.csv")) == ("a", [long])

    def test_a_failure_leaves_no_file(self, tmp_path):
        def failing():
            yield "a", [Mark("click", 0, 1, 2)]
            raise RuntimeError

        for name in ("marks.csv", "marks.parquet"):
            with pytest.raises(RuntimeError):
                write_marks(tmp_path / name, failing())
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("a,0,click,x,1,2,,,", "row 2: invalid literal for int.*'x'"),
            ("a,0,click,0,1,2,,,1 2 3", "row 2: too many values"),
            ("a,0,click,0,1,2,,,1", "row 2: not enough values"),
            ("a,0,stroke,0,1,2,5;5;3,,1 2;3 4", "row 2: 2 points, but 3 widths"),
            ("a,0,click,0,1", "row 2: expected 9 cells, got 5"),
            ('a,0,click,0,1,2,,,"1 2', "not a CSV table"),
        ],
    )
    def test_damaged_lines(self, tmp_path, line, message):
        (tmp_path / "marks.csv").write_text(",".join(MARK_COLUMNS) + f"\n{line}\n")
        with pytest.raises(ManifestError, match=message) as caught:
            list(read_marks(tmp_path / "marks.csv"))
        assert "marks.csv" in str(caught.value)

    def test_missing_file_and_column(self, tmp_path):
        with pytest.raises(ManifestError, match=r"marks.csv: no such file; the marks belong beside the manifest"):
            list(read_marks(tmp_path / "marks.csv"))
        (tmp_path / "marks.csv").write_text("image_id,mark\n")
        with pytest.raises(ManifestError, match="column kind, class_id, row, col, width, region, points missing"):
            list(read_marks(tmp_path / "marks.csv"))

    def test_damaged_parquet(self, tmp_path):
        (tmp_path / "marks.parquet").write_bytes(b"PAR1 no")
        with pytest.raises(ManifestError, match=r"marks.parquet: not a "):
            list(read_marks(tmp_path / "marks.parquet"))

    def test_parquet_without_pyarrow(self, tmp_path, monkeypatch):
        write_marks(tmp_path / "marks.parquet", [("a", [Mark("click", 0, 1, 2)])])
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        with pytest.raises(ManifestError, match=r"pip install 'sparsekit-agmm\[parquet\]'"):
            list(read_marks(tmp_path / "marks.parquet"))

    @pytest.mark.parametrize("name", ["marks.csv", "marks.parquet"])
    def test_a_manifest_knows_its_marks(self, tmp_path, name):
        """Their hash in ``manifest.json`` is that of ``marks.csv``, also of parquet and of what a spreadsheet saved."""
        images = [("a", [Mark("click", 0, 1, 2), Mark("stroke", 1, 0, 0, ((0, 0), (2, 3)), (1, 1), 4)])]
        write_marks(tmp_path / "text/marks.csv", images)
        expected = hashlib.sha256((tmp_path / "text/marks.csv").read_bytes()).hexdigest()
        write_marks(tmp_path / name, images)
        write_manifest(Manifest(tmp_path / "manifest.csv", (ManifestRow("a", "train", "a.png", "", "", 4, 6),), INFO))
        assert json.loads((tmp_path / "manifest.json").read_text())["marks_sha256"] == expected
        manifest = read_manifest(tmp_path)
        assert manifest.marks_sha256 == expected and list(read_marks_of(manifest)) == images
        (tmp_path / name).unlink()
        assert not marks_fault(manifest)
        lines = (tmp_path / "text/marks.csv").read_text().splitlines()
        (tmp_path / "marks.csv").write_bytes(
            b"\xef\xbb\xbf" + "".join(f"{line},{i}\r\n" for i, line in enumerate(lines)).encode()
        )
        assert list(read_marks_of(manifest)) == images
        write_marks(tmp_path / "marks.csv", [("a", [Mark("click", 0, 1, 3)])])
        with pytest.raises(ManifestError, match=r"marks.csv: the marks have changed since the manifest was written"):
            read_marks_of(manifest)
        assert any("have changed" in problem.message for problem in check_manifest(manifest, pixels=False))
        change_json(tmp_path / "manifest.csv", marks_sha256=None)  # as of older versions
        assert list(read_marks_of(read_manifest(tmp_path))) == [("a", [Mark("click", 0, 1, 3)])]

    def test_without_marks_the_json_is_as_before(self, tmp_path):
        write_manifest(Manifest(tmp_path / "manifest.csv", (ManifestRow("a", "train", "a.png", "", "", 4, 6),), INFO))
        assert (tmp_path / "manifest.json").read_text() == info_to_json(INFO)
        assert "marks_sha256" not in (tmp_path / "manifest.json").read_text()

    def test_many_rows_of_parquet_keep_their_order(self, tmp_path, monkeypatch):
        monkeypatch.setattr(marks_io, "_PARQUET_BATCH", 7)
        images = [(f"{i:03}", [Mark("click", i, i, j) for j in range(3)]) for i in range(50)]
        write_marks(tmp_path / "marks.parquet", images)
        assert list(read_marks(tmp_path / "marks.parquet")) == images


@pytest.fixture
def manifest(tmp_path):
    rows = tuple(ManifestRow(name, "train", f"{name}.png", "", "", 4, 6) for name in "abc")
    write_manifest(Manifest(tmp_path / "manifest.csv", rows, INFO))
    return tmp_path / "manifest.csv"


def change_json(path, **changes):
    path = path.with_suffix(".json")
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


class TestDamagedManifest:
    def test_missing(self, tmp_path):
        with pytest.raises(ManifestError, match=r"x.csv: no such manifest. `sparsekit points DATASET` makes one"):
            read_manifest(tmp_path / "x.csv")
        with pytest.raises(ManifestError, match=r"manifest.csv: no such manifest"):
            read_manifest(tmp_path)

    def test_the_json_is_not_the_manifest(self, manifest):
        with pytest.raises(ManifestError, match=r"manifest.json: .*Give the .csv"):
            read_manifest(manifest.with_suffix(".json"))

    def test_without_json(self, manifest):
        manifest.with_suffix(".json").unlink()
        with pytest.raises(ManifestError, match=r"manifest.json: missing; a manifest.csv needs its manifest.json"):
            read_manifest(manifest)

    @pytest.mark.parametrize("column", MANIFEST_COLUMNS)
    def test_missing_column(self, manifest, column):
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        table.drop(columns=column).to_csv(manifest, index=False)
        with pytest.raises(ManifestError, match=rf"manifest.csv: column {column} missing; expected image_id, split"):
            read_manifest(manifest)

    @pytest.mark.parametrize(("separator", "called"), [(";", "';'"), ("\t", "tabs")], ids=["semicolon", "tab"])
    def test_other_separators(self, manifest, separator, called):
        """As spreadsheets of many languages write a table; with a column too few as well."""
        table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
        for shown in (table, table.drop(columns="split")):
            shown.to_csv(manifest, index=False, sep=separator, encoding="utf-8-sig")
            with pytest.raises(ManifestError, match=f"separated by {called}; expected commas") as caught:
                read_manifest(manifest)
            assert str(manifest) in str(caught.value) and "image_id" not in str(caught.value)

    @pytest.mark.parametrize(
        ("split", "message"), [("", "column split is empty"), ("Train", "'Train' \\(1\\), 'train'")]
    )
    def test_splits_that_would_leave_images_out(self, manifest, split, message):
        lines = manifest.read_text().splitlines()
        lines[2] = lines[2].replace("b,train,", f"b,{split},")
        manifest.write_text("\n".join(lines) + "\n")
        with pytest.raises(ManifestError, match=message):
            read_manifest(manifest)
        sound, _ = load_manifest(manifest)
        with pytest.raises(ManifestError, match=message):
            write_manifest(sound)

    def test_every_bad_row_is_named(self, manifest):
        lines = manifest.read_text().splitlines()
        lines[1] = lines[1].replace(",4,6,", ",four,6,")
        lines[3] = lines[3].replace(",4,6,0,,", ",4,6,0,1 x,")
        lines += [lines[2], lines[2]]
        manifest.write_text("\n".join(lines) + "\n")
        with pytest.raises(ManifestError) as caught:
            read_manifest(manifest)
        assert [line.split("manifest.csv, ")[1] for line in str(caught.value).splitlines()] == [
            "row 2 ('a'): invalid literal for int() with base 10: 'four'.",
            "row 4 ('c'): invalid literal for int() with base 10: 'x'.",
            "row 5: image_id 'b' occurs twice.",
            "row 6: image_id 'b' occurs twice.",
        ]
        sound, problems = load_manifest(manifest)
        assert [row.image_id for row in sound.rows] == ["b"] and len(problems) == 4

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            ("0,6,0,", "height and width must be at least 1, got 0 and 6"),
            ("4,-6,0,", "height and width must be at least 1, got 4 and -6"),
            ("4,6,1,0 11", "classes_labelled must lie between 0 and 10, got 0 11"),
            ("4,6,1,-1", "classes_labelled must lie between 0 and 10, got -1"),
        ],
        ids=["height", "width", "class", "negative class"],
    )
    def test_rows_that_cannot_be(self, manifest, cells, message):
        manifest.write_text(manifest.read_text() + f"d,train,d.png,,,{cells},,\n")
        with pytest.raises(ManifestError, match=rf"manifest.csv, image 'd': {message}\.$"):
            read_manifest(manifest)
        assert not load_manifest(manifest)[1]  # `validate` tells of them with all the others

    @pytest.mark.parametrize("name", ["../d", "/d", "C:/d", "a\\..\\..\\d", "a//d", "a/./d", "a/nul.x", "d\0", "d\x1b"])
    @pytest.mark.parametrize("column", ["image_id", "split"])
    def test_names_that_are_not_plain(self, manifest, column, name):
        id_, split = (name, "train") if column == "image_id" else ("d", name)
        manifest.write_text(manifest.read_text() + f"{id_},{split},d.png,,,4,6,0,,,\n")
        with pytest.raises(ManifestError, match=f"image .*: {column} .* is not a plain name"):
            read_manifest(manifest)
        sound, problems = load_manifest(manifest)
        assert len(sound.rows) == 4 and not problems  # `validate` tells of them with all the others
        assert [p.kind for p in check_manifest(sound, pixels=False) if column in p.message] == ["row"]
        with pytest.raises(ManifestError, match=column):
            write_manifest(replace(sound, path=manifest.with_name("again.csv")))
        assert not manifest.with_name("again.csv").exists() and not manifest.with_name("again.json").exists()

    def test_a_split_is_one_folder_and_an_id_may_be_several(self, manifest):
        manifest.write_text(manifest.read_text() + "train/d,train,d.png,,,4,6,0,,,\n")
        assert read_manifest(manifest).rows[-1].image_id == "train/d"
        manifest.write_text(manifest.read_text().replace("train/d,train", "d,train/x"))
        with pytest.raises(ManifestError, match="split 'train/x' is not a plain name"):
            read_manifest(manifest)

    def test_empty_lines_are_passed_over(self, manifest):
        expected = read_manifest(manifest).rows
        manifest.write_text(manifest.read_text().replace("\n", "\n\n"))
        assert read_manifest(manifest).rows == expected

    def test_more_than_ten_bad_rows_are_counted(self, manifest):
        manifest.write_text(manifest.read_text() + "d,train,d.png,,,x,6,0,,,\n" * 25)
        with pytest.raises(ManifestError, match="and 15 more"):
            read_manifest(manifest)

    def test_cut_off(self, manifest):
        manifest.write_bytes(manifest.read_bytes()[:-8])
        with pytest.raises(ManifestError, match=r"row 4: expected 11 cells, got \d+; is the file truncated"):
            read_manifest(manifest)

    @pytest.mark.parametrize(
        "data", [b"", b"\xff\xfe", b"\x89PNG\r\n\x1a\n\0\0"], ids=["empty", "no UTF-8", "an image"]
    )
    def test_no_table(self, manifest, data):
        manifest.write_bytes(data)
        with pytest.raises(ManifestError, match=r"manifest.csv: (column image_id, .* missing|not a CSV table)"):
            read_manifest(manifest)

    def test_newer_version(self, manifest):
        change_json(manifest, schema_version=99, tool_version="7.1")
        with pytest.raises(ManifestError, match=r"schema version 99 is newer than 1.*Upgrade sparsekit.*version 7.1"):
            read_manifest(manifest)

    def test_older_versions_are_migrated_step_by_step(self, manifest, monkeypatch):
        change_json(manifest, dataset=None, old_name="streets")
        monkeypatch.setattr(manifest_io, "SCHEMA_VERSION", 3)
        manifest.write_text(manifest.read_text().replace("image_id,", "frame,", 1))

        def second(files):
            """Both files are seen: the JSON names a column, whose cells change."""
            records = ((number, [cells[0].upper(), *cells[1:]]) for number, cells in files.records)
            header = ["image_id" if name == files.description["key"] else name for name in files.header]
            description = files.description | {"dataset": files.description["middle_name"]}
            return replace(files, description=description, header=header, records=records)

        steps = {
            1: lambda files: replace(
                files, description=files.description | {"middle_name": files.description["old_name"], "key": "frame"}
            ),
            2: second,
        }
        monkeypatch.setattr(manifest_io, "_MIGRATIONS", steps)
        read = read_manifest(manifest)
        assert read.info.dataset == "streets" and [row.image_id for row in read.rows] == ["A", "B", "C"]

    @pytest.mark.parametrize("name", ["image", "note"])
    def test_a_column_twice(self, manifest, name):
        lines = manifest.read_text().splitlines()
        manifest.write_text(
            "".join(f"{line},{name if i == 0 else 'x'},{name if i == 0 else 'y'}\n" for i, line in enumerate(lines))
        )
        with pytest.raises(ManifestError, match=f"column '{name}' occurs twice"):
            read_manifest(manifest)

    @pytest.mark.parametrize(
        "changes",
        [
            {"schema_version": "two"},
            {"schema_version": None},
            {"schema_version": 0},
            {"schema_version": -1},
            {"schema_version": float("inf")},
            {"mask_encoding": "colours"},
            {"label_space": {"classes": []}},
            {"label_space": None},
            {"settings": 3},
            {"settings": {"seed": float("nan")}},
            {"dataset": "half a letter: \ud800"},
        ],
        ids=str,
    )
    def test_damaged_json(self, manifest, changes):
        change_json(manifest, **changes)
        with pytest.raises(ManifestError, match=r"manifest.json: (damaged|mask_encoding must be)"):
            read_manifest(manifest)

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", "3", "[" * 100_000], ids=["empty", "open", "list", "number", "deep"]
    )
    def test_no_json(self, manifest, text):
        manifest.with_suffix(".json").write_text(text)
        with pytest.raises(ManifestError, match=r"manifest.json: damaged"):
            read_manifest(manifest)


class TestManifest:
    def test_rows_of(self, manifest):
        read = read_manifest(manifest)
        assert [row.image_id for row in read.rows_of("train")] == ["a", "b", "c"]
        with pytest.raises(ManifestError, match=r"split 'val' has no rows. Splits of this manifest: train \(3\)"):
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
