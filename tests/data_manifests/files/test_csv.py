"""Tables: what is written is what Python's own reader and a spreadsheet expect."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_manifests.files.csv import format_line, read_table, read_text_cell, text_cell, write_table
from tests.helpers.awkward_text import awkward

same_folder = settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


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
