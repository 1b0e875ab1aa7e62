"""A report folder: the page, and its figures as PNG and PDF."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agmm.config.outputs import MAX_TSNE_RUNS
from agmm.errors import TrainingError
from agmm.report import PAGE_NAME
from agmm.report.budget import Budgets
from agmm.report.budget_figure import draw_budget
from agmm.report.figures import draw_training_curves, plot_gmm_predictions, plot_qualitative
from agmm.report.page import PageImages, PageSummary, write_page
from agmm.report.predictions import PredictedRow, predict_rows
from agmm.report.run import Run
from agmm.report.style import SUFFIXES, check_figure
from agmm.report.tsne import plot_tsne, sample_pixels
from data_manifests import DataError, Manifest, ManifestRow
from data_manifests.figures.viewer import check_jinja

FIGURES_NAME = "figures"
NUM_FIGURES = 5
BUDGET_NAME = "budget"

# Images in a figure, and images from which t-SNE takes its pixels.
_NUM_SHOWN, _NUM_SAMPLED = 4, 30

#: Half as many as `agmm figure tsne` shows: they take about half the time.
TSNE_PIXELS_PER_CLASS = 50


@dataclass(frozen=True)
class ReportSummary:
    """Result of ``write_report``.

    Args:
        page: The page.
        figures: Files of the figures.
        problems: One line for each thing that could not be shown or drawn, with the reason.
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
    budgets: Budgets | None = None,
    on_image: Callable[[], None] = lambda: None,
    on_figure: Callable[[], None] = lambda: None,
) -> ReportSummary:
    """Write ``index.html`` and ``figures/``; each network segments each image once for all of them.

    Args:
        runs: The runs to compare, from ``read_runs``.
        manifest: Manifest of the images.
        rows: Images of the page; the figures show a few of them.
        out_dir: The folder.
        split: Split whose scores to show.
        protocol: Prefix of the protocol's name; by default the newest scores.
        thumbnail_size: Longer side of the page's images, in pixels.
        device: Device to compute on.
        budgets: Points for the figure of budgets; None omits it.
        on_image: Called after each image of each run.
        on_figure: Called after each of the ``NUM_FIGURES`` figures, drawn or not.

    Raises:
        DataError: If the classes of the manifest differ from those of the runs, or a package of the extra ``figures``
            is missing. Figures that cannot be drawn, runs that cannot be loaded, and runs without the data of a figure
            are problems, not errors.
    """
    check_figure()
    check_jinja()
    problems: list[str] = []
    figures = _FolderFigures(runs, manifest, rows, split, problems)
    figures.budgets = budgets
    page = PageImages(runs, manifest.label_space, thumbnail_size)
    for predicted in predict_rows(
        runs, manifest, rows, device, pixels=figures.pixels_of, on_image=on_image, on_problem=problems.append
    ):
        page.add(predicted)
        figures.add(predicted)
    written = figures.draw(out_dir / FIGURES_NAME, on_figure)
    names = [f"{FIGURES_NAME}/{path.name}" for path in written]
    drawn = next((path.read_bytes() for path in written if path.name == f"{BUDGET_NAME}.png"), None)
    summary = write_page(
        runs, manifest, page, out_dir / PAGE_NAME, split=split, protocol=protocol, figures=names, budget_png=drawn
    )
    return ReportSummary(summary, tuple(written), (*summary.problems, *problems))


class _FolderFigures:
    """The figures beside the page: selects their images, collects predictions for these, then draws.

    Attributes:
        pixels_of: By image id, positions whose features t-SNE needs.
        budgets: Points of the figure of budgets; None if there is nothing to compare.
    """

    def __init__(
        self, runs: Sequence[Run], manifest: Manifest, rows: Sequence[ManifestRow], split: str, problems: list[str]
    ) -> None:
        self.budgets: Budgets | None = None
        self._runs, self._space, self._problems = runs, manifest.label_space, problems
        masked = [row for row in rows if row.full_mask]
        scored = [row for row in masked if row.split == split] or masked
        with_labels = [row for row in rows if row.annotation]
        self._annotated = _few([row for row in with_labels if row.full_mask] or with_labels)
        self._shown = _few(scored or [row for row in rows if row.split == split] or rows)
        self._kept: dict[str, PredictedRow] = {}
        self._features: dict[str, list[NDArray[np.float32]]] = {}
        self._loaded: set[int] = set()
        if not self._annotated:
            problems.append("figure gmm-predictions: no image is annotated, but the Gaussians need labels.")
        self._pixels, self._classes = self._sample(manifest, scored)
        self.pixels_of = {row.image_id: places for row, places in self._pixels}

    def _sample(
        self, manifest: Manifest, scored: Sequence[ManifestRow]
    ) -> tuple[list[tuple[ManifestRow, NDArray[np.int64]]], NDArray[np.int64]]:
        """Pixels of the t-SNE figure and their classes; none if the figure cannot be drawn."""
        try:
            if scored and len(self._runs) <= MAX_TSNE_RUNS:
                return sample_pixels(manifest, _few(scored, _NUM_SAMPLED), TSNE_PIXELS_PER_CLASS)
            why = (
                f"shows {MAX_TSNE_RUNS} runs at most; `agmm figure tsne` draws those that you choose."
                if scored
                else "no image has a full mask, but the figure needs the class of each pixel."
            )
        except DataError as error:
            why = str(error)
        self._problems.append(f"figure tsne: {why}")
        return [], np.empty(0, np.int64)

    def add(self, predicted: PredictedRow) -> None:
        """Keep the data of a row that the figures need."""
        row, predictions = predicted.images.row, predicted.predictions
        self._loaded.update(number for number, prediction in enumerate(predictions) if prediction is not None)
        if row in self._annotated or row in self._shown:
            self._kept[row.image_id] = predicted
        self._features[row.image_id] = [p.features for p in predictions if p is not None and p.features is not None]

    def draw(self, folder: Path, on_figure: Callable[[], None]) -> list[Path]:
        """Draw every figure that has data, delete the others of an earlier report, and return the drawn paths."""
        drawings: dict[str, Callable[[Sequence[Path]], None] | None] = {
            "training-curves": lambda paths: draw_training_curves(self._runs, paths, self._problems.append),
            "gmm-predictions": self._draw_gmm_predictions if self._annotated else None,
            "qualitative": self._draw_qualitative if self._shown else None,
            "tsne": self._draw_tsne if self._pixels else None,
            BUDGET_NAME: self._draw_budget if self.budgets is not None else None,
        }
        written: list[Path] = []
        for name, make in drawings.items():
            paths = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
            try:
                if make is not None:
                    make(paths)
                    written += paths
            except DataError as error:
                self._problems.append(f"figure {name}: {error}")
            for path in set(paths).difference(written):
                path.unlink(missing_ok=True)
            on_figure()
        return written

    def _draw_gmm_predictions(self, paths: Sequence[Path]) -> None:
        plot_gmm_predictions(self._runs, [self._kept[row.image_id] for row in self._annotated], self._space, paths)

    def _draw_qualitative(self, paths: Sequence[Path]) -> None:
        plot_qualitative(self._runs, [self._kept[row.image_id] for row in self._shown], self._space, paths)

    def _draw_budget(self, paths: Sequence[Path]) -> None:
        if self.budgets is not None:
            draw_budget(self.budgets, paths)

    def _draw_tsne(self, paths: Sequence[Path]) -> None:
        by_row = [self._features[row.image_id] for row, _ in self._pixels]
        if not all(by_row):
            raise TrainingError("cannot read an image whose pixels the figure needs.")
        runs = [run for number, run in enumerate(self._runs) if number in self._loaded]
        features = [np.concatenate(of_run) for of_run in zip(*by_row, strict=True)]
        plot_tsne(runs, features, self._classes, self._space, paths)


def _few(rows: Sequence[ManifestRow], number: int = _NUM_SHOWN) -> list[ManifestRow]:
    number = min(number, len(rows))
    return [rows[i * len(rows) // number] for i in range(number)]
