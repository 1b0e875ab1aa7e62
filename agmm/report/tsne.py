"""t-SNE of features at the same pixels in several networks (figure 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agmm.config.outputs import MAX_TSNE_RUNS
from agmm.errors import TrainingError
from agmm.report.predictions import read_features
from agmm.report.problems import OnProblem, valid_results
from agmm.report.run import Run
from agmm.report.style import (
    COLUMN_WIDTH,
    LINE_HEIGHT,
    break_lines,
    check_figure,
    class_legend,
    legend_height,
    new_figure,
    to_unit,
)
from data_manifests import LabelSpace, Manifest, ManifestRow
from data_manifests.figures.style import INK, LINE, TEXT_WIDTH, save_figure, styled
from data_manifests.manifest.rows import read_row_full_mask


def sample_pixels(
    manifest: Manifest, rows: Sequence[ManifestRow], pixels_per_class: int = 100, seed: int = 0
) -> tuple[list[tuple[ManifestRow, NDArray[np.int64]]], NDArray[np.int64]]:
    """Choose random pixels of the full masks, equally many per class, spread over the images that contain it.

    Args:
        manifest: Manifest of the rows.
        rows: Images with full masks.
        pixels_per_class: Number of pixels per class; a class with fewer contributes all.
        seed: Equal seeds give equal pixels.

    Returns:
        Rows, each with the (row, col) of its pixels, and the class of every pixel in the same order.

    Raises:
        DataError: If a mask is missing or cannot be read.
    """
    rng = np.random.default_rng(seed)
    num_classes = manifest.label_space.num_classes
    # The first draw, from each image, bounds memory; the second is balanced over images.
    drawn: list[list[NDArray[np.int64]]] = []
    for row in rows:
        truth = read_row_full_mask(manifest, row)
        by_class = []
        for class_id in range(num_classes):
            places = np.argwhere(truth == class_id)
            by_class.append(places[rng.permutation(len(places))[:pixels_per_class]])
        drawn.append(by_class)
    chosen: list[list[NDArray[np.int64]]] = [[] for _ in rows]
    classes: list[list[int]] = [[] for _ in rows]
    for class_id in range(num_classes):
        for image, share in enumerate(_even_shares([len(d[class_id]) for d in drawn], pixels_per_class)):
            chosen[image].append(drawn[image][class_id][:share])
            classes[image] += [class_id] * share
    pixels = [(row, np.concatenate(places)) for row, places in zip(rows, chosen, strict=True) if sum(map(len, places))]
    return pixels, np.array([class_id for of_row in classes for class_id in of_row], np.int64)


def draw_tsne(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    paths: Sequence[Path],
    *,
    pixels_per_class: int = 100,
    seed: int = 0,
    device: torch.device | str = "cpu",
    on_image: Callable[[], None] = lambda: None,
    on_problem: OnProblem = None,
) -> None:
    """Draw the features of one to three runs at the same pixels, one panel per run.

    Args:
        runs: One to three runs, such as baseline, stopped gradient, and AGMM.
        manifest: Manifest of the rows.
        rows: Images with full masks that provide the pixels.
        paths: Files to write, each ending in .png or .pdf.
        pixels_per_class: Number of pixels per class.
        seed: Seed of the pixels and of t-SNE.
        device: Device to compute the features on.
        on_image: Called after each image of each run.
        on_problem: Called with a message for each run that cannot be loaded, which is then omitted. By default such
            runs are errors.

    Raises:
        DataError: If files cannot be read, there are too few pixels, or matplotlib or scikit-learn is not installed.
        ValueError: If there are more runs, or a path has another ending.
    """
    if not 1 <= len(runs) <= MAX_TSNE_RUNS:
        raise ValueError(f"The t-SNE figure shows one to {MAX_TSNE_RUNS} runs, got {len(runs)}.")
    check_figure(paths)
    pixels, classes = sample_pixels(manifest, rows, pixels_per_class, seed)
    features = valid_results(runs, lambda run: read_features(run, manifest, pixels, device, on_image), on_problem)
    shown = [runs[number] for number in features]
    plot_tsne(shown, list(features.values()), classes, manifest.label_space, paths, seed)


def plot_tsne(
    runs: Sequence[Run],
    features: Sequence[NDArray[np.float32]],
    classes: NDArray[np.int64],
    label_space: LabelSpace,
    paths: Sequence[Path],
    seed: int = 0,
) -> None:
    """Draw the figure of ``draw_tsne`` from existing features.

    Args:
        runs: One to three runs.
        features: Features of each run, shape (n, D).
        classes: True class of the pixels, shape (n,).
        label_space: The classes.
        paths: Files to write.
        seed: Seed of t-SNE.
    """
    layouts = [lay_out(of_run, seed) for of_run in features]
    present = [label_space.classes[i] for i in np.unique(classes)]
    width = COLUMN_WIDTH if len(runs) == 1 else TEXT_WIDTH
    panel, bottom = width / len(runs), legend_height(present, width)
    titles = [break_lines(run.name, panel) for run in runs] if len(runs) > 1 else []
    top = LINE_HEIGHT * (1 + max(title.count("\n") for title in titles)) if titles else 0.02
    height = top + panel + bottom
    order = np.random.default_rng(seed).permutation(len(classes))  # so that no class covers all others
    colors = np.array([to_unit(c.color) for c in label_space.classes])[classes[order]]
    with styled():
        figure = new_figure(width, height, constrained=False)
        for number, layout in enumerate(layouts):
            axes = figure.add_axes((number / len(runs) + 0.005, bottom / height, 1 / len(runs) - 0.01, panel / height))
            axes.spines[["top", "right"]].set_visible(True)
            axes.spines[:].set_color(LINE)
            axes.set(xticks=[], yticks=[])
            axes.margins(0.03)
            x, y = layout[order].T
            axes.scatter(x, y, s=5, c=colors, linewidths=0.15, edgecolors=INK)
        for number, title in enumerate(titles):
            figure.text((number + 0.5) / len(runs), 1 - 0.03 / height, title, ha="center", va="top")
        class_legend(figure, present, (bottom - 0.06) / height)
    save_figure(figure, paths)


def lay_out(features: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Project features of shape (n, D) to positions of shape (n, 2) with scikit-learn's t-SNE.

    Raises:
        TrainingError: If there are fewer than 5 pixels, or scikit-learn is not installed.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError as error:
        raise TrainingError("t-SNE needs scikit-learn: pip install 'sparsekit-agmm[figures]'.") from error
    if len(features) < 5:
        raise TrainingError(f"t-SNE needs at least 5 pixels, got {len(features)}. Take more with --pixels-per-class.")
    perplexity = min(30.0, (len(features) - 1) / 3)
    tsne = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, n_jobs=1)
    return np.asarray(tsne.fit_transform(features), np.float32)


def _even_shares(available: Sequence[int], wanted: int) -> list[int]:
    """Distribute ``wanted`` evenly without exceeding what is available.

    Example:
        >>> _even_shares([1, 9, 9], 9)
        [1, 4, 4]
    """
    shares, left = [0] * len(available), wanted
    # Smallest first: the others make up for what these lack.
    for done, i in enumerate(sorted(range(len(available)), key=available.__getitem__)):
        shares[i] = min(available[i], left // (len(available) - done))
        left -= shares[i]
    return shares
