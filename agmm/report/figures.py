"""The figures of the paper's supplement, drawn from your own runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from agmm.data.resize import Rgb, fit_size, shrink_image, shrink_labels
from agmm.errors import TrainingError
from agmm.inference.protocols import require_annotations
from agmm.report.images import RowImages, lay_over
from agmm.report.predictions import PredictedRow, Prediction, predict_rows
from agmm.report.problems import OnProblem, valid_results
from agmm.report.run import Run
from agmm.report.style import (
    COLUMN_WIDTH,
    LEGEND_MARGIN,
    LINE_HEIGHT,
    break_lines,
    check_figure,
    class_legend,
    legend_height,
    new_figure,
    plain_grid,
    run_color,
)
from data_manifests import LabelClass, LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.figures.drawing import VOID_COLOR, colorize
from data_manifests.figures.labels import draw_labels
from data_manifests.figures.style import DOTS_PER_INCH, FAINT, INK, TEXT_WIDTH, save_figure, styled

#: A cell of a grid: an image (three axes), a label map (two axes), or an image with its sparse labels.
_Content = Rgb | LabelMap | tuple[Rgb, LabelMap]

_GAP = 0.035  # between the images of a grid, in inches
_TALLEST = 3.0  # largest height of an image, in column widths


def draw_training_curves(runs: Sequence[Run], paths: Sequence[Path], on_problem: OnProblem = None) -> None:
    """Draw training-set mIoU of segmentation and mixture by epoch, with baselines, and their difference (figure 2).

    Args:
        runs: Runs without mixture terms in their loss are baselines.
        paths: Files to write, each ending in .png or .pdf.
        on_problem: Called with a message for each run without the curves, which is then omitted. By default such runs
            are errors.

    Raises:
        TrainingError: If a run has not recorded the curves, no run is left, or matplotlib is not installed.
        ValueError: If a path has another ending.
    """
    check_figure(paths)
    shown = valid_results(runs, require_curves, on_problem)
    with styled():
        figure = new_figure(COLUMN_WIDTH, 3.5)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
        several = len(shown) > 1
        for number in shown:
            run, color = runs[number], run_color(number)
            name = f"{run.name}: " if several else ""
            segmentation, mixture = dict(run.curve("train_miou")), dict(run.curve("gmm_miou"))
            dashes = "--" if not run.uses_mixture else "-"
            words = "segmentation" if run.uses_mixture else "segmentation (baseline)"
            top.plot(list(segmentation), _percent(segmentation.values()), dashes, color=color, label=name + words)
            if not run.uses_mixture:
                continue
            top.plot(list(mixture), _percent(mixture.values()), ":", color=color, label=name + "GMM")
            both = [epoch for epoch in segmentation if epoch in mixture]
            gap = _percent(mixture[epoch] - segmentation[epoch] for epoch in both)
            bottom.plot(both, gap, color=color)
        top.set_ylabel("training-set mIoU (%)")
        bottom.set_ylabel("GMM − seg.")
        bottom.margins(x=0.02)
        bottom.set_xlabel("epoch")
        bottom.axhline(0, color=FAINT, linewidth=0.6)
        bottom.xaxis.get_major_locator().set_params(integer=True)
        for axes in (top, bottom):
            plain_grid(axes)
        handles, labels = top.get_legend_handles_labels()
        labels = [break_lines(label, COLUMN_WIDTH - LEGEND_MARGIN) for label in labels]
        figure.legend(handles, labels, loc="outside upper center", ncols=1 if several else 2, handlelength=2.2)
        num_lines = sum(1 + label.count("\n") for label in labels) if several else 1
        figure.set_figheight(3.3 + LINE_HEIGHT * num_lines)
    save_figure(figure, paths)


def require_curves(run: Run) -> None:
    """Check that a run has recorded training-set mIoU.

    Raises:
        TrainingError: If it has not; the message names the option that records it.
    """
    if not run.curve("train_miou") or not run.curve("gmm_miou"):
        raise TrainingError(
            f"{run.folder}: its log has no training-set mIoU of segmentation and mixture. Train with --gmm-images 50 "
            "to record both on 50 training images after every validated epoch."
        )


def draw_gmm_predictions(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    paths: Sequence[Path],
    *,
    device: torch.device | str = "cpu",
    on_image: Callable[[], None] = lambda: None,
    on_problem: OnProblem = None,
) -> None:
    """Draw a grid of images with labels, segmentation, class of the highest Gaussian, and ground truth (figure 1).

    Args:
        runs: Two columns per run.
        manifest: Manifest of the rows.
        rows: Annotated images, one per row of the grid.
        paths: Files to write, each ending in .png or .pdf.
        device: Device to compute on.
        on_image: Called after each image of each run.
        on_problem: Called with a message for each run that cannot be loaded, which is then omitted. By default such
            runs are errors.

    Raises:
        DataError: If an image has no annotation or cannot be read, or matplotlib is not installed.
        ValueError: If a path has another ending.
    """
    check_figure(paths)
    require_annotations(manifest, rows)
    predicted = list(predict_rows(runs, manifest, rows, device, on_image=on_image, on_problem=on_problem))
    plot_gmm_predictions(runs, predicted, manifest.label_space, paths)


def plot_gmm_predictions(
    runs: Sequence[Run], predicted: Sequence[PredictedRow], label_space: LabelSpace, paths: Sequence[Path]
) -> None:
    """Draw the figure of ``draw_gmm_predictions`` from existing predictions, for the runs that have them."""
    runs, predicted = _with_predictions(runs, predicted)
    titles = ["image and labels"]
    for run in runs:
        of_run = f"{run.name}\n" if len(runs) > 1 else ""
        titles += [f"{of_run}segmentation", f"{of_run}GMM"]
    grid: list[list[_Content | None]] = []
    for row in predicted:
        maps = [m for prediction in _complete(row) for m in (prediction.segmentation, prediction.by_mixture)]
        grid.append([_labelled(row.images), *maps, *_truth(row, predicted)])
    _draw_grid(grid, titles + _truth_title(predicted), label_space, paths)


def draw_qualitative(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    paths: Sequence[Path],
    *,
    device: torch.device | str = "cpu",
    on_image: Callable[[], None] = lambda: None,
    on_problem: OnProblem = None,
) -> None:
    """Draw a grid of images, the segmentation of each run, and ground truth (figures 4 and 6).

    Annotated images also get a column with their labels. Arguments and errors are those of ``draw_gmm_predictions``,
    except that rows need no annotation.
    """
    check_figure(paths)
    predicted = list(predict_rows(runs, manifest, rows, device, on_image=on_image, on_problem=on_problem))
    plot_qualitative(runs, predicted, manifest.label_space, paths)


def plot_qualitative(
    runs: Sequence[Run], predicted: Sequence[PredictedRow], label_space: LabelSpace, paths: Sequence[Path]
) -> None:
    """Draw the figure of ``draw_qualitative`` from existing predictions, for the runs that have them."""
    runs, predicted = _with_predictions(runs, predicted)
    annotated = any(row.images.annotation is not None for row in predicted)
    grid: list[list[_Content | None]] = []
    for row in predicted:
        labelled = [_labelled(row.images)] if annotated else []
        maps = [prediction.segmentation for prediction in _complete(row)]
        grid.append([row.images.image, *labelled, *maps, *_truth(row, predicted)])
    titles = ["image", *(["labels"] if annotated else []), *(run.name for run in runs)]
    _draw_grid(grid, titles + _truth_title(predicted), label_space, paths)


def _truth_title(predicted: Sequence[PredictedRow]) -> list[str]:
    """Title of the last column, which is omitted if no image has a full mask."""
    return ["truth"] if any(row.images.truth is not None for row in predicted) else []


def _truth(row: PredictedRow, predicted: Sequence[PredictedRow]) -> list[LabelMap | None]:
    return [row.images.truth] if _truth_title(predicted) else []


def _with_predictions(runs: Sequence[Run], predicted: Sequence[PredictedRow]) -> tuple[list[Run], list[PredictedRow]]:
    """Drop runs without any prediction, unless no run has one."""
    numbers = range(len(runs))
    kept = [number for number in numbers if any(row.predictions[number] for row in predicted)] or numbers
    rows = [replace(row, predictions=tuple(row.predictions[number] for number in kept)) for row in predicted]
    return [runs[number] for number in kept], rows


def _complete(row: PredictedRow) -> list[Prediction]:
    """Return the predictions of a row whose files were all readable."""
    found = [prediction for prediction in row.predictions if prediction is not None]
    if row.images.problems or len(found) < len(row.predictions):
        raise TrainingError(row.images.problems[0])
    return found


def _labelled(images: RowImages) -> _Content | None:
    if images.image is None or images.annotation is None:
        return images.image
    return images.image, images.annotation


def _draw_grid(
    grid: Sequence[Sequence[_Content | None]],
    titles: Sequence[str],
    label_space: LabelSpace,
    paths: Sequence[Path],
) -> None:
    """Draw images, label maps and images with labels in rows and columns, with a legend below."""
    num_columns = len(titles)
    cell = (TEXT_WIDTH - _GAP * (num_columns - 1)) / num_columns
    sizes = [next(_shape(content) for content in row if content is not None) for row in grid]
    heights = [cell * min(height / width, _TALLEST) for height, width in sizes]
    present = classes_shown(grid, label_space)
    titles = [break_lines(title, cell) for title in titles]
    top = LINE_HEIGHT * (1 + max(title.count("\n") for title in titles)) + 0.03
    bottom = legend_height(present, TEXT_WIDTH)
    total = top + sum(heights) + _GAP * (len(grid) - 1) + bottom
    with styled():
        figure = new_figure(TEXT_WIDTH, total, constrained=False)
        y = total - top
        for number, (row, size, height) in enumerate(zip(grid, sizes, heights, strict=True)):
            wide = height * size[1] / size[0]
            for column, content in enumerate(row):
                left = column * (cell + _GAP) + (cell - wide) / 2
                box = (left / TEXT_WIDTH, (y - height) / total, wide / TEXT_WIDTH, height / total)
                axes = figure.add_axes(box)
                axes.axis("off")
                if content is not None:
                    room = round(max(wide, height) * DOTS_PER_INCH)
                    drawn = _render(content, label_space, fit_size(*size, room))
                    axes.imshow(drawn, interpolation="none", aspect="auto")
                if number == 0:
                    x = (left + cell / 2) / TEXT_WIDTH
                    figure.text(x, (y + 0.04) / total, titles[column], ha="center", va="bottom", color=INK)
            y -= height + _GAP
        class_legend(figure, present, (bottom - 0.06) / total)
    save_figure(figure, paths)


def _render(content: _Content, label_space: LabelSpace, size: tuple[int, int]) -> Rgb:
    if isinstance(content, tuple):
        image, annotation = content
        return lay_over(shrink_image(image, size), draw_labels(annotation, label_space, size, dot_share=0.035))
    if content.ndim == 2:
        return colorize(shrink_labels(content, size), label_space)
    return shrink_image(content, size)  # type: ignore[arg-type]


def _shape(content: _Content) -> tuple[int, int]:
    height, width = (content[0] if isinstance(content, tuple) else content).shape[:2]
    return height, width


def classes_shown(grid: Sequence[Sequence[_Content | None]], label_space: LabelSpace) -> list[LabelClass]:
    """Classes for the legend of a grid: those of its label maps and labels, and void if a label map shows it."""
    ids: set[int] = set()
    for content in (content for row in grid for content in row if content is not None):
        labels = content[1] if isinstance(content, tuple) else content
        if labels.ndim == 2:
            found = set(np.flatnonzero(np.bincount(labels.ravel())).tolist())
            ids |= found - {label_space.unlabelled_value} if isinstance(content, tuple) else found
    void = [LabelClass("void", VOID_COLOR, ())] if label_space.unlabelled_value in ids else []
    return [label_space.classes[i] for i in sorted(ids - {label_space.unlabelled_value})] + void


def _percent(values: Iterable[float]) -> list[float]:
    return [100 * value for value in values]
