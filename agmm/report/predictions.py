"""What a trained network says of pictures: its segmentation, its mixture, and the features of single pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from agmm.checkpoint import load_run
from agmm.evaluate import evaluating
from agmm.labelled_pixels import find_labelled
from agmm.metrics import ConfusionMatrix
from agmm.mixture import fit_mixture, mixture_probs
from agmm.report.pictures import RowPictures, read_pictures
from agmm.report.runs import Run
from agmm.samples import image_tensor, to_network
from data_manifests import LabelMap, LabelSpace, Manifest, ManifestRow
from data_manifests.row_files import read_row_image


@dataclass(frozen=True)
class FittedMixture:
    """The Gaussians of one picture.

    Args:
        classes: Train id of each, ascending, shape (M,).
        prototypes: Shape (M, D).
        variance: Shape (M,).
        num_labelled: Labelled pixels behind each, shape (M,).
    """

    classes: NDArray[np.int64]
    prototypes: NDArray[np.float32]
    variance: NDArray[np.float32]
    num_labelled: NDArray[np.int64]


@dataclass(frozen=True)
class Prediction:
    """What a network says of one picture.

    Args:
        segmentation: Train ids, shape (H, W).
        by_mixture: Class of the highest Gaussian, shape (H, W), unlabelled where all are 0; None without labels.
        mixture: The Gaussians; None without labels.
    """

    segmentation: LabelMap
    by_mixture: LabelMap | None
    mixture: FittedMixture | None


def predict_rows(
    run: Run, manifest: Manifest, rows: Sequence[ManifestRow], device: torch.device | str
) -> Iterator[tuple[RowPictures, Prediction | None]]:
    """Segment pictures in one piece, at their own size, and fit the mixture where they are annotated.

    Yields:
        For each row its pictures, and the prediction; None where the picture cannot be read.

    Raises:
        TrainingError: If the run cannot be loaded or its classes differ from the manifest's.
    """
    loaded = load_run(run.folder, device)
    loaded.info.require_classes(manifest.label_space, manifest.path)
    with evaluating(loaded.model, device):
        for row in rows:
            pictures = read_pictures(manifest, row)
            if pictures.image is None:
                yield pictures, None
                continue
            output = loaded.model(to_network(image_tensor(pictures.image), device))
            segmentation = _label_map(output.logits, manifest.label_space)
            by_mixture, mixture = None, None
            if pictures.annotation is not None:
                by_mixture, mixture = _fit(output.features, output.logits, pictures.annotation, run, device)
            yield pictures, Prediction(segmentation, by_mixture, mixture)


def read_features(
    run: Run, manifest: Manifest, pixels: Sequence[tuple[ManifestRow, NDArray[np.int64]]], device: torch.device | str
) -> NDArray[np.float32]:
    """The decoder's features at single pixels, read bilinearly as the mixture reads them.

    Args:
        run: The network.
        manifest: Where the rows come from.
        pixels: Rows, each with the (row, col) of some of its pixels, shape (n, 2).
        device: Where to compute.

    Returns:
        Shape (number of pixels, D).

    Raises:
        DataError: If the run cannot be loaded or a picture cannot be read.
    """
    loaded = load_run(run.folder, device)
    loaded.info.require_classes(manifest.label_space, manifest.path)
    found = []
    with evaluating(loaded.model, device):
        for row, positions in pixels:
            image = read_row_image(manifest, row)
            features = loaded.model(to_network(image_tensor(image), device)).features
            size = torch.tensor(image.shape[:2], dtype=torch.float32)
            at = (torch.from_numpy(positions) + 0.5) / size * 2 - 1
            grid = at.flip(1)[None, None].to(features)  # grid_sample takes (x, y)
            read = F.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)
            found.append(read[0, :, 0].T.float().cpu().numpy())
    return np.concatenate(found)


def image_miou(preds: LabelMap, truth: LabelMap, label_space: LabelSpace) -> float | None:
    """mIoU of one picture in per cent, over the classes that occur in it; None where all of it is void."""
    matrix = ConfusionMatrix(label_space.num_classes)
    unlabelled = label_space.unlabelled_value
    known = truth != unlabelled
    # Where all Gaussians are 0 the class is the first one, as in evaluation.
    chosen = np.where(preds == unlabelled, 0, preds)[known]
    matrix.update(
        torch.from_numpy(chosen.astype(np.int64)), torch.from_numpy(truth[known].astype(np.int64)), unlabelled
    )
    score = matrix.mean_iou()
    return None if score != score else 100 * score


def _fit(
    features: Tensor, logits: Tensor, annotation: LabelMap, run: Run, device: torch.device | str
) -> tuple[LabelMap, FittedMixture] | tuple[None, None]:
    space = run.label_space
    target = torch.from_numpy(annotation.astype(np.int64))[None].to(device)
    valid = torch.ones_like(target, dtype=torch.bool)
    ignore_index = space.unlabelled_value
    labelled = find_labelled(target, valid, num_classes=space.num_classes, ignore_index=ignore_index)
    if not len(labelled.pair_class):
        return None, None
    probs = mixture_probs(features, logits, target, valid, run.options, ignore_index=ignore_index)
    mixture = fit_mixture(features, logits, valid, labelled, run.options)
    fitted = FittedMixture(
        labelled.pair_class.cpu().numpy(), mixture.prototypes.float().cpu().numpy(),
        mixture.variance.float().cpu().numpy(), labelled.pair_pixels.cpu().numpy(),
    )  # fmt: skip
    return _label_map(probs, space), fitted


def _label_map(scores: Tensor, space: LabelSpace) -> LabelMap:
    """The class with the highest score of a batch of one; unlabelled where all scores are 0."""
    best, classes = scores[0].max(0)
    nothing = (best == 0) & (scores[0].amin(0) == 0)
    label_map: LabelMap = classes.masked_fill(nothing, space.unlabelled_value).cpu().numpy().astype(space.dtype)
    return label_map
