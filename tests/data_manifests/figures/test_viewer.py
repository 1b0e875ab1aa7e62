"""The viewer's page; most of what it does in a browser is tested with the gallery."""

from __future__ import annotations

import base64
import builtins
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import DataError, LabelClass, LabelSpace
from data_manifests.figures.viewer import ImageSeries, Layer, Viewer, ViewerImage, build_viewer_page, image_uri
from tests.helpers.browser import browser

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"
SPACE = LabelSpace("two", (LabelClass("road", (1, 2, 3), (0,)), LabelClass(EVIL, (4, 5, 6), (1,))))


def viewer(name: str = "one") -> Viewer:
    series = ImageSeries({"marks": image_uri(np.zeros((2, 3, 4), np.uint8), lossless=True)}, (1,), {EVIL: 4, "b": 1})
    return Viewer((EVIL,), (Layer("marks"), Layer(EVIL, veil=True)), (ViewerImage(name, EVIL, 3, 2, (series,)),), SPACE)


class Outline(HTMLParser):
    """Tags and attributes of a page, and the text of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


def test_names_from_files_are_escaped_everywhere(tmp_path: Path) -> None:
    template = tmp_path / "evil.html"
    template.write_text(
        "{% extends 'page.html' %}{% block summary %}<p title='{{ words }}'>{{ words }}</p>{% endblock %}"
    )
    page = build_viewer_page(viewer(EVIL), title=EVIL, subtitle=EVIL, template=template, words=EVIL)
    outline = Outline(page)
    assert outline.tags.count("script") == 2 and "img" not in outline.tags and "onerror" not in outline.attributes
    data = json.loads(outline.scripts[0])
    assert data["images"][0]["name"] == EVIL and data["classes"][1] == {"name": EVIL, "color": [4, 5, 6]}
    assert list(data["images"][0]["series"][0]["numbers"]) == [EVIL, "b"]  # the order given, not the alphabet's


def test_page_loads_nothing() -> None:
    page = build_viewer_page(viewer(), title="t")
    assert "default-src 'none'" in page
    assert Outline(page).addresses == ["#viewer-grid"]
    assert not re.findall(r"https?://|@import|url\(", page)


def test_equal_input_gives_equal_pages() -> None:
    assert build_viewer_page(viewer(), title="t") == build_viewer_page(viewer(), title="t")


def test_orders_of_scores_and_counts(tmp_path: Path) -> None:
    numbers = {"a": (10.5, 30), "b": (20, 15), "c": (15, None), "d": (None, 90), "e": (25, 25)}

    def series(score: float | None) -> ImageSeries:
        return ImageSeries(numbers={"marks": 3} | ({} if score is None else {"IoU": score}))

    images = tuple(ViewerImage(name, "val", 3, 2, tuple(map(series, scores))) for name, scores in numbers.items())
    page = build_viewer_page(Viewer(("left", "right"), (), images, SPACE, scores=("IoU",)), title="t")
    (tmp_path / "p.html").write_text(page)
    with browser() as tab:
        tab.open(tmp_path / "p.html")
        options = dict(
            tab.run("[...document.querySelector('[aria-label=Order]').options].map((o) => [o.textContent, o.value])")
        )
        names = {}
        for words, value in options.items():
            tab.run(
                "(() => { const order = document.querySelector('[aria-label=Order]');"
                f"order.value = '{value}'; order.dispatchEvent(new Event('change')); }})()"
            )
            found = tab.run("[...document.querySelectorAll('.grid figcaption')].map((c) => c.firstChild.textContent)")
            names[words] = "".join(found)
        order = "document.querySelector('[aria-label=Order]')"
        tab.run(f"(() => {{ {order}.selectedIndex = 0; {order}.dispatchEvent(new Event('change')); }})()")
        facts = tab.run("[...document.querySelectorAll('.grid figcaption span')].map((s) => s.textContent)")
        assert tab.errors == []
    # scores have one digit after the point, whole ones too; counts have none
    assert facts[:2] == ["val · 3 | 3 marks · 10.5 | 30.0 IoU", "val · 3 | 3 marks · 20.0 | 15.0 IoU"]
    # what has no number comes last, in the order given
    assert names == {
        "As listed": "abcde", "marks, most first": "abcde", "marks, fewest first": "abcde",
        "IoU, highest first": "ebcad", "IoU, lowest first": "acbed",
        "IoU, right side ahead first": "aebcd", "IoU, left side ahead first": "beacd",
    }  # fmt: skip


@pytest.mark.parametrize("channels", [3, 4])
def test_lossless_image_keeps_every_pixel(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 9, channels), np.uint8)
    if channels == 4:
        pixels[..., 3] |= 1  # of pixels that nobody can see the colour is not kept
    uri = image_uri(pixels, lossless=True)
    header, data = uri.split(",")
    assert header == "data:image/webp;base64"
    decoded = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB" if channels == 3 else "RGBA")
    assert np.array_equal(np.asarray(decoded), pixels)


def test_lossy_image_is_smaller_and_close() -> None:
    ramp = np.linspace(0, 255, 200 * 300).reshape(200, 300, 1).repeat(3, 2)
    pixels = (ramp + np.random.default_rng(0).normal(0, 4, ramp.shape)).clip(0, 255).astype(np.uint8)
    uri = image_uri(pixels)
    assert len(uri) < len(image_uri(pixels, lossless=True)) / 4
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))))
    assert np.abs(decoded.astype(int) - pixels).mean() < 6


def test_without_jinja_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "jinja2":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=re.escape("HTML pages need Jinja2: pip install 'sparsekit-agmm[figures]'.")):
        build_viewer_page(viewer(), title="t")
