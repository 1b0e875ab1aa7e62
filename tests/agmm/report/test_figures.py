from __future__ import annotations

import builtins
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agmm.errors import TrainingError
from agmm.report.figures import (
    _draw_grid,
    classes_shown,
    draw_gmm_predictions,
    draw_qualitative,
    draw_training_curves,
)
from agmm.report.predictions import predict_rows
from agmm.report.run import Run
from agmm.report.runs import read_runs
from agmm.report.style import class_legend, new_figure
from agmm.report.tsne import draw_tsne, lay_out, sample_pixels
from data_manifests import DataError, Manifest, known_label_space
from data_manifests.figures.style import TEXT_WIDTH
from data_manifests.manifest.rows import read_row_full_mask
from tests.agmm.conftest import tiny_label_space
from tests.agmm.report.written_runs import LOG, write_run, write_unloadable_run

Town = tuple[Manifest, list[Run]]


def draw(kind: str, town: Town, *paths: Path, **more: Any) -> None:
    manifest, runs = town
    makers: dict[str, Callable[[], None]] = {
        "curves": lambda: draw_training_curves(runs, paths, **more),
        "gmm": lambda: draw_gmm_predictions(runs, manifest, manifest.rows[:2], paths, **more),
        "qualitative": lambda: draw_qualitative(runs, manifest, manifest.rows_of("val"), paths, **more),
        "tsne": lambda: draw_tsne(runs, manifest, manifest.rows_of("val"), paths, pixels_per_class=5, **more),
    }
    makers[kind]()


@pytest.mark.parametrize("kind", ["curves", "gmm", "qualitative", "tsne"])
def test_equal_runs_give_equal_bytes_with_embedded_fonts(kind: str, town: Town, tmp_path: Path) -> None:
    draw(kind, town, tmp_path / "one.pdf", tmp_path / "one.png")
    draw(kind, town, tmp_path / "two.pdf")
    data = (tmp_path / "one.pdf").read_bytes()
    assert data == (tmp_path / "two.pdf").read_bytes()
    assert data.startswith(b"%PDF") and b"/FontFile2" in data and b"/Type3" not in data
    assert len(np.unique(np.asarray(Image.open(tmp_path / "one.png").convert("RGB")).reshape(-1, 3), axis=0)) > 5


def test_long_names_leave_room_for_the_curves(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    long = [replace(run, name=f"{run.name}, {'encoder vit_small_patch14_dinov2.lvd142m, ' * 3}") for run in runs]
    draw("curves", (manifest, long), tmp_path / "long.png")  # matplotlib's warning would be an error
    draw("curves", town, tmp_path / "short.png")
    sizes = [Image.open(io.BytesIO((tmp_path / name).read_bytes())).size for name in ("long.png", "short.png")]
    assert sizes[0][0] == sizes[1][0] and sizes[0][1] > sizes[1][1]


def test_pdf_holds_images_in_full_and_words_as_text(town: Town, tmp_path: Path) -> None:
    draw("gmm", town, tmp_path / "f.pdf")
    data = (tmp_path / "f.pdf").read_bytes()
    # 2 rows of image, segmentation and GMM of two runs, and truth; transparency would add masks
    assert len(re.findall(rb"/Subtype /Image", data)) == 2 * 6


def test_cells_hold_what_the_titles_say(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    rows = manifest.rows_of("val")[:1]
    draw_qualitative(runs, manifest, rows, [tmp_path / "f.png"])
    shown = np.asarray(Image.open(tmp_path / "f.png").convert("RGB"))
    assert shown.shape[1] == round(300 * TEXT_WIDTH)
    (predicted,) = predict_rows(runs[1:], manifest, rows, "cpu")
    (prediction,) = predicted.predictions
    assert prediction is not None
    expected = [prediction.segmentation, read_row_full_mask(manifest, rows[0])]
    columns = np.array_split(shown, 4, axis=1)  # image, seg, agmm, truth
    palette = manifest.label_space.palette
    for column, label_map in zip(columns[2:], expected, strict=True):
        middle = column[60:300, 30:-30].reshape(-1, 3)  # below the titles, above the legend
        shown = {i for i, color in enumerate(palette) if (middle == color).all(1).mean() > 0.02}
        wanted = {c for c in range(4) if (label_map[:, 6:-6] == c).mean() > 0.06}
        assert wanted <= shown <= set(np.unique(label_map).tolist())


def test_a_sliver_is_drawn_whole_and_no_larger_than_others(tmp_path: Path) -> None:
    space = tiny_label_space()
    sliver = np.repeat(np.arange(3, dtype=np.uint8), 200).reshape(300, 2)
    wide = np.zeros((60, 90), np.uint8)
    _draw_grid([[sliver, sliver], [wide, wide]], ["one", "two"], space, [tmp_path / "f.png"])
    shown = np.asarray(Image.open(tmp_path / "f.png").convert("RGB"))
    assert shown.shape[1] == round(300 * TEXT_WIDTH)
    assert shown.shape[0] < 3 * shown.shape[1]
    for half in np.array_split(shown, 2, axis=1):
        columns = [(half == color).all(2).any(1) for color in space.palette[:3]]
        first_rows = [int(np.flatnonzero(rows)[0]) for rows in columns]
        assert first_rows == sorted(first_rows)


def test_the_legend_names_what_is_shown() -> None:
    """Void is shown by label maps alone: labels leave the image bare where they say nothing."""
    space = tiny_label_space()
    image = np.full((2, 3, 3), 3, np.uint8)
    labels, truth = np.full((2, 3), 255, np.uint8), np.zeros((2, 3), np.uint8)
    labels[0, 1] = 2
    assert [c.name for c in classes_shown([[(image, labels), truth, None]], space)] == ["c0", "c2"]
    truth[1, 1] = 255
    assert [c.name for c in classes_shown([[image, truth], [(image, labels), None]], space)] == ["c0", "c2", "void"]
    assert classes_shown([[image]], space) == []


def test_the_legend_is_read_along_rows_whatever_its_columns() -> None:
    classes = known_label_space("cityscapes").classes
    figure = new_figure(3.35, 3.0)
    class_legend(figure, classes, 0.5)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    places = {text.get_text(): text.get_window_extent() for text in legend.get_texts()}
    reading = sorted(places, key=lambda name: (-round(places[name].y0), places[name].x0))
    assert reading == [c.name for c in classes]


def test_a_run_without_curves_is_told_the_option(town: Town, tmp_path: Path) -> None:
    log = [{name: row[name] for name in ("epoch", "loss", "val_miou", "seconds")} for row in LOG]
    write_run(tmp_path / "run", town[0], log=log)
    with pytest.raises(TrainingError, match="run: its log has no training-set mIoU .* --gmm-images 50"):
        draw_training_curves(read_runs([tmp_path / "run"]), [tmp_path / "f.png"])


@pytest.mark.parametrize("kind", ["curves", "gmm", "qualitative", "tsne"])
def test_a_run_that_cannot_be_shown_spoils_no_figure(kind: str, town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    log = [{name: row[name] for name in ("epoch", "loss", "val_miou", "seconds")} for row in LOG]
    write_unloadable_run(tmp_path / "run", manifest, log=log)
    (broken,) = read_runs([tmp_path / "run"])
    problems: list[str] = []
    draw(kind, (manifest, runs), tmp_path / "without.pdf")
    draw(kind, (manifest, [*runs, broken]), tmp_path / "with.pdf", on_problem=problems.append)
    assert (tmp_path / "with.pdf").read_bytes() == (tmp_path / "without.pdf").read_bytes()
    reason = "no training-set mIoU" if kind == "curves" else "Unknown encoder 'resnet_of_tomorrow'"
    assert len(problems) == 1 and reason in problems[0]
    with pytest.raises(TrainingError, match=reason):
        draw(kind, (manifest, [*runs, broken]), tmp_path / "f.pdf")
    with pytest.raises(TrainingError, match=reason):
        draw(kind, (manifest, [broken]), tmp_path / "f.pdf", on_problem=problems.append)


def test_bad_input(town: Town, tmp_path: Path) -> None:
    manifest, runs = town
    with pytest.raises(ValueError, match=r"must end in \.png or \.pdf, got 'f\.jpg'"):
        draw_training_curves(runs, [tmp_path / "f.jpg"])
    with pytest.raises(TrainingError, match="image 'a03' of split 'val' has no annotation.*--split"):
        draw_gmm_predictions(runs, manifest, manifest.rows_of("val"), [tmp_path / "f.png"])
    with pytest.raises(ValueError, match="one to 3 runs, got 4"):
        draw_tsne(runs * 2, manifest, manifest.rows, [tmp_path / "f.png"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["matplotlib", "sklearn.manifold"])
def test_without_packages_the_extra_is_named(
    package: str, town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=re.escape("pip install 'sparsekit-agmm[figures]'")):
        draw("tsne", town, tmp_path / "f.png")


def test_pixels_are_even_over_classes_and_their_own_class(town: Town) -> None:
    manifest, _ = town
    pixels, classes = sample_pixels(manifest, manifest.rows, 10, seed=3)
    assert np.bincount(classes).tolist() == [10] * 4
    found = [read_row_full_mask(manifest, row)[tuple(places.T)] for row, places in pixels]
    assert np.concatenate(found).tolist() == classes.tolist()
    assert len(pixels) == len(manifest.rows)  # every image gives some
    places = {(row.image_id, *place) for row, of_row in pixels for place in of_row.tolist()}
    assert len(places) == 40
    again, _ = sample_pixels(manifest, manifest.rows, 10, seed=3)
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(pixels, again, strict=True))
    other, _ = sample_pixels(manifest, manifest.rows, 10, seed=4)
    assert any(not np.array_equal(a, b) for (_, a), (_, b) in zip(pixels, other, strict=True))


def test_tsne_keeps_clusters_apart() -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 0.1, (20, 16)), rng.normal(5, 0.1, (20, 16))]).astype(np.float32)
    layout = lay_out(features, seed=0)
    apart = np.linalg.norm(layout[:, None] - layout[None], axis=2)
    assert apart[:20, :20].max() < apart[:20, 20:].min()
    with pytest.raises(TrainingError, match="at least 5 pixels, got 3"):
        lay_out(features[:3], seed=0)


def test_style_leaves_no_trace(town: Town, tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    draw("curves", town, tmp_path / "f.png")
    assert dict(matplotlib.rcParams) == before
    assert Image.open(io.BytesIO((tmp_path / "f.png").read_bytes())).info.get("Software") is None
