"""The page of annotations, as a file and in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data_manifests import LabelClass, LabelSpace, Manifest, ManifestError, Mark, write_manifest
from data_manifests.files.images import read_image
from sparsekit.errors import AnnotationError
from sparsekit.figures.gallery import choose_images, is_gallery_there, write_gallery
from sparsekit.figures.overlay import draw_marks
from tests.helpers.browser import Page, browser
from tests.sparsekit.conftest import SCENE, tiny_manifest

EVIL = "<img src=x onerror=alert(1)>"
SPACE = LabelSpace(
    "evil",
    (
        LabelClass("road", (128, 64, 128), (0,)),
        LabelClass(EVIL, (220, 220, 0), (1,)),
        LabelClass("sky", (70, 130, 180), (2,)),
    ),
)


def page_data(path: Path) -> dict[str, Any]:
    found = re.search(r'id="viewer-data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA"))


def gallery(manifests: list[Manifest], path: Path, limit: int | None = None, **kwargs: Any) -> dict[str, Any]:
    write_gallery(choose_images(manifests, limit=limit), path, **kwargs)
    return page_data(path)


def test_layers_hold_image_mask_and_marks(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    (shown,) = gallery([manifest], tmp_path / "g.html", dot_size=3)["images"]
    image = read_image(manifest.resolve(manifest.rows[0].image))
    assert np.abs(pixels(shown["shared"]["image"])[..., :3].astype(int) - image).mean() < 25
    mask = pixels(shown["shared"]["full mask"])
    labelled = SCENE != 255
    assert np.array_equal(mask[labelled][:, :3], manifest.label_space.palette[SCENE[labelled]])
    assert np.array_equal(mask[..., 3] > 0, labelled)
    marks = pixels(shown["series"][0]["layers"]["marks"])
    assert tuple(marks[0, 0]) == (*manifest.label_space.classes[0].color, 255) and marks[7, 7, 3] == 0


def test_marks_over_the_image_look_as_in_a_figure(tmp_path: Path) -> None:
    mask = np.zeros((60, 90), np.uint8)
    marks = [Mark("click", 0, 20, 30), Mark("click", 2, 50, 89)]
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=[marks])
    (shown,) = gallery([manifest], tmp_path / "g.html", dot_size=21)["images"]
    layer = pixels(shown["series"][0]["layers"]["marks"]).astype(float)
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    opacity = layer[..., 3:] / 255
    over = image * (1 - opacity) + layer[..., :3] * opacity
    assert np.abs(over - draw_marks(image, marks, manifest.label_space, dot_size=21)).max() <= 2


def test_numbers_classes_and_totals(tmp_path: Path) -> None:
    few = tiny_manifest(tmp_path / "few", [SCENE, SCENE.T])
    more = tiny_manifest(tmp_path / "more", [SCENE, SCENE.T], marks=[[Mark("click", 2, 5, 6)], []])
    data = gallery([few, more], tmp_path / "g.html")
    assert data["series"] == ["few", "more"]
    numbers = [[series["numbers"] for series in shown["series"]] for shown in data["images"]]
    assert numbers == [
        [{"marks": 2, "labelled pixels": 2}, {"marks": 1, "labelled pixels": 1}],
        [{"marks": 2, "labelled pixels": 2}, {"marks": 0, "labelled pixels": 0}],
    ]
    assert [series["classes"] for series in data["images"][0]["series"]] == [[0, 1], [2]]
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", (tmp_path / "g.html").read_text()))
    # manifest, images, marks, per image, labelled pixels, share of 128 pixels, classes with labels
    assert " few 2 4 2.0 4 3.1 % 2 of 3 " in text and " more 2 1 0.5 1 0.78 % 1 of 3 " in text
    # class, then images and marks in each manifest
    assert " class_0 2 2 0 0 " in text and " class_2 0 0 1 1 " in text


def test_limit_spreads_over_all_images(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 9)
    data = gallery([manifest], tmp_path / "g.html", limit=3)
    assert [shown["name"] for shown in data["images"]] == ["image_0", "image_3", "image_6"]
    text = (tmp_path / "g.html").read_text()
    assert "3 of 9 images, spread evenly; the statistics count all of them." in text and "<td>18</td>" in text


def test_missing_files_leave_a_note_and_the_rest(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 2)
    manifest.resolve(manifest.rows[0].image).unlink()
    manifest.resolve(manifest.rows[1].full_mask).write_bytes(b"damaged")
    summary = write_gallery(choose_images([manifest]), tmp_path / "g.html")
    assert len(summary.problems) == 2 and "image_0.png: no such file" in summary.problems[0]
    first, second = page_data(tmp_path / "g.html")["images"]
    assert "no such file" in first["note"] and set(first["shared"]) == {"full mask"}
    assert "is not an image" in second["note"] and set(second["shared"]) == {"image"}
    assert not is_gallery_there(choose_images([manifest]), tmp_path / "g.html")  # nor is the page taken for a whole one
    other = tiny_manifest(tmp_path / "other", [SCENE.T] * 2)
    with pytest.raises(AnnotationError, match="Give --overwrite"):  # but a page of other annotations stays
        is_gallery_there(choose_images([other]), tmp_path / "g.html")


def test_a_mended_folder_is_shown_and_a_swapped_image_is_not_kept(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE] * 2)
    path = manifest.resolve(manifest.rows[0].image)
    image = path.read_bytes()
    path.unlink()
    write_gallery(choose_images([manifest]), tmp_path / "g.html")
    path.write_bytes(image)
    assert not is_gallery_there(choose_images([manifest]), tmp_path / "g.html")
    assert not write_gallery(choose_images([manifest]), tmp_path / "g.html").problems
    assert is_gallery_there(choose_images([manifest]), tmp_path / "g.html")
    Image.new("RGB", (8, 8), (1, 2, 3)).save(path)
    with pytest.raises(AnnotationError, match="not made from these images"):
        is_gallery_there(choose_images([manifest]), tmp_path / "g.html")


def test_manifest_without_marks_file(tmp_path: Path) -> None:
    manifest = tiny_manifest(tmp_path / "m", [SCENE])
    manifest.marks_path.unlink()
    (shown,) = gallery([manifest], tmp_path / "g.html")["images"]
    assert shown["series"][0]["numbers"] == {"labelled pixels": 2} and "marks" in shown["series"][0]["layers"]
    assert "not known" in (tmp_path / "g.html").read_text()


def test_thumbnails_are_made_smaller(tmp_path: Path) -> None:
    mask = np.zeros((100, 200), np.uint8)
    manifest = tiny_manifest(tmp_path / "m", [mask], marks=[[Mark("click", 0, 50, 100)]])
    (shown,) = gallery([manifest], tmp_path / "g.html", thumbnail_size=50)["images"]
    uris = [*shown["shared"].values(), *shown["series"][0]["layers"].values()]
    assert [pixels(uri).shape[:2] for uri in uris] == [(25, 50)] * 3
    assert (shown["height"], shown["width"]) == (100, 200)


def test_what_does_not_belong_together(tmp_path: Path) -> None:
    first, second = tiny_manifest(tmp_path / "a"), tiny_manifest(tmp_path / "b")
    second = replace(second, rows=(replace(second.rows[0], image_id="other"),))
    with pytest.raises(AnnotationError, match="have no image in common"):
        choose_images([first, second])
    with pytest.raises(ManifestError, match="split 'val' has no rows"):
        choose_images([first], split="val")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A gallery of two manifests with hostile names, opened from disk; image_1 has no image."""
    folder = tmp_path_factory.mktemp("gallery")
    few = tiny_manifest(folder / "few", [SCENE] * 6, label_space=SPACE)
    marks = [[Mark("click", 2, 5, 6)] * (i + 1) for i in range(6)]
    more = tiny_manifest(folder / "more", [SCENE] * 6, marks=marks, label_space=SPACE)
    rows = [replace(row, split="val" if i > 3 else "train") for i, row in enumerate(few.rows)]
    rows[0] = replace(rows[0], image_id=f"image_0{EVIL}")
    few = replace(few, rows=tuple(rows), info=replace(few.info, dataset=EVIL))
    more = replace(more, rows=tuple(replace(m, image_id=f.image_id) for m, f in zip(more.rows, rows, strict=True)))
    for manifest in (few, more):
        write_manifest(manifest)
    few.resolve(few.rows[1].image).unlink()
    write_gallery(choose_images([few, more]), folder / "gallery.html")
    with browser() as page:
        page.open(folder / "gallery.html")
        page.settle()
        yield page
        assert page.errors == []
        assert [address for address in page.requests if not address.startswith("data:")] == [
            (folder / "gallery.html").as_uri()
        ]


def names(page: Page) -> list[str]:
    return page.run("[...document.querySelectorAll('figcaption')].map((c) => c.firstChild.textContent)")  # type: ignore[no-any-return]


def choose(page: Page, label: str, value: str) -> None:
    event = "change" if label in ("Split", "Class", "Order", "Left side", "Right side") else "input"
    page.run(
        f"""(() => {{ const control = document.querySelector('#viewer-toolbar [aria-label="{label}"]');
        control.value = {json.dumps(value)}; control.dispatchEvent(new Event('{event}')); }})()"""
    )


def visible(page: Page, layer: int) -> int:
    return int(page.run(f"document.querySelectorAll('#viewer-grid img[data-layer=\"{layer}\"]:not([hidden])').length"))


def farthest(one: bytes, other: bytes) -> int:
    """Largest difference between two screenshots in any channel."""
    first, second = (np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"), np.int16) for shot in (one, other))
    return int(np.abs(first - second).max())


def test_page_opens_with_everything_escaped(opened: Page) -> None:
    assert opened.run("document.querySelector('h1').textContent") == f"Annotations of {EVIL}"
    assert f"image_0{EVIL}" in names(opened) and len(names(opened)) == 6
    assert opened.run("document.querySelectorAll('img[src=x]').length") == 0
    assert opened.run("[...document.images].every((i) => i.complete && i.naturalWidth === 8)")
    assert "image_1.png: no such file" in opened.run("document.querySelector('.missing').textContent")


def test_layers_switch_by_mouse_and_key(opened: Page) -> None:
    assert (visible(opened, 0), visible(opened, 1), visible(opened, 2)) == (10, 0, 12)
    before = opened.screenshot()
    opened.run("document.querySelector('[data-layer-switch=\"1\"]').click()")
    opened.settle()
    assert visible(opened, 1) == 12 and farthest(opened.screenshot(), before) > 40
    opened.press("2", 50)
    opened.settle()
    assert visible(opened, 1) == 0 and farthest(opened.screenshot(), before) <= 1  # edges are not drawn quite equally
    opened.press("3", 51)
    assert visible(opened, 2) == 0 and not opened.run("document.querySelector('[data-layer-switch=\"2\"]').checked")
    opened.press("3", 51)


def test_slider_moves(opened: Page) -> None:
    def right_begins_at() -> float:
        return float(
            opened.run(
                "(() => { const s = document.querySelector('.stack.right');"
                "return parseFloat(getComputedStyle(s).clipPath.split(' ').pop()); })()"
            )
        )

    assert right_begins_at() == 50
    before = opened.screenshot()
    opened.run("document.querySelector('[data-control=split]').focus()")
    for _ in range(10):
        opened.press("ArrowLeft", 37)
    opened.settle()
    assert right_begins_at() == 40 and opened.screenshot() != before
    choose(opened, "Slider between the two sides", "50")


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("Split", "val", ["image_4", "image_5"]),
        ("Class", "2", []),  # of the left side, "few"; the right one has this class alone
        ("Class", "0", [f"image_0{EVIL}", *(f"image_{i}" for i in range(1, 6))]),
        ("Name contains", "_3", ["image_3"]),
        ("marks, from", "3", []),
    ],
)
def test_filters_filter(opened: Page, label: str, value: str, expected: list[str]) -> None:
    choose(opened, label, value)
    assert names(opened) == expected
    assert opened.run("document.getElementById('viewer-count').textContent") == f"{len(expected)} of 6 images"
    choose(opened, label, "")
    assert len(names(opened)) == 6


def test_counts_are_ordered_by_most_and_fewest(opened: Page) -> None:
    orders = opened.run("[...document.querySelector('[aria-label=Order]').options].map((o) => o.textContent)")
    assert orders[1:] == [f"{n}, {which} first" for n in ("marks", "labelled pixels") for which in ("most", "fewest")]


def test_filters_and_order_follow_the_left_side(opened: Page) -> None:
    choose(opened, "Left side", "1")
    choose(opened, "marks, from", "3")
    choose(opened, "marks, to", "5")
    choose(opened, "Order", "-marks")
    assert names(opened) == ["image_4", "image_3", "image_2"]
    choose(opened, "Order", "+marks")
    assert names(opened) == ["image_2", "image_3", "image_4"]
    for label in ("marks, from", "marks, to", "Order"):
        choose(opened, label, "")
    choose(opened, "Left side", "0")
    opened.settle()


def test_keyboard_opens_walks_and_closes_the_large_view(opened: Page) -> None:
    opened.run("document.querySelectorAll('button.open')[2].focus()")
    opened.press("Enter", 13)
    assert opened.run("document.querySelector('dialog').open")
    title = "document.getElementById('viewer-name').textContent"
    assert opened.run(title) == "image_2"
    opened.press("ArrowRight", 39)
    assert opened.run(title) == "image_3"
    opened.press("ArrowLeft", 37)
    opened.press("ArrowLeft", 37)
    assert opened.run(title) == "image_1"
    opened.settle()
    box = opened.run("document.querySelector('#viewer-large .stacks').getBoundingClientRect().toJSON()")
    y = box["top"] + box["height"] / 2
    opened.drag(box["left"] + box["width"] * 0.5, y, box["left"] + box["width"] * 0.2, y)
    assert opened.run("document.querySelector('dialog [data-control=split]').value") == "20"
    assert opened.run("document.querySelector('#viewer-toolbar [data-control=split]').value") == "20"
    opened.press("Escape", 27)
    assert not opened.run("document.querySelector('dialog').open")
    opened.settle()
    assert opened.run("document.activeElement.ariaLabel") == "Enlarge image_1"
    choose(opened, "Slider between the two sides", "50")


def test_every_control_can_be_reached_by_tab(opened: Page) -> None:
    opened.run("document.activeElement.blur()")
    reached = opened.tab_through(60)
    everything = opened.run(
        "[...document.querySelectorAll('body > a, summary, #viewer-toolbar :is(input, select), button.open')]"
        ".map((e) => e.outerHTML.slice(0, 200))"
    )
    assert set(everything) <= reached


def test_dark_and_light(opened: Page) -> None:
    colors = {}
    for scheme in ("dark", "light"):
        opened.prefer(scheme)
        colors[scheme] = [
            sum(map(int, re.findall(r"\d+", opened.run(f"getComputedStyle(document.body).{name}"))[:3])) / 3
            for name in ("backgroundColor", "color")
        ]
    assert colors["dark"][0] < 60 and colors["dark"][1] > 200
    assert colors["light"][0] > 240 and colors["light"][1] < 60
