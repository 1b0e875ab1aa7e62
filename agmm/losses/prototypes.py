"""Class prototypes, and the distance of every feature to the prototypes of its image.

Equation numbers refer to ``docs/method.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from agmm.config.loss import Distance, Prototypes
from agmm.distributed import widest_float
from agmm.losses.bilinear import resize_map
from agmm.losses.labelled_pixels import LabelledPixels, send


def prototypes_and_distances(
    features: Tensor, labelled: LabelledPixels, distance: Distance = "l2", over: Prototypes = "image"
) -> tuple[Tensor, Tensor]:
    """Compute prototypes (eq. 1 or 1a) and the squared distance of every feature to those of its image (eq. 2).

    One function computes both, so that the backward pass writes the gradient of ``features`` once. Distances are
    computed for a few rows at a time. Euclidean distances come from a matrix product in float64, in which
    ``|f|^2 + |mu|^2 - 2 f mu`` is exact to float32 precision. There is no square root, so the gradient is also exact at
    distance 0.

    Args:
        features: Features, shape (N, D, h, w).
        labelled: The M pairs.
        distance: ``l2``, or ``l1_mean``, the mean absolute difference over the channels.
        over: Labelled pixels that a prototype averages: those of its ``image``, or of all images of the ``batch``.

    Returns:
        Prototypes, shape (M, D), and squared distances, shape (M, h, w); float32 (float64 for float64 features).
    """
    prototypes, squared = _PrototypesAndDistances.apply(features, labelled, distance, over)  # type: ignore[no-untyped-call]
    return prototypes, squared


def loss_dtype(values: Tensor) -> torch.dtype:
    """Return the type to compute in: float32, or float64 for float64 values."""
    return torch.promote_types(values.dtype, torch.float32)


def same_class(labelled: LabelledPixels) -> Tensor:
    """Whether two pairs have the same class, bool, shape (M, M)."""
    return labelled.pair_class[:, None] == labelled.pair_class[None, :]


def row_blocks(num_rows: int, values_per_row: int, device: torch.device) -> Iterator[slice]:
    """Split rows into blocks whose temporary arrays fit a CPU's cache, or are small compared to a GPU's memory."""
    values = 2**20 if device.type == "cpu" else 2**24
    step = max(1, values // max(1, values_per_row))
    for start in range(0, num_rows, step):
        yield slice(start, min(start + step, num_rows))


class _PrototypesAndDistances(torch.autograd.Function):
    """See :func:`prototypes_and_distances`."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, labelled: LabelledPixels, distance: Distance, over: Prototypes
    ) -> tuple[Tensor, Tensor]:
        touched = _touched_positions(features, labelled)
        prototypes = _read_prototypes(features, labelled, *touched)
        shares = _shares(labelled, prototypes) if over == "batch" else None
        if shares is not None:
            prototypes = shares @ prototypes
        squared = prototypes.new_empty((len(prototypes), *features.shape[2:]))
        measure = _l2_squared if distance == "l2" else _l1_squared
        for image, mu, out in zip(features, *_by_image(labelled, prototypes, squared), strict=True):
            for rows, x, centred in _feature_blocks(image, mu, distance):
                out[:, rows] = measure(x, centred).view(out[:, rows].shape)
        ctx.save_for_backward(features, prototypes, squared, *touched)
        ctx.labelled, ctx.distance, ctx.shares = labelled, distance, shares
        return prototypes, squared

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_prototypes: Tensor, grad_squared: Tensor) -> tuple[Tensor, None, None, None]:
        features, prototypes, squared, position, pair, weight = ctx.saved_tensors
        labelled: LabelledPixels = ctx.labelled
        grad_features = torch.empty_like(features)
        grad_prototypes = grad_prototypes.clone()
        if ctx.distance == "l1_mean":  # d(d^2) = 2 d times the derivative of the mean over the channels
            grad_squared = grad_squared * squared.sqrt() * (2 / features.shape[1])
        gradients = _l2_gradients if ctx.distance == "l2" else _l1_gradients
        parts = _by_image(labelled, prototypes, grad_squared, grad_prototypes)
        with torch.autocast(features.device.type, enabled=False):
            for image, grad_image, mu, g, grad_mu in zip(features, grad_features, *parts, strict=True):
                if not len(mu):
                    grad_image.zero_()
                for rows, x, centred in _feature_blocks(image, mu, ctx.distance, exact=False):
                    towards_x, towards_mu = gradients(x, centred, g[:, rows].flatten(1))
                    grad_image[:, rows] = towards_x.view(grad_image[:, rows].shape)
                    grad_mu += towards_mu
        if ctx.shares is not None:
            grad_prototypes = ctx.shares.T @ grad_prototypes
        read = (grad_prototypes[pair] * weight[:, None]).to(features.dtype)
        width = features.shape[3]
        where = (labelled.pair_image[pair], position // width, position % width)
        # A position that labels of two classes touch occurs twice.
        grad_features.permute(0, 2, 3, 1).index_put_(where, read, accumulate=True)
        return grad_features, None, None, None


def _l2_squared(x: Tensor, mu: Tensor) -> Tensor:
    """Squared distances, shape (K, S), of S features ``x`` (D, S) to K prototypes ``mu`` (K, D); overwrites ``x``."""
    product = torch.addmm(mu.square().sum(1, keepdim=True), mu, x, alpha=-2)
    return product.add_(x.square_().sum(0)).clamp_(min=0)


def _l2_gradients(x: Tensor, mu: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of ``sum(g * _l2_squared(x, mu))``: 2 g (x - mu) for x, the opposite for mu."""
    towards_mu = torch.addmm(g.sum(1, keepdim=True) * mu, g, x.T, beta=2, alpha=-2)
    return x.mul_(2 * g.sum(0)).addmm_(mu.T, g, alpha=-2), towards_mu


def _l1_squared(x: Tensor, mu: Tensor) -> Tensor:
    """Squared mean absolute differences, shape (K, S)."""
    return torch.stack([(x - m[:, None]).abs_().mean(0) for m in mu]).square_()


def _l1_gradients(x: Tensor, mu: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the sum over K, S and D of ``g * abs(x - mu)``."""
    towards_x, towards_mu = torch.zeros_like(x), torch.empty_like(mu)
    for k, (m, g_k) in enumerate(zip(mu, g, strict=True)):
        sign = (x - m[:, None]).sign_()
        towards_mu[k] = -(sign @ g_k)
        towards_x.addcmul_(sign, g_k)
    return towards_x, towards_mu


def _feature_blocks(
    image: Tensor, prototypes: Tensor, distance: Distance, *, exact: bool = True
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Yield blocks of rows of one image's features, as copies of shape (D, S), with its prototypes.

    For matrix products (l2), both are centred, and converted to float64 if ``exact``, because distances are differences
    of large numbers; their gradients are not.
    """
    if not len(prototypes):
        return
    dtype, centre = prototypes.dtype, torch.zeros_like(prototypes[0])
    if distance == "l2":
        centre = prototypes.mean(0)
        if exact:
            dtype = widest_float(image.device)
    centred = prototypes.to(dtype) - centre.to(dtype)
    channels, height, width = image.shape
    for rows in row_blocks(height, 2 * channels * width, image.device):
        block = image[:, rows].to(dtype) - centre.to(dtype)[:, None, None]
        yield rows, block.reshape(channels, -1), centred


def _touched_positions(features: Tensor, labelled: LabelledPixels) -> tuple[Tensor, Tensor, Tensor]:
    """Return the positions (row * w + col) that the labelled pixels of each pair read, with pair and weight, (E,) each.

    The weights of a pair sum to 1. Computed on the CPU, because their number depends on the labels.
    """
    found, dtype, on_host = labelled.on_host, loss_dtype(features), torch.device("cpu")
    height, width = features.shape[2:]
    rows = resize_map(height, found.target_size[0], on_host, dtype)
    columns = resize_map(width, found.target_size[1], on_host, dtype)
    index = (rows.index[found.row] * width)[:, :, None] + columns.index[found.col][:, None, :]
    weight = rows.weight[found.row][:, :, None] * columns.weight[found.col][:, None, :]
    weight = weight / found.pair_pixels[found.pair][:, None, None]
    grid = weight.new_zeros(len(found.pair_image) * height * width)
    grid.index_add_(0, (found.pair[:, None, None] * (height * width) + index).flatten(), weight.flatten())
    touched = grid.nonzero()[:, 0]
    position, pair = touched % (height * width), touched // (height * width)
    return send(position, features.device), send(pair, features.device), send(grid[touched], features.device)


def _read_prototypes(
    features: Tensor, labelled: LabelledPixels, position: Tensor, pair: Tensor, weight: Tensor
) -> Tensor:
    """Mean feature of the labelled pixels of each pair, shape (M, D); reads only the positions that they touch."""
    width = features.shape[3]
    read = features[labelled.pair_image[pair], :, position // width, position % width].to(weight.dtype)
    empty = read.new_zeros((len(labelled.pair_image), features.shape[1]))
    return empty.index_add(0, pair, read * weight[:, None])


def _shares(labelled: LabelledPixels, like: Tensor) -> Tensor:
    """Weight of each pair's prototype in that of its class over the batch, shape (M, M); rows sum to 1."""
    pixels = (same_class(labelled) * labelled.pair_pixels).to(like)
    return pixels / pixels.sum(1, keepdim=True)


def _by_image(labelled: LabelledPixels, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
    """Split each tensor along its first axis, over pairs, into one part per image."""
    return [torch.split(tensor, list(labelled.pairs_per_image)) for tensor in tensors]
