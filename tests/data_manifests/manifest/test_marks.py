"""Marks: round trips to the byte, and what is wrong with a damaged table of them."""

from __future__ import annotations

import hashlib
import json
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests import (
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
from data_manifests.manifest import marks as marks_io
from data_manifests.manifest.io import info_to_json
from data_manifests.manifest.marks import marks_fault, read_marks_of
from data_manifests.manifest.validate import check_manifest
from tests.helpers.awkward_text import awkward

INFO = ManifestInfo(known_label_space("camvid"), command="points", settings={"seed": 0, "clicks_per_image": 2})

counts = st.integers(0, 10**6)
points = st.lists(st.tuples(counts, counts), min_size=2, max_size=4).map(tuple)


@st.composite
def mark(draw):
    if draw(st.booleans()):
        return Mark("click", draw(counts), draw(counts), draw(counts), region=draw(st.integers(-1, 9)))
    corners = draw(points)
    widths = draw(st.lists(st.integers(1, 9), min_size=len(corners), max_size=len(corners)))
    return Mark("stroke", draw(counts), *corners[0], corners, tuple(widths))


same_folder = settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


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
        info = json.loads((tmp_path / "manifest.json").read_text())
        del info["marks_sha256"]  # as of older versions
        (tmp_path / "manifest.json").write_text(json.dumps(info))
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
