"""Predictions of a trained network: its segmentation, its mixture, and the features of single pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from agmm.config.loss import MixtureOptions
from agmm.data.bands import with_bands
from agmm.data.masked_images import image_tensor, to_network
from agmm.evaluation.metrics import ConfusionMatrix
from agmm.inference.protocols import evaluating
from agmm.losses.bilinear import resize_map
from agmm.losses.labelled_pixels import find_labelled
from agmm.losses.mixture import fit_mixture
from agmm.losses.prototypes import row_blocks
from agmm.models.network import SegmentationModel, SegmentationOutput
from agmm.report.images import RowImages, read_images
from agmm.report.problems import OnProblem, valid_results
from agmm.report.run import Run
from agmm.runs.checkpoint import load_run
from data_manifests import LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.manifest.rows import read_row_image


@dataclass(frozen=True)
class FittedMixture:
    """The Gaussians of one image.

    Args:
        classes: Train ids of the Gaussians, ascending, shape (M,).
        prototypes: Means, shape (M, D).
        variance: Variances, shape (M,).
        num_labelled: Number of labelled pixels behind each, shape (M,).
    """

    classes: NDArray[np.int64]
    prototypes: NDArray[np.float32]
    variance: NDArray[np.float32]
    num_labelled: NDArray[np.int64]


@dataclass(frozen=True)
class Prediction:
    """Predictions of a network for one image.

    Args:
        segmentation: Train ids, shape (H, W).
        by_mixture: Class of the highest Gaussian, shape (H, W), unlabelled where all are 0; None without labels.
        mixture: The Gaussians; None without labels.
        features: Features of the requested pixels, shape (n, D); None if none were requested.
    """

    segmentation: LabelMap
    by_mixture: LabelMap | None
    mixture: FittedMixture | None
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class PredictedRow:
    """A row of a manifest with the prediction of every run.

    Args:
        images: Its files.
        predictions: One per run; None if the image cannot be read or the run cannot be loaded.
    """

    images: RowImages
    predictions: tuple[Prediction | None, ...]


def predict_rows(
    runs: Sequence[Run],
    manifest: Manifest,
    rows: Sequence[ManifestRow],
    device: torch.device | str,
    *,
    pixels: Mapping[str, NDArray[np.int64]] | None = None,
    on_image: Callable[[], None] = lambda: None,
    on_problem: OnProblem = None,
) -> Iterator[PredictedRow]:
    """Segment whole images at their own size, and fit the mixture to annotated ones.

    Each image is read once and passes through each network once.

    Args:
        runs: The networks; all of them are loaded together.
        manifest: Manifest of the rows.
        rows: The images.
        device: Device to compute on.
        pixels: By image id, (row, col) of the pixels whose features to return, shape (n, 2).
        on_image: Called after each image of each run.
        on_problem: Called with a message for each run that cannot be loaded, which then has no predictions. By default
            such runs are errors.

    Raises:
        TrainingError: If a run cannot be loaded or its classes differ from the manifest's.
    """
    models = valid_results(runs, lambda run: _load(run, manifest, device), on_problem)
    for row in rows:
        images = read_images(manifest, row)
        at = (pixels or {}).get(row.image_id)
        predictions: list[Prediction | None] = []
        for number, run in enumerate(runs):
            if images.image is None or number not in models:
                predictions.append(None)
            else:
                image = _network_image(run, manifest, row, images.image)
                predictions.append(_predict(run, models[number], image, images.annotation, at, device))
            on_image()
        yield PredictedRow(images, tuple(predictions))


def read_features(
    run: Run,
    manifest: Manifest,
    pixels: Sequence[tuple[ManifestRow, NDArray[np.int64]]],
    device: torch.device | str,
    on_image: Callable[[], None] = lambda: None,
) -> NDArray[np.float32]:
    """Read the decoder's features at single pixels, interpolated bilinearly as for the mixture.

    Args:
        run: The network.
        manifest: Manifest of the rows.
        pixels: Rows, each with the (row, col) of some of its pixels, shape (n, 2).
        device: Device to compute on.
        on_image: Called after each image.

    Returns:
        Features, shape (number of pixels, D).

    Raises:
        DataError: If the run cannot be loaded or an image cannot be read.
    """
    model = _load(run, manifest, device)
    found = []
    with evaluating(model, device):
        for row, positions in pixels:
            image = read_row_image(with_bands(manifest, run.info.config), row)
            features = model(to_network(image_tensor(image), device)).features
            found.append(_features_at(features, positions, image.shape[:2]))
            on_image()
    return np.concatenate(found)


def image_miou(preds: LabelMap, truth: LabelMap, label_space: LabelSpace) -> float | None:
    """mIoU of one image in percent, over the classes that occur in it; None if it is entirely void."""
    matrix = ConfusionMatrix(label_space.num_classes)
    unlabelled = label_space.unlabelled_value
    # Where all Gaussians are 0, the first class wins, as in evaluation.
    chosen = np.where(preds == unlabelled, 0, preds)
    matrix.update(torch.from_numpy(chosen.astype(np.int64)), torch.from_numpy(truth.astype(np.int64)), unlabelled)
    score = matrix.mean_iou()
    return None if score != score else 100 * score


def _network_image(run: Run, manifest: Manifest, row: ManifestRow, shown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image as the network reads it; equals the displayed image unless the run names bands."""
    config = run.info.config
    return read_row_image(with_bands(manifest, config), row) if config.bands else shown


def _load(run: Run, manifest: Manifest, device: torch.device | str) -> SegmentationModel:
    loaded = load_run(run.folder, device)
    loaded.info.require_classes(manifest.label_space, manifest.path)
    return loaded.model


def _predict(
    run: Run,
    model: SegmentationModel,
    image: NDArray[np.uint8],
    annotation: LabelMap | None,
    pixels: NDArray[np.int64] | None,
    device: torch.device | str,
) -> Prediction:
    with evaluating(model, device):
        output = model(to_network(image_tensor(image), device))
        segmentation: LabelMap = output.logits[0].max(0).indices.cpu().numpy().astype(run.label_space.dtype)
        by_mixture, mixture = (
            (None, None) if annotation is None else _fit(output, annotation, run.label_space, run.options)
        )
        features = None if pixels is None else _features_at(output.features, pixels, image.shape[:2])
    return Prediction(segmentation, by_mixture, mixture, features)


def _features_at(features: Tensor, pixels: NDArray[np.int64], size: Sequence[int]) -> NDArray[np.float32]:
    """Interpolate features of shape (1, D, h, w) bilinearly at (row, col) of an image with the given size."""
    at = (torch.from_numpy(pixels) + 0.5) / torch.tensor(size, dtype=torch.float32) * 2 - 1
    grid = at.flip(1)[None, None].to(features)  # grid_sample takes (x, y)
    read = F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)
    found: NDArray[np.float32] = read[0, :, 0].T.float().cpu().numpy()
    return found


def _fit(
    output: SegmentationOutput, annotation: LabelMap, space: LabelSpace, options: MixtureOptions
) -> tuple[LabelMap, FittedMixture] | tuple[None, None]:
    """Return the class of the highest Gaussian at each pixel (see ``agmm.mixture_probs``), and the Gaussians."""
    target = torch.from_numpy(annotation.astype(np.int64))[None].to(output.logits.device)
    valid = torch.ones_like(target, dtype=torch.bool)
    labelled = find_labelled(target, valid, num_classes=space.num_classes, ignore_index=space.unlabelled_value)
    if not len(labelled.pair_class):
        return None, None
    mixture = fit_mixture(output.features, output.logits, valid, labelled, options)
    best, pair = _highest(mixture.density, labelled.target_size)
    classes = labelled.pair_class[pair].masked_fill(best == 0, space.unlabelled_value)
    fitted = FittedMixture(
        labelled.pair_class.cpu().numpy(), mixture.prototypes.float().cpu().numpy(),
        mixture.variance.float().cpu().numpy(), labelled.pair_pixels.cpu().numpy(),
    )  # fmt: skip
    return classes.cpu().numpy().astype(space.dtype), fitted


def _highest(density: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Resize Gaussians, shape (M, h, w); return the highest of each pixel and its number, shape ``size``."""
    best, pair = density.new_empty(size), torch.empty(size, dtype=torch.int64, device=density.device)
    wide = resize_map(density.shape[2], size[1], density.device, density.dtype)(density, 2)
    for rows in row_blocks(size[0], len(density) * size[1], density.device):  # all rows would not fit the cache
        resized = resize_map(density.shape[1], size[0], density.device, density.dtype, rows.start, rows.stop)(wide, 1)
        best[rows], pair[rows] = resized.max(0)
    return best, pair
