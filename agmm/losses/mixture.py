"""The Gaussian mixture: one Gaussian in feature space for each image and each class labelled in it.

Quantities per image and class are stored as one list over the M pairs (image, class) that occur, sorted by image and
class. Nothing is computed for classes without a label, and a batch without labels is an empty list.
Equation numbers refer to ``docs/method.md``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from agmm.config.loss import MixtureOptions
from agmm.losses.bilinear import resize, resize_map
from agmm.losses.labelled_pixels import LabelledPixels, find_labelled, with_classes_of_batch
from agmm.losses.prototypes import loss_dtype, prototypes_and_distances, row_blocks, same_class

#: Guards divisions and logarithms.
EPSILON = 1e-6


def probs_at(logits: Tensor, labelled: LabelledPixels, size: tuple[int, int]) -> Tensor:
    """Compute the softmax of the logits, resized bilinearly to ``size``, for the M pairs only and without gradient.

    The softmax is computed only for the four pixels that each position interpolates.

    Args:
        logits: Raw scores, shape (N, C, H, W).
        labelled: The M pairs.
        size: Height and width of the result.

    Returns:
        Probabilities, shape (M, height, width), 0..1.
    """
    dtype, device, num_classes = loss_dtype(logits), logits.device, logits.shape[1]
    columns = resize_map(logits.shape[3], size[1], device, dtype)
    column_list = columns.index.T.flatten()
    plane = labelled.pair_image * num_classes + labelled.pair_class
    result = logits.new_empty((len(plane), *size), dtype=dtype)
    pixels = logits.detach().permute(0, 2, 3, 1)
    for part in row_blocks(size[0], 4 * logits.shape[0] * num_classes * size[1], device):
        rows = resize_map(logits.shape[2], size[0], device, dtype, part.start, part.stop)
        read = pixels[:, rows.index.T.reshape(-1, 1), column_list].permute(0, 3, 1, 2).to(dtype).softmax(1)
        read = read.flatten(0, 1).index_select(0, plane)
        left, right = read.chunk(2, dim=-1)
        upper, lower = (left * columns.weight[:, 0] + right * columns.weight[:, 1]).chunk(2, dim=1)
        result[:, part] = upper * rows.weight[:, :1] + lower * rows.weight[:, 1:]
    return result


def adaptive_variance(squared_distances: Tensor, probs: Tensor, share: Tensor | None = None) -> Tensor:
    """Variance of each pair: the mean of its squared distances, weighted by the predictions (eq. 3), without gradient.

    Args:
        squared_distances: Squared distances, shape (M, h, w).
        probs: Predicted probability of the pair's class, 0 on padding, shape (M, h, w).
        share: Pairs that share a variance, as 0 and 1, shape (M, M); by default none do.

    Returns:
        Variances, shape (M,).
    """
    weighted, weights = (squared_distances.detach() * probs).sum((1, 2)), probs.sum((1, 2))
    if share is not None:
        weighted, weights = share @ weighted, share @ weights
    return weighted / (weights + EPSILON)


def gaussian(squared_distances: Tensor, variance: Tensor | float) -> Tensor:
    """exp(-d^2 / (2 variance)) (eq. 4), in the shape of ``squared_distances``, (M, h, w); ``variance`` is (M,)."""
    if isinstance(variance, Tensor):
        return torch.exp(-squared_distances / (2 * variance + EPSILON)[:, None, None])
    return torch.exp(-squared_distances / (2 * variance))


@dataclass(frozen=True)
class Mixture:
    """The Gaussians of a batch.

    Args:
        labelled: The labelled pixels and the M pairs.
        prototypes: Means, shape (M, D).
        variance: Variances, shape (M,).
        density: The Gaussians at the size of the features, 0..1, shape (M, h, w).
    """

    labelled: LabelledPixels
    prototypes: Tensor
    variance: Tensor
    density: Tensor

    def responsibilities(self) -> Tensor:
        """Share of each Gaussian among those of its image at each position (eq. 6a), 0..1, shape (M, h, w)."""
        images = self.labelled.pair_image
        sums = self.density.new_zeros((len(self.labelled.pairs_per_image), *self.density.shape[1:]))
        return self.density / (sums.index_add(0, images, self.density)[images] + EPSILON)


def fit_mixture(
    features: Tensor, logits: Tensor, valid: Tensor, labelled: LabelledPixels, options: MixtureOptions
) -> Mixture:
    """Compute the Gaussians of a batch (eq. 1 to 4).

    Args:
        features: Features, shape (N, D, h, w).
        logits: Raw scores, shape (N, C, H, W); they weight the adaptive variance and get no gradient from it.
        valid: False on padding, bool, shape (N, H, W).
        labelled: The labelled pixels.
        options: Options of the mixture.
    """
    size = (features.shape[2], features.shape[3])
    if options.classes == "batch":
        labelled = with_classes_of_batch(labelled)
    prototypes, squared = prototypes_and_distances(features, labelled, options.distance, options.prototypes)
    real = resize(valid.to(squared.dtype), size)[labelled.pair_image]
    if options.mask_distance:
        squared = squared * real.square()
    if options.variance == "fixed":
        variance = squared.new_full((len(squared),), options.fixed_variance)
        return Mixture(labelled, prototypes, variance, gaussian(squared, options.fixed_variance))
    share = same_class(labelled).to(squared.dtype) if options.prototypes == "batch" else None
    variance = adaptive_variance(squared, probs_at(logits, labelled, size).mul_(real), share)
    return Mixture(labelled, prototypes, variance, gaussian(squared, variance))


@torch.no_grad()
def mixture_probs(
    features: Tensor,
    logits: Tensor,
    target: Tensor,
    valid: Tensor,
    options: MixtureOptions | None = None,
    *,
    ignore_index: int = 255,
) -> Tensor:
    """Evaluate the Gaussians at every pixel; their argmax over classes is the prediction of the mixture.

    Args:
        features: Features, shape (N, D, h, w).
        logits: Raw scores, shape (N, C, H, W).
        target: Class ids, int64, shape (N, H, W).
        valid: False on padding, bool, shape (N, H, W).
        options: Options of the mixture; by default the paper's.
        ignore_index: The value of ``target`` where there is no label.

    Returns:
        Gaussians, shape (N, C, H, W), 0..1; 0 for classes not labelled in the image.
    """
    labelled = find_labelled(target, valid, num_classes=logits.shape[1], ignore_index=ignore_index)
    with torch.autocast(features.device.type, enabled=False):
        mixture = fit_mixture(features, logits, valid, labelled, options or MixtureOptions())
    probs = mixture.density.new_zeros(logits.shape)
    pairs = mixture.labelled
    probs[pairs.pair_image, pairs.pair_class] = resize(mixture.density, labelled.target_size)
    return probs
