"""The page, as a file and in a browser."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agmm.errors import TrainingError
from agmm.models.network import SegmentationModel
from agmm.report.confusion import Confusion
from agmm.report.figures import draw_gmm_predictions, draw_qualitative
from agmm.report.folder import TSNE_PIXELS_PER_CLASS, write_report
from agmm.report.page import PageImages, PageSummary, write_page
from agmm.report.predictions import predict_rows
from agmm.report.run import Run
from agmm.report.runs import read_runs
from agmm.report.tsne import draw_tsne
from data_manifests import LabelSpace, Manifest, ManifestRow, known_label_space, read_manifest, write_manifest
from tests.agmm.conftest import tiny_label_space, tiny_manifest
from tests.agmm.report.written_runs import LOG, SEG, add_scores, empty_manifest, write_run
from tests.helpers.browser import Page, browser

Town = tuple[Manifest, list[Run]]
EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&"


def make_page(runs: Sequence[Run], manifest: Manifest, rows: Sequence[ManifestRow], path: Path) -> PageSummary:
    images = PageImages(runs, manifest.label_space)
    for predicted in predict_rows(runs, manifest, rows, "cpu"):
        images.add(predicted)
    return write_page(runs, manifest, images, path)


def page_data(path: Path) -> dict[str, Any]:
    found = re.search(r'id="viewer-data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def pixels(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA"))


def words(path: Path) -> str:
    text = re.sub(r"<(style|script).*?</\1>", " ", path.read_text(encoding="utf-8"), flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_layers_and_numbers_of_the_images(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    rows = [manifest.rows[3], manifest.rows[0]]  # not annotated, annotated
    summary = make_page(runs, manifest, rows, tmp_path / "p.html")
    assert summary.problems == () and summary.num_images == 2 and summary.num_bytes == summary.path.stat().st_size
    data = page_data(summary.path)
    assert data["series"] == ["L_seg", "AGMM"]
    assert [layer["name"] for layer in data["layers"]] == ["image", "truth", "segmentation", "GMM", "errors", "marks"]
    bare, annotated = data["images"]
    assert set(bare["shared"]) == {"image", "truth"} and set(annotated["shared"]) == {"image", "truth", "marks"}
    assert list(bare["series"][0]["numbers"]) == ["% mIoU"]
    assert list(annotated["series"][1]["numbers"]) == ["% mIoU", "% mIoU of the GMM"]
    (predicted,) = predict_rows(runs[1:], manifest, rows[1:], "cpu")
    images, (prediction,) = predicted.images, predicted.predictions
    assert prediction is not None and images.truth is not None
    shown = pixels(annotated["series"][1]["layers"]["segmentation"])
    assert np.array_equal(shown[..., :3], manifest.label_space.palette[prediction.segmentation])
    errors = pixels(annotated["series"][1]["layers"]["errors"])[..., 3] > 200
    assert np.array_equal(errors, (prediction.segmentation != images.truth) & (images.truth != 255))
    assert annotated["series"][1]["classes"] == [0, 1, 2, 3]


def test_what_the_page_says(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    make_page(runs, manifest, manifest.rows, tmp_path / "p.html")
    text = words(tmp_path / "p.html")
    assert "tiny, val split, 2 images; whole image, single scale" in text
    for run in runs:
        assert f"agmm train {run.manifest_path}" in text and f"{run.records[-1]['miou'] * 100:.1f}" in text
    assert "L_seg + L_self + L_spar + L_con" in text and "4 s" in text
    assert "Gaussians of the 6 annotated images below" in text
    assert "published" not in text
    assert "Validation mIoU, %" in text and "L_seg: segmentation (baseline)" in text and "AGMM: GMM" in text


def test_equal_numbers_gain_nothing_and_none_of_them_is_the_best(town: Town, tmp_path: Path) -> None:
    manifest, _ = town
    for name, right in (("a", 0.001), ("b", 0.002)):  # IoU of 0.050 % and 0.100 %
        write_run(tmp_path / name, manifest, scores=right)
    make_page(read_runs([tmp_path / "a", tmp_path / "b"]), manifest, manifest.rows[:1], tmp_path / "p.html")
    assert " mIoU 0.1 0.1 0.0 " in words(tmp_path / "p.html")
    assert 'class="best"' not in (tmp_path / "p.html").read_text()


def test_published_numbers_stand_beside(tmp_path: Path) -> None:
    space = known_label_space("cityscapes")
    manifest = read_manifest(tiny_manifest(tmp_path, 1))
    manifest = replace(
        manifest, info=replace(manifest.info, label_space=space, command="points", settings={"clicks_per_image": 20})
    )
    write_run(tmp_path / "a", manifest, scores=None)
    add_scores(tmp_path / "a", space, 0.9, num_images=500)
    make_page(read_runs([tmp_path / "a"]), manifest, manifest.rows, tmp_path / "p.html")
    assert " road 81.8 94.7 −12.9 " in words(tmp_path / "p.html") and "left: 94.7%" in (tmp_path / "p.html").read_text()
    # Of other images nothing is published.
    write_run(tmp_path / "b", manifest, scores=None)
    add_scores(tmp_path / "b", space, 0.9, num_images=499)
    make_page(read_runs([tmp_path / "b"]), manifest, manifest.rows, tmp_path / "p.html")
    assert " road 81.8 sidewalk 81.8 " in words(tmp_path / "p.html") and "94.7" not in words(tmp_path / "p.html")


def test_a_run_without_scores_hides_no_others(town: Town, tmp_path: Path) -> None:
    manifest, (seg, agmm) = town
    write_run(tmp_path / "bare", manifest, scores=None)
    runs = read_runs([seg.folder, tmp_path / "bare", agmm.folder], ["seg", "bare", "agmm"])
    summary = make_page(runs, manifest, manifest.rows[:1], tmp_path / "p.html")
    (problem,) = summary.problems
    seg, _, agmm = runs
    command = f"agmm evaluate {tmp_path / 'bare'} {manifest.path} --split val"
    assert problem.endswith(f"like those of {seg.folder}. Compute them with: {command}")
    page = words(summary.path)
    assert page.count(command) == 1 and "Confusion" in page and "No run has scores" not in page
    for run in (seg, agmm):
        (record,) = run.records
        assert f" {run.name} {100 * record['miou']:.1f} {100 * record['pixel_accuracy']:.1f} " in page
    assert " bare – – " in page
    assert f" mIoU {100 * seg.records[0]['miou']:.1f} – {100 * agmm.records[0]['miou']:.1f} " in page


def test_a_run_without_scores_or_curves_still_has_a_page(town: Town, tmp_path: Path) -> None:
    manifest, _ = town
    log = [{"epoch": 1, "loss": 3.0, "seconds": 2.0}]
    write_run(tmp_path / "a", manifest, log=log, scores=None)
    summary = make_page(read_runs([tmp_path / "a"]), manifest, manifest.rows[:1], tmp_path / "p.html")
    assert len(summary.problems) == 1 and "agmm evaluate" in summary.problems[0]
    text = words(summary.path)
    assert "agmm evaluate" in text and "No run has scores yet" in text
    assert "Confusion" not in text and "Validation mIoU" not in text and "Loss" in text


def test_settings_of_the_annotation_are_words(tmp_path: Path) -> None:
    manifest = empty_manifest(
        tmp_path, tiny_label_space(), clicks_per_image=20, splits=["train", "val"], strategy="mine"
    )
    write_run(tmp_path / "a", manifest)
    summary = make_page(read_runs([tmp_path / "a"]), manifest, [], tmp_path / "p.html")
    assert "Annotation: points, clicks_per_image 20, splits train val, strategy mine." in words(summary.path)


def test_missing_images_leave_a_note(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    gone = replace(manifest.rows[0], image="gone.png")
    summary = make_page(runs, manifest, [gone, manifest.rows[1]], tmp_path / "p.html")
    assert len(summary.problems) == 1 and "gone.png: no such file" in summary.problems[0]
    first, second = page_data(summary.path)["images"]
    assert "gone.png" in first["note"] and first["series"][0]["layers"] == {} and "truth" in first["shared"]
    assert second["note"] == "" and "segmentation" in second["series"][0]["layers"]


def test_equal_input_gives_equal_pages_that_load_nothing(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    for name in ("a", "b"):
        make_page(runs, manifest, manifest.rows[:2], tmp_path / name)
    page = (tmp_path / "a").read_text()
    assert page == (tmp_path / "b").read_text()
    assert "default-src 'none'" in page and not re.findall(r"https?://|@import|url\(|src=[\"']?(?!data:)", page)


def test_other_classes_are_refused(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    other = replace(manifest, info=replace(manifest.info, label_space=tiny_label_space(3)))
    with pytest.raises(TrainingError, match="does not fit a network"):
        make_page(runs, other, manifest.rows, tmp_path / "p.html")


def test_confusion_counts_shares_of_the_true_class() -> None:
    space = tiny_label_space(3)
    found = Confusion.of({"confusion": [[6, 2, 0], [5, 5, 0], [0, 0, 0]]}, space)
    assert found.classes == (0, 1) and found.num_left_out == 0
    assert found.shares.tolist() == [[0.75, 0.25], [0.5, 0.5]]
    assert found.worst == ((1, 0, 0.5, 5), (0, 1, 0.25, 2))
    many = tiny_label_space(50)
    counts = np.diag(np.arange(50) + 1)
    cut = Confusion.of({"confusion": counts.tolist()}, many)
    assert cut.classes == tuple(range(10, 50)) and cut.num_left_out == 10 and cut.worst == ()


def test_each_image_goes_through_each_network_once(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, runs = town
    called = {"forward": 0, "image": 0, "figure": 0}
    original = SegmentationModel.forward

    def forward(*args: Any) -> Any:
        called["forward"] += 1
        return original(*args)

    def count(what: str) -> Callable[[], None]:
        return lambda: called.update({what: called[what] + 1})

    monkeypatch.setattr(SegmentationModel, "forward", forward)
    rows = [*manifest.rows_of("val"), *manifest.rows_of("train")]
    out_dir = tmp_path / "report"
    summary = write_report(
        runs, manifest, rows, out_dir, device="cpu", on_image=count("image"), on_figure=count("figure")
    )
    assert called == {"forward": 16, "image": 16, "figure": 5} and summary.problems == ()
    # and the figures are those that are drawn on their own
    val, few = manifest.rows_of("val"), manifest.rows_of("train")
    few = [few[i * len(few) // 4] for i in range(4)]
    draw_qualitative(runs, manifest, val, [tmp_path / "qualitative.png"])
    draw_gmm_predictions(runs, manifest, few, [tmp_path / "gmm-predictions.png"])
    draw_tsne(runs, manifest, val, [tmp_path / "tsne.png"], pixels_per_class=TSNE_PIXELS_PER_CLASS)
    for name in ("qualitative", "gmm-predictions", "tsne"):
        assert (tmp_path / f"{name}.png").read_bytes() == (out_dir / f"figures/{name}.png").read_bytes()


def test_a_figure_that_cannot_be_drawn_is_told(town: Town, tmp_path: Path) -> None:
    manifest, _ = town
    write_run(tmp_path / "a", manifest, log=[{"epoch": 1, "loss": 3.0, "seconds": 2.0}])
    gone = replace(manifest.rows[3], image="gone.png")
    summary = write_report(read_runs([tmp_path / "a"]), manifest, [gone], tmp_path / "report")
    assert [path.name for path in summary.figures] == []
    told = "\n".join(summary.problems)
    assert "figure training-curves: " in told and "--gmm-images" in told and "figure qualitative: " in told


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of two runs with hostile names of class, image and dataset, opened from disk."""
    folder = tmp_path_factory.mktemp("page")
    manifest = read_manifest(tiny_manifest(folder, 4, num_classes=3))
    classes = manifest.label_space.classes
    space = LabelSpace("evil", (replace(classes[0], name=EVIL), *classes[1:]))
    rows = (replace(manifest.rows[0], image_id=f"a{EVIL}"), *manifest.rows[1:])
    manifest = replace(manifest, rows=rows, info=replace(manifest.info, label_space=space, dataset=EVIL))
    write_manifest(manifest)
    manifest = read_manifest(manifest.path)
    for name, settings in (("seg", {"loss": SEG}), ("agmm", {})):
        write_run(folder / name, manifest, log=LOG, scores=None, **settings)
        add_scores(folder / name, space, 0.8)
    make_page(read_runs([folder / "seg", folder / "agmm"]), manifest, manifest.rows, folder / "index.html")
    with browser() as page:
        page.open(folder / "index.html")
        page.settle()
        yield page
        assert page.errors == []
        assert [a for a in page.requests if not a.startswith("data:")] == [(folder / "index.html").as_uri()]


def names(page: Page) -> list[str]:
    return page.run("[...document.querySelectorAll('.grid figcaption')].map((c) => c.firstChild.textContent)")  # type: ignore[no-any-return]


def test_page_opens_with_everything_escaped(opened: Page) -> None:
    assert opened.run("document.querySelector('h1').textContent") == f"Runs on {EVIL}"
    assert f"a{EVIL}" in names(opened)
    assert opened.run("document.querySelectorAll('img[src=x]').length") == 0
    assert EVIL in opened.run("document.querySelector('#classes td.name').textContent")
    assert EVIL in opened.run("document.querySelector('#confusion tbody th').textContent")


@pytest.mark.parametrize("width", [1400, 400])
def test_long_names_of_runs_are_broken(tmp_path: Path, width: int) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, 2))
    runs = [write_run(tmp_path / f"{'x' * 180}{number}", manifest) for number in range(2)]
    make_page(read_runs(runs), manifest, manifest.rows[:1], tmp_path / "index.html")
    with browser(width=width) as page:
        page.open(tmp_path / "index.html")
        page.settle()
        assert "x" * 180 in page.run("document.querySelector('.run').textContent")
        assert page.run("document.documentElement.scrollWidth") <= width
        assert page.run("Math.max(...[...document.querySelectorAll('.run')].map((e) => e.offsetWidth))") <= width


@pytest.mark.parametrize("width", [1400, 400])
def test_words_of_long_names_stay_whole_in_tables(tmp_path: Path, width: int) -> None:
    manifest = read_manifest(tiny_manifest(tmp_path, 2))
    runs = [write_run(tmp_path / f"{number}", manifest) for number in range(2)]
    named = read_runs(runs, [f"annotations of everybody/{number}/annotations" for number in range(2)])
    make_page(named, manifest, manifest.rows[:1], tmp_path / "index.html")
    with browser(width=width) as page:
        page.open(tmp_path / "index.html")
        page.settle()
        word = page.run(
            "(() => { const word = document.createElement('span'); word.textContent = 'annotations';"
            " document.querySelector('#runs').append(word); return word.offsetWidth; })()"
        )
        cells = "[...document.querySelectorAll('#runs td .run, #classes th .run')]"
        assert word > 0 and page.run(f"{cells}.length") == 4
        assert page.run(f"Math.min(...{cells}.map((e) => e.offsetWidth))") >= word


def test_links_unfold_what_they_lead_to(opened: Page) -> None:
    assert not opened.run("document.querySelector('#confusion').open")
    opened.run("document.querySelector('nav [href*=confusion]').click()")
    assert opened.run("document.querySelector('#confusion').open")
    opened.run("document.querySelector('#confusion').open = false")


def test_curves_are_read_by_key_and_pointer(opened: Page) -> None:
    values = "[...document.querySelectorAll('figure.chart')[1].querySelectorAll('output')].map((o) => o.textContent)"
    assert opened.run(values) == ["3", "50 %", "50 %", "45 %"]
    opened.run("document.querySelectorAll('figure.chart > svg')[1].focus()")
    opened.press("ArrowLeft", 37)
    assert opened.run(values) == ["1", "10 %", "10 %", "30 %"]
    opened.press("End", 35)
    assert opened.run(values) == ["3", "50 %", "50 %", "45 %"]
    opened.run("document.querySelector('#curves').scrollIntoView()")
    box = opened.run("document.querySelectorAll('figure.chart > svg')[1].getBoundingClientRect().toJSON()")
    x, y = box["left"] + 0.1 * box["width"], box["top"] + box["height"] / 2
    opened.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert opened.run(values)[0] == "1"
    cursor = opened.run("document.querySelectorAll('figure.chart .cursor')[1].getAttribute('visibility')")
    assert cursor == "visible"


def test_layers_slider_and_order(opened: Page) -> None:
    def visible(layer: int) -> int:
        return int(
            opened.run(f"document.querySelectorAll('#viewer-grid img[data-layer=\"{layer}\"]:not([hidden])').length")
        )

    opened.run("document.activeElement.blur()")
    opened.run("document.querySelector('#images').scrollIntoView()")
    opened.settle()
    assert (visible(2), visible(4)) == (8, 0)
    opened.press("5", 53)
    assert visible(4) == 8
    opened.press("5", 53)
    numbers = (
        "[...document.querySelectorAll('.grid figcaption span')].map((s) => parseFloat(s.textContent.split('·')[1]))"
    )
    opened.run("document.querySelector('[data-order=\"+% mIoU\"]').click()")
    worst = opened.run(numbers)
    assert worst == sorted(worst) and len(worst) == 4
    opened.run("document.querySelector('[data-order=\"-% mIoU\"]').click()")
    assert opened.run(numbers) == worst[::-1]
    slider = "document.querySelector('[data-control=split]')"
    opened.run(f"(() => {{ const s = {slider}; s.value = 30; s.dispatchEvent(new Event('input')); }})()")
    assert opened.run("document.documentElement.style.getPropertyValue('--split')") == "30%"


def test_scores_are_ordered_as_scores(opened: Page) -> None:
    labels = opened.run("[...document.querySelector('[aria-label=Order]').options].map((o) => o.textContent)")
    assert "% mIoU, lowest first" in labels and "% mIoU of the GMM, right side ahead first" in labels


def test_everything_can_be_reached_by_tab(opened: Page) -> None:
    opened.run("document.activeElement.blur()")
    opened.run("scrollTo(0, 0)")
    reached = opened.tab_through(70)
    everything = opened.run(
        "[...document.querySelectorAll('a, summary, figure.chart > svg, button[data-order], #viewer-toolbar input')]"
        ".filter((e) => e.checkVisibility()).map((e) => e.outerHTML.slice(0, 200))"
    )
    assert set(everything) <= reached


def test_dark_and_light(opened: Page) -> None:
    ink = {}
    for scheme in ("dark", "light"):
        opened.prefer(scheme)
        color = opened.run("getComputedStyle(document.querySelector('.chart > svg text')).fill")
        ink[scheme] = sum(map(int, re.findall(r"\d+", color)[:3])) / 3
    assert ink["dark"] > 130 > ink["light"]
