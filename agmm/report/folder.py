"""A folder with the page, and its figures as PNG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agmm.errors import TrainingError
from agmm.report import PAGE_NAME
from agmm.report.figures import draw_training_curves, plot_gmm_predictions, plot_qualitative
from agmm.report.page import PageImages, PageSummary, write_page
from agmm.report.predictions import PredictedRow, predict_rows
from agmm.report.run import Run
from agmm.report.style import SUFFIXES, check_figure
from agmm.report.tsne import MAX_RUNS, plot_tsne, sample_pixels
from data_manifests import DataError, Manifest, ManifestRow
from data_manifests.figures.viewer import check_jinja

FIGURES_NAME = "figures"
NUM_FIGURES = 4

# Images in a figure, and images that t-SNE takes its pixels from.
_NUM_SHOWN, _NUM_SAMPLED = 4, 30


@dataclass(frozen=True)
class ReportSummary:
    """What came of it.

    Args:
        page: The page.
        figures: Files of the figures.
        problems: What could not be shown or drawn, and why, one line each.
    """

    page: PageSummary
    figures: tuple[Path, ...]
    problems: tuple[str, ...]


def write_report(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    out_dir: Path,
    *,
    split: str = "val",
    protocol: str | None = None,
    thumbnail_size: int = 640,
    device: torch.device | str = "cpu",
    on_image: Callable[[], None] = lambda: None,
    on_figure: Callable[[], None] = lambda: None,
) -> ReportSummary:
    """Write ``index.html`` and ``figures/``; each image goes through each network once for all of them.

    Args:
        runs: What to show side by side, from ``read_runs``.
        manifest: Where the images come from.
        rows: The images of the page; the figures show a few of them.
        out_dir: The folder.
        split: Whose scores to show.
        protocol: Start of the protocol's name; the newest scores if not given.
        thumbnail_size: Longer side of the page's images, in pixels.
        device: Where to compute.
        on_image: Called after each image of each run.
        on_figure: Called after each of the ``NUM_FIGURES`` figures, drawn or not.

    Raises:
        DataError: If the manifest has other classes than the runs, or a package of the extra ``figures`` is missing.
            A figure that cannot be drawn is no error but one of the problems; so is a run that cannot be loaded, or
            that lacks what a figure shows.
    """
    check_figure()
    check_jinja()
    space = manifest.label_space
    masked = [row for row in rows if row.full_mask]
    scored = [row for row in masked if row.split == split] or masked
    with_labels = [row for row in rows if row.annotation]
    annotated = _few([row for row in with_labels if row.full_mask] or with_labels)
    shown = _few(scored or [row for row in rows if row.split == split] or rows)
    problems: list[str] = []
    if not annotated:
        problems.append("figure gmm-predictions: none of the images is annotated, and the Gaussians start from labels.")
    pixels: list[tuple[ManifestRow, NDArray[np.int64]]] = []
    if not scored:
        problems.append("figure tsne: none of the images has a full mask, which says the class of each pixel.")
    elif len(runs) > MAX_RUNS:
        problems.append(f"figure tsne: shows {MAX_RUNS} runs at most; `agmm figure tsne` draws those that you choose.")
    else:
        try:
            pixels, classes = sample_pixels(manifest, _few(scored, _NUM_SAMPLED))
        except DataError as error:
            problems.append(f"figure tsne: {error}")

    page = PageImages(runs, space, thumbnail_size)
    kept: dict[str, PredictedRow] = {}
    features: dict[str, list[NDArray[np.float32]]] = {}
    loaded: set[int] = set()
    at = {row.image_id: places for row, places in pixels}
    for predicted in predict_rows(
        runs, manifest, rows, device, pixels=at, on_image=on_image, on_problem=problems.append
    ):
        page.add(predicted)
        loaded.update(number for number, prediction in enumerate(predicted.predictions) if prediction is not None)
        row = predicted.images.row
        if row in annotated or row in shown:
            kept[row.image_id] = predicted
        features[row.image_id] = [p.features for p in predicted.predictions if p is not None and p.features is not None]

    def of(some: Sequence[ManifestRow]) -> list[PredictedRow]:
        return [kept[row.image_id] for row in some]

    def tsne(paths: Sequence[Path]) -> None:
        by_row = [features[row.image_id] for row, _ in pixels]
        if not all(by_row):
            raise TrainingError("an image that it takes pixels from cannot be read.")
        shown_runs = [run for number, run in enumerate(runs) if number in loaded]
        plot_tsne(shown_runs, [np.concatenate(of_run) for of_run in zip(*by_row, strict=True)], classes, space, paths)

    draw: dict[str, Callable[[Sequence[Path]], None]] = {
        "training-curves": lambda paths: draw_training_curves(runs, paths, problems.append),
        "gmm-predictions": lambda paths: plot_gmm_predictions(runs, of(annotated), space, paths),
        "qualitative": lambda paths: plot_qualitative(runs, of(shown), space, paths),
        "tsne": tsne,
    }
    nothing_to_show = {"gmm-predictions": not annotated, "qualitative": not shown, "tsne": not pixels}
    written: list[Path] = []
    for name, make in draw.items():
        if not nothing_to_show.get(name):
            paths = [out_dir / FIGURES_NAME / f"{name}{suffix}" for suffix in SUFFIXES]
            try:
                make(paths)
                written += paths
            except DataError as error:
                problems.append(f"figure {name}: {error}")
        on_figure()
    figures = [f"{FIGURES_NAME}/{path.name}" for path in written]
    summary = write_page(runs, manifest, page, out_dir / PAGE_NAME, split=split, protocol=protocol, figures=figures)
    return ReportSummary(summary, tuple(written), (*summary.problems, *problems))


def _few(rows: Sequence[ManifestRow], number: int = _NUM_SHOWN) -> list[ManifestRow]:
    number = min(number, len(rows))
    return [rows[i * len(rows) // number] for i in range(number)]
