"""Figures put together from images."""

from __future__ import annotations

import builtins
import re
import sys
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_manifests import known_label_space
from data_manifests.figures.drawing import Image
from data_manifests.figures.style import font_path, wrap
from sparsekit.errors import AnnotationError
from sparsekit.figures.sheets import Grid, Sheet, Text, _font, lay_out, shorten, shrink

LEGEND = [(c.name, c.color) for c in known_label_space("cityscapes").classes]


def grey(height: int, width: int, value: int = 100) -> Image:
    return np.full((height, width, 3), value, np.uint8)


def text_boxes(sheet: Sheet) -> list[tuple[float, float, float, float]]:
    boxes = []
    for text in sheet.texts:
        anchor = "ms" if text.centered else "ls"
        left, top, right, bottom = _font(text.size).getbbox(text.text, anchor=anchor)
        boxes.append((text.x + left, text.y + top, text.x + right, text.y + bottom))
    return boxes


@settings(max_examples=40)
@given(
    num_groups=st.integers(1, 7), rows=st.integers(1, 3), columns=st.integers(1, 3), panels=st.integers(1, 4),
    height=st.integers(1, 120), width=st.integers(1, 300), max_width=st.integers(200, 900),
    num_classes=st.integers(0, 19), names=st.booleans(),
)  # fmt: skip
def test_nothing_overlaps_or_leaves_the_sheet(
    num_groups: int, rows: int, columns: int, panels: int, height: int, width: int, max_width: int, num_classes: int,
    names: bool,
) -> None:  # fmt: skip
    grid = Grid(rows, columns, panels, max_width)
    num_groups = min(num_groups, grid.num_groups)
    room_width = grid.panel_width(width)
    group = [shrink(grey(height, width), (height, room_width))] * panels
    sheet = lay_out(
        [group] * num_groups, grid, room_width, captions=[f"{20 * i} clicks" for i in range(panels)],
        names=[f"aachen_000000_{i:06}" for i in range(num_groups)] if names else (), legend=LEGEND[:num_classes],
    )  # fmt: skip
    assert sheet.width <= max(max_width, 320)
    image = sheet.to_image()
    assert image.shape == (sheet.height, sheet.width, 3)
    boxes = [(x, y, x + p.shape[1], y + p.shape[0]) for x, y, p in sheet.images] + text_boxes(sheet)
    boxes += [(d.x - d.size / 2, d.y - d.size / 2, d.x + d.size / 2, d.y + d.size / 2) for d in sheet.dots]
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert left >= -1 and top >= 0 and right <= sheet.width + 1 and bottom <= sheet.height
        for other in boxes[:i]:
            apart = right <= other[0] + 1 or other[2] <= left + 1 or bottom <= other[1] or other[3] <= top
            assert apart, (boxes[i], other)


def test_single_image_keeps_its_pixels() -> None:
    shown = np.random.default_rng(0).integers(0, 256, (300, 600, 3), np.uint8)
    grid = Grid(1, 1, 1, 2048)
    sheet = lay_out([[shrink(shown, (300, grid.panel_width(600)))]], grid, 600, legend=LEGEND[:3])
    assert np.array_equal(sheet.to_image()[:300, :600], shown)


def test_shrink_averages_areas() -> None:
    shown = grey(40, 80, 0)
    shown[::2] = 200
    small = shrink(shown, (20, 40))
    assert small.shape == (20, 40, 3) and (small == 100).all()
    assert shrink(shown, (40, 80)) is shown
    assert shrink(grey(3, 900), (100, 90)).shape == (1, 90, 3)


def test_no_room_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"max_width of 100 leaves 1 pixel for each of 20 images .* --max-width"):
        Grid(1, 10, 2, 100).panel_width(500)


def test_long_names_lose_their_middle() -> None:
    assert shorten("road", 20, 100) == "road"
    short = shorten("a very long name of a class that nobody can read", 20, 120)
    assert short.startswith("a v") and short.endswith("ead") and "…" in short
    assert shorten("two\nlines", 20, 500) == "two lines"
    assert shorten("wide", 20, 1) == "…"


@given(text=st.text("ilmW .", max_size=30).map(str.strip), width=st.integers(0, 300))
def test_as_many_letters_stay_as_fit(text: str, width: int) -> None:
    text = " ".join(text.split())
    font = _font(20)
    shorter = [text[: n - n // 2] + "…" + text[len(text) - n // 2 :] for n in range(len(text))]
    fitting = [other for other in ["…", *shorter, text] if font.getlength(other) <= width]
    assert shorten(text, 20, width) == (fitting[-1] if fitting else "…")


def test_long_names_are_measured_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    class Font:
        def getlength(self, text: str) -> float:
            measured.append(text)
            return 10.0 * len(text)

    monkeypatch.setattr("sparsekit.figures.sheets._font", lambda size: Font())
    assert shorten("x" * 3000, 20, 55) == "xx…xx" and len(measured) < 20


def test_words_beyond_ascii_are_written() -> None:
    pytest.importorskip("matplotlib", reason="the font of Pillow has fewer letters than that of matplotlib")
    missing = bytes(_font(20).getmask("\uffff"))
    assert all(bytes(_font(20).getmask(letter)) != missing for letter in "éßşłλЖ…")


def test_without_matplotlib_the_font_is_that_of_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert font_path() is None and _font.__wrapped__(20).getname() == ("Aileron", "Regular")


def test_legend_fills_columns_evenly() -> None:
    sheet = lay_out([[grey(100, 900)]], Grid(1, 1, 1, 900), 900, legend=LEGEND)
    lines: dict[float, list[Text]] = {}
    for text in sheet.texts:
        lines.setdefault(text.y, []).append(text)
    counts = [len(line) for line in lines.values()]
    assert sum(counts) == 19 and len(set(counts[:-1])) == 1 and counts[0] - counts[-1] < len(counts)
    first, *others = lines.values()
    for line in others:
        assert [t.x for t in line] == [t.x for t in first[: len(line)]]


@pytest.mark.parametrize("panels", [1, 2, 6])
def test_captions_and_names_are_whole_on_as_many_lines_as_they_need(panels: int) -> None:
    captions = ["scribbles, 80 % length, one per instance", *[f"{n} clicks" for n in range(1, panels)]]
    name = "a_very_long_folder-name/with_parts/frankfurt_000001_005898_leftImg8bit_0123456789_0123456789" * 3
    grid = Grid(1, 1, panels, 600)
    room = grid.panel_width(500)
    sheet = lay_out([[grey(50, room)] * panels], grid, room, captions=captions, names=[name], legend=LEGEND[:2])
    lines = [text.text for text in sheet.texts]
    assert "…" not in "".join(lines)
    joined = "".join(lines).replace(" ", "")
    assert captions[0].replace(" ", "") in joined and name in joined
    assert all(box[0] >= -1 and box[2] <= sheet.width + 1 for box in text_boxes(sheet))


@given(text=st.text("ilmW -_/%", max_size=40), most=st.integers(1, 12))
def test_lines_hold_all_letters_and_fit(text: str, most: int) -> None:
    lines = wrap(text, lambda line: len(line) <= most)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert all(0 < len(line) <= most for line in lines)


def pdf_text_and_streams(data: bytes) -> bytes:
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.S)
    unpacked = []
    for stream in streams:
        try:
            unpacked.append(zlib.decompress(stream))
        except zlib.error:
            unpacked.append(stream)
    return b"\n".join(unpacked)


def test_pdf_has_vector_words_an_embedded_font_and_equal_bytes() -> None:
    sheet = lay_out([[grey(50, 100)]], Grid(1, 1, 1, 600), 100, captions=["$50 clicks"], legend=LEGEND[:2])
    data = sheet.to_pdf()
    assert data.startswith(b"%PDF-") and data == sheet.to_pdf()
    assert b"/FontFile2" in data and b"DejaVuSans" in data and b"CreationDate" not in data
    box = re.search(rb"/MediaBox \[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", data)
    assert box and float(box[1]) == pytest.approx(sheet.width * 72 / 300, abs=0.1)
    assert float(box[2]) == pytest.approx(sheet.height * 72 / 300, abs=0.1)
    assert len(re.findall(rb"\bT[jJ]\b", pdf_text_and_streams(data))) >= 3


def test_pdf_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(AnnotationError, match=re.escape("pip install 'sparsekit-agmm[figures]'")):
        Sheet(100, 100).to_pdf()
