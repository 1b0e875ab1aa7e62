"""What notebooks show for datasets and manifests."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from PIL import Image

from data_manifests import LabelClass, LabelSpace, Mark, open_dataset
from data_manifests.figures.notebook import Line, fragment
from data_manifests.files.atomic import write_atomically
from data_manifests.files.images import encode_image
from data_manifests.files.masks import encode_label_map
from tests.sparsekit.conftest import SCENE, numbered_space, tiny_manifest

EVIL = "<img src=x onerror=alert(1)>"
SPACE = LabelSpace("evil", (LabelClass("road", (128, 64, 128), (0,)), LabelClass(EVIL, (220, 220, 0), (1,))))


class Parsed(HTMLParser):
    """Names of the elements, those left open, and the images of a fragment."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: list[str] = []
        self.images: list[np.ndarray] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag != "img":
            self.open.append(tag)
            return
        data = base64.b64decode((dict(attrs)["src"] or "").partition(",")[2])
        self.images.append(np.asarray(Image.open(io.BytesIO(data))))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_manifest_shows_splits_images_with_marks_and_classes(tmp_path: Path) -> None:
    mask = np.zeros((400, 600), np.uint8)
    mask[:, 300:] = 1
    marks = [Mark("click", 1, 200, 450)]
    manifest = tiny_manifest(tmp_path / "m", [mask] * 7, marks=[marks] * 7, num_val=2, label_space=SPACE)
    info = replace(manifest.info, settings={"clicks_per_image": 1})
    html = replace(manifest, info=info)._repr_html_()
    parsed = Parsed(html)
    assert not parsed.open and set(parsed.names) <= {"div", "b", "img", "figure", "small", "table", "tr", "td"}
    assert "7 images: train 5, val 2" in html and "5 images annotated: 1 click" in html
    assert [image.shape for image in parsed.images] == [(128, 192, 3)] * 4
    clicked = parsed.images[0][64, 144].astype(int)
    assert np.abs(clicked - SPACE.classes[1].color).max() < 40
    assert EVIL not in html and "&lt;img src=x" in html and "5 images</td>" in html and "0 images</td>" in html
    assert len(html) < 60_000


def test_what_cannot_be_read_or_must_not_be_opened_is_said(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 2)
    manifest.resolve(manifest.rows[0].image).unlink()
    html = manifest._repr_html_()
    assert "no such file" in html and len(Parsed(html).images) == 1
    web = replace(manifest, rows=tuple(replace(row, image="https://evil.example/a.png") for row in manifest.rows))
    html = web._repr_html_()
    assert "https://evil.example" in html and not Parsed(html).images
    assert "0 images" in replace(manifest, rows=())._repr_html_()


def test_a_dataset_shows_images_under_their_masks(tmp_path: Path) -> None:
    space = numbered_space(3)
    for i in range(6):
        write_atomically(tmp_path / f"mine/images/{i}.png", encode_image(np.full((8, 8, 3), 100, np.uint8)))
        write_atomically(tmp_path / f"mine/masks/{i}.png", encode_label_map(SCENE, space))
    html = open_dataset(tmp_path / "mine", label_space=space)._repr_html_()
    parsed = Parsed(html)
    assert not parsed.open and "6 images" in html and "class_2" in html
    assert [image.shape for image in parsed.images] == [(192, 192, 3)] * 4
    expected = (100 + np.array(space.classes[1].color)) / 2
    assert np.abs(parsed.images[0][150, 100] - expected).max() < 12


def test_size_is_bounded(tmp_path: Path) -> None:
    lines = [Line("n" * 5000, 2.0 if i else float("nan"), "t" * 5000) for i in range(900)]
    html = fragment("t" * 9000, ["f" * 90_000, ""], lines)
    assert "and 876 more" in html and len(html) < 20_000
    assert re.findall(r"width:([\d.]+)%", html)[:2] == ["0.0", "100.0"]
