"""A self-contained HTML page about runs: curves, scores, the mixture, and images."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from agmm.config.metrics import METRICS
from agmm.data.resize import fit_size, shrink_image, shrink_labels
from agmm.report import charts as plot
from agmm.report.charts import Chart, Line, make_charts
from agmm.report.class_scores import score_lines
from agmm.report.confusion import Confusion
from agmm.report.images import RowImages, error_veil, veil
from agmm.report.mixture_summary import summarize_mixtures
from agmm.report.predictions import FittedMixture, PredictedRow, Prediction, image_miou
from agmm.report.published import published_source
from agmm.report.run import Run
from agmm.report.runs import choose_scores, describe_scores
from agmm.report.table_format import shown, signed
from agmm.report.tables import published_of
from data_manifests import LabelMap, LabelSpace, Manifest
from data_manifests.figures.labels import draw_labels
from data_manifests.figures.style import SERIES_COLORS
from data_manifests.figures.viewer import ImageSeries, Layer, Viewer, ViewerImage, build_viewer_page, image_uri
from data_manifests.files.atomic import write_atomically

_LAYERS = (
    Layer("image"),
    Layer("truth", veil=True, shown=False),
    Layer("segmentation", veil=True),
    Layer("GMM", veil=True, shown=False),
    Layer("errors", shown=False),
    Layer("marks"),
)
#: Numbers of an image, as the viewer names them.
_SCORE, _MIXTURE_SCORE = "% mIoU", "% mIoU of the GMM"
_TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class PageSummary:
    """Result of ``write_page``.

    Args:
        path: The page.
        num_images: Number of images on it.
        num_bytes: Its size.
        problems: One line for each thing that could not be shown, with the reason.
    """

    path: Path
    num_images: int
    num_bytes: int
    problems: tuple[str, ...]


class PageImages:
    """The images of a page and the mixtures of each run, collected row by row and scaled down immediately.

    Attributes:
        shown: The images so far.
        mixtures: For each run, the Gaussians of the annotated images.
        problems: One line for each file that could not be read.
    """

    def __init__(self, runs: Sequence[Run], label_space: LabelSpace, thumbnail_size: int = 640) -> None:
        self.shown: list[ViewerImage] = []
        self.mixtures: list[list[FittedMixture]] = [[] for _ in runs]
        self.problems: list[str] = []
        self._space = label_space
        self._thumbnail_size = thumbnail_size

    def add(self, predicted: PredictedRow) -> None:
        """Add a row with its predictions."""
        images, row = predicted.images, predicted.images.row
        size = fit_size(row.height, row.width, self._thumbnail_size)
        truth = None if images.truth is None else shrink_labels(images.truth, size)
        series = tuple(_series(images, truth, p, self._space, size) for p in predicted.predictions)
        for of_run, prediction in zip(self.mixtures, predicted.predictions, strict=True):
            if prediction is not None and prediction.mixture is not None:
                of_run.append(prediction.mixture)
        self.problems += images.problems
        shared = _shared(images, truth, self._space, size)
        note = " ".join(images.problems)
        self.shown.append(ViewerImage(row.image_id, row.split, row.width, row.height, series, shared, note))


def write_page(
    runs: Sequence[Run],
    manifest: Manifest,
    images: PageImages,
    path: Path,
    *,
    split: str = "val",
    protocol: str | None = None,
    figures: Sequence[str] = (),
    budget_png: bytes | None = None,
) -> PageSummary:
    """Write the page.

    Args:
        runs: The runs to compare, from ``read_runs``.
        manifest: Manifest of the images.
        images: Images of the same runs.
        path: The HTML file.
        split: Split whose scores to show.
        protocol: Prefix of the protocol's name; by default the newest scores.
        budget_png: The figure of budgets, shown on the page.
        figures: Names of figures beside the page, to link.

    Raises:
        DataError: If Jinja2 is not installed. Missing scores and images are not errors; the page shows the reason in
            their place.
    """
    scores, space = choose_scores(runs, split, protocol), manifest.label_space
    published = [published_of(run, record) for run, record in zip(runs, scores.records, strict=True)]
    page = build_viewer_page(
        Viewer(tuple(run.name for run in runs), _LAYERS, tuple(images.shown), space, (_SCORE, _MIXTURE_SCORE)),
        title=f"{'Runs' if len(runs) > 1 else 'Run'} on {manifest.info.dataset or manifest.path.parent.name}",
        subtitle=f"Scores: {describe_scores(scores.first)}" if scores.first else "",
        template=_TEMPLATE,
        runs=runs,
        colors=SERIES_COLORS,
        charts=_charts(runs),
        plot=plot,
        records=scores.records,
        metrics=METRICS,
        unscored=scores.missing,
        published=published,
        source=published_source(),
        shown=shown,
        signed=signed,
        classes=space.classes,
        lines=score_lines(scores.records, published, space),
        confusions={i: Confusion.of(record, space) for i, record in enumerate(scores.records) if record is not None},
        mixtures=[summarize_mixtures(of_run) for of_run in images.mixtures],
        num_mixtures=max(map(len, images.mixtures)),
        figures=_by_name(figures),
        budget=None if budget_png is None else f"data:image/png;base64,{base64.b64encode(budget_png).decode()}",
        splits=sorted({image.split for image in images.shown}),
        shown_as=str(manifest.info.images),
    )
    data = page.encode()
    write_atomically(path, data)
    return PageSummary(path, len(images.shown), len(data), (*scores.missing, *images.problems))


def _by_name(figures: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Suffixes and paths of the files of each figure, by name."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in map(PurePosixPath, figures):
        found.setdefault(path.stem, []).append((path.suffix.lstrip(".").upper(), str(path)))
    return found


def _charts(runs: Sequence[Run]) -> list[Chart]:
    def lines(column: str, name: str = "", style: str = "solid", factor: float = 1.0) -> list[Line]:
        return [
            Line(f"{run.name}{name}", i, style, tuple((epoch, factor * value) for epoch, value in run.curve(column)))
            for i, run in enumerate(runs)
        ]

    training = [
        line
        for run, segmentation, mixture in zip(
            runs, lines("train_miou", ": segmentation", factor=100), lines("gmm_miou", ": GMM", "dotted", 100),
            strict=True,
        )
        for line in (
            [segmentation, mixture]
            if run.uses_mixture
            else [Line(f"{run.name}: segmentation (baseline)", segmentation.color, "dashed", segmentation.points)]
        )
    ]  # fmt: skip
    return make_charts(
        [
            ("Validation mIoU", " %", lines("val_miou", factor=100)),
            ("Training-set mIoU", " %", training),
            ("Loss", "", lines("loss")),
        ]
    )


def _shared(images: RowImages, truth: LabelMap | None, space: LabelSpace, size: tuple[int, int]) -> dict[str, str]:
    """Make the layers that all runs share."""
    shared = {}
    if images.image is not None:
        shared["image"] = image_uri(shrink_image(images.image, size))
    if truth is not None:
        shared["truth"] = image_uri(veil(truth, space), lossless=True)
    if images.annotation is not None:
        shared["marks"] = image_uri(draw_labels(images.annotation, space, size), lossless=True)
    return shared


def _series(
    images: RowImages,
    truth: LabelMap | None,
    prediction: Prediction | None,
    space: LabelSpace,
    size: tuple[int, int],
) -> ImageSeries:
    """Make the layers of one run, scaled down, and its numbers, computed at full size."""
    if prediction is None:
        return ImageSeries()
    small = shrink_labels(prediction.segmentation, size)
    layers, numbers = {"segmentation": image_uri(veil(small, space), lossless=True)}, {}
    if prediction.by_mixture is not None:
        layers["GMM"] = image_uri(veil(shrink_labels(prediction.by_mixture, size), space), lossless=True)
    if truth is not None and images.truth is not None:
        layers["errors"] = image_uri(error_veil(small, truth, space), lossless=True)
        for name, label_map in ((_SCORE, prediction.segmentation), (_MIXTURE_SCORE, prediction.by_mixture)):
            if label_map is not None and (score := image_miou(label_map, images.truth, space)) is not None:
                numbers[name] = round(score, 1)
    maps = [prediction.segmentation] if images.truth is None else [prediction.segmentation, images.truth]
    present = sorted(set().union(*(np.flatnonzero(np.bincount(m.ravel())).tolist() for m in maps)))
    return ImageSeries(layers, tuple(c for c in present if c < space.num_classes), numbers)
