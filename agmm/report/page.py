"""One self-contained HTML page about trainings: curves, scores, the mixture, and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from agmm.errors import TrainingError
from agmm.report import charts as plot
from agmm.report.charts import Chart, Line, make_chart
from agmm.report.confusion import Confusion
from agmm.report.mixture_summary import summarize_mixtures
from agmm.report.pictures import (
    RowPictures,
    draw_marks,
    error_veil,
    fit_size,
    read_pictures,
    shrink_image,
    shrink_labels,
    veil,
)
from agmm.report.predictions import FittedMixture, Prediction, image_miou, predict_rows
from agmm.report.published import published_source
from agmm.report.runs import Run, choose_records, describe_scores
from agmm.report.style import RUN_COLORS
from agmm.report.tables import published_of
from data_manifests import LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.image_io import write_atomically
from data_manifests.viewer import Layer, Picture, PictureSeries, Viewer, build_viewer_page, check_jinja, picture_uri

_LAYERS = (
    Layer("image"),
    Layer("truth", veil=True, shown=False),
    Layer("segmentation", veil=True),
    Layer("GMM", veil=True, shown=False),
    Layer("errors", shown=False),
    Layer("marks"),
)
#: Numbers of a picture, as the viewer names them.
_SCORE, _MIXTURE_SCORE = "% mIoU", "% mIoU of the GMM"
_TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class PageSummary:
    """What came of it.

    Args:
        path: The page.
        num_images: Pictures in it.
        num_bytes: Its size.
        problems: What could not be shown, and why, one line each.
    """

    path: Path
    num_images: int
    num_bytes: int
    problems: tuple[str, ...]


def write_page(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    path: Path,
    *,
    split: str = "val",
    protocol: str | None = None,
    thumbnail_size: int = 640,
    device: torch.device | str = "cpu",
    figures: Sequence[str] = (),
    on_image: Callable[[], None] = lambda: None,
) -> PageSummary:
    """Write the page.

    Args:
        runs: What to show side by side, from ``read_runs``.
        manifest: Where the pictures come from.
        rows: The pictures to show.
        path: The HTML file.
        split: Whose scores to show.
        protocol: Start of the protocol's name; the newest scores if not given.
        thumbnail_size: Longer side of the pictures in the page, in pixels.
        device: Where to compute.
        figures: Names of figures beside the page, to be listed.
        on_image: Called after each picture of each run.

    Raises:
        DataError: If the manifest has other classes than the runs, or Jinja2 is not installed. Missing scores or
            pictures are no error: their place in the page says so.
    """
    check_jinja()
    for run in runs:
        run.info.require_classes(manifest.label_space, manifest.path)
    problems: list[str] = []
    records: list[dict[str, Any]] = []
    try:
        records = choose_records(runs, split, protocol)
    except TrainingError as error:
        problems.append(str(error))
    pictures, mixtures, missing = _pictures(runs, manifest, rows, thumbnail_size, device, on_image)
    space = manifest.label_space
    page = build_viewer_page(
        Viewer(tuple(run.name for run in runs), _LAYERS, tuple(pictures), space, (_SCORE, _MIXTURE_SCORE)),
        title=f"{'Trainings' if len(runs) > 1 else 'Training'} on {manifest.info.dataset or manifest.path.parent.name}",
        subtitle=", ".join(run.name for run in runs),
        template=_TEMPLATE,
        runs=runs,
        colors=RUN_COLORS,
        charts=_charts(runs),
        plot=plot,
        records=records,
        scored=describe_scores(records[0]) if records else "",
        unscored=problems[0] if problems else "",
        published=[published_of(run) for run in runs],
        source=published_source(),
        classes=space.classes,
        confusions=[Confusion.of(record, space) for record in records],
        mixtures=[summarize_mixtures(of_run) for of_run in mixtures],
        num_mixtures=len(mixtures[0]) if mixtures else 0,
        figures=figures,
        splits=sorted({row.split for row in rows}),
        scored_split=split,
    )
    data = page.encode()
    write_atomically(path, data)
    return PageSummary(path, len(pictures), len(data), (*problems, *missing))


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
    charts = [
        make_chart("Validation mIoU", " %", lines("val_miou", factor=100)),
        make_chart("Training-set mIoU", " %", training),
        make_chart("Loss", "", lines("loss")),
    ]
    return [chart for chart in charts if chart is not None]


def _pictures(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    thumbnail_size: int,
    device: torch.device | str,
    on_image: Callable[[], None],
) -> tuple[list[Picture], list[list[FittedMixture]], list[str]]:
    """The pictures of the page, the mixtures of each run, and what could not be read."""
    space = manifest.label_space
    series: list[list[PictureSeries]] = [[] for _ in rows]
    mixtures: list[list[FittedMixture]] = []
    for run in runs:
        of_run = []
        for position, (pictures, prediction) in enumerate(predict_rows(run, manifest, rows, device)):
            series[position].append(_series(pictures, prediction, space, thumbnail_size))
            if prediction is not None and prediction.mixture is not None:
                of_run.append(prediction.mixture)
            on_image()
        mixtures.append(of_run)
    shown: list[Picture] = []
    problems: list[str] = []
    for row, of_row in zip(rows, series, strict=True):
        pictures = read_pictures(manifest, row)
        problems += pictures.problems
        shared = _shared(pictures, space, thumbnail_size)
        note = " ".join(pictures.problems)
        shown.append(Picture(row.image_id, row.split, row.width, row.height, tuple(of_row), shared, note))
    return shown, mixtures, problems


def _shared(pictures: RowPictures, space: LabelSpace, thumbnail_size: int) -> dict[str, str]:
    size = fit_size(pictures.row.height, pictures.row.width, thumbnail_size)
    shared = {}
    if pictures.image is not None:
        shared["image"] = picture_uri(shrink_image(pictures.image, size))
    if pictures.truth is not None:
        shared["truth"] = picture_uri(veil(shrink_labels(pictures.truth, size), space), lossless=True)
    if pictures.annotation is not None:
        shared["marks"] = picture_uri(draw_marks(pictures.annotation, space, size), lossless=True)
    return shared


def _series(
    pictures: RowPictures, prediction: Prediction | None, space: LabelSpace, thumbnail_size: int
) -> PictureSeries:
    if prediction is None:
        return PictureSeries()
    size = fit_size(pictures.row.height, pictures.row.width, thumbnail_size)

    def layer(label_map: LabelMap) -> str:
        return picture_uri(veil(shrink_labels(label_map, size), space), lossless=True)

    layers, numbers = {"segmentation": layer(prediction.segmentation)}, {}
    present = [np.unique(prediction.segmentation)]
    if prediction.by_mixture is not None:
        layers["GMM"] = layer(prediction.by_mixture)
    if (truth := pictures.truth) is not None:
        present.append(np.unique(truth))
        small = shrink_labels(prediction.segmentation, size), shrink_labels(truth, size)
        layers["errors"] = picture_uri(error_veil(*small, space), lossless=True)
        for name, label_map in ((_SCORE, prediction.segmentation), (_MIXTURE_SCORE, prediction.by_mixture)):
            if label_map is not None and (score := image_miou(label_map, truth, space)) is not None:
                numbers[name] = round(score, 1)
    classes = tuple(int(c) for c in np.unique(np.concatenate(present)) if c < space.num_classes)
    return PictureSeries(layers, classes, numbers)
