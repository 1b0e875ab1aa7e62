"""The terms that need the predictions of every pixel: cross-entropy, L_self and absence, in one pass over the logits.

L_self is linear in the mixture. With ``g`` at the size of the features, ``B`` the bilinear resizing to the size of the
image, and ``a = log(p + eps) - log(1 - p + eps)``, the sum of ``(B g) a`` over pixels equals that of ``g (B^T a)`` over
feature positions. The forward pass therefore downsamples ``a`` instead of upsampling the mixture, block by block, and
``B^T a`` is also the gradient of the mixture. The backward pass reads the logits again, a block of rows at a time, and
writes their gradient once. No other array of the image's size is stored, except the probabilities of a small batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from agmm.losses.bilinear import adjoint_map, resize_map
from agmm.losses.labelled_pixels import LabelledPixels
from agmm.losses.mixture import EPSILON
from agmm.losses.prototypes import loss_dtype, row_blocks

#: For each image, the classes that are absent from it; None without absence term.
Absent = Sequence[Tensor] | None

#: Batches of at most this many logits keep their probabilities for the backward pass: 32 MiB.
_FEW_LOGITS = 2**23


def pixel_terms(
    logits: Tensor, density: Tensor | None, labelled: LabelledPixels, valid: Tensor, absent: Absent
) -> tuple[Tensor, Tensor, Tensor]:
    """L_seg (eq. 5), L_self (eq. 6) and the absence term (eq. 9).

    Args:
        logits: Raw scores, shape (N, C, H, W).
        density: The mixture at the size of the features, shape (M, h, w); None disables L_self.
        labelled: The labelled pixels and the M pairs.
        valid: False on padding, bool, shape (N, H, W).
        absent: For each image, the classes that are absent from it, int64; None disables the absence term.

    Returns:
        Three scalars: the mean over labelled pixels, and two means over real pixels; 0 if there are no such pixels.
    """
    seg, self_, absence = _PixelTerms.apply(logits, density, labelled, valid, absent)  # type: ignore[no-untyped-call]
    return seg, self_, absence


class _PixelTerms(torch.autograd.Function):
    """See :func:`pixel_terms`."""

    @staticmethod
    def forward(
        ctx: Any,
        logits: Tensor,
        density: Tensor | None,
        labelled: LabelledPixels,
        valid: Tensor,
        absent: Absent,
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = loss_dtype(logits)
        num_real = valid.sum().clamp(min=1)
        seg = torch.nn.functional.cross_entropy(_read(logits, labelled).to(dtype), labelled.class_id, reduction="sum")
        seg = seg / max(1, len(labelled.class_id))
        self_, absence, evidence = torch.zeros_like(seg), torch.zeros_like(seg), None
        kept: list[Tensor] | None = [] if logits.numel() <= _FEW_LOGITS and ctx.needs_input_grad[0] else None
        if density is not None or absent is not None:
            probs = _probs(logits, kept)
            sum_self, sum_absence, evidence = _dense_sums(probs, logits, density, labelled, valid, absent)
            self_, absence = sum_self / num_real, sum_absence / num_real
        ctx.save_for_backward(logits, density, valid, evidence, num_real, *(kept or []))
        ctx.labelled, ctx.absent = labelled, absent
        return seg, self_, absence

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_seg: Tensor, grad_self: Tensor, grad_absence: Tensor
    ) -> tuple[Tensor, Tensor | None, None, None, None]:
        logits, density, valid, evidence, num_real, *kept = ctx.saved_tensors
        labelled: LabelledPixels = ctx.labelled
        absent: Absent = ctx.absent
        with torch.autocast(logits.device.type, enabled=False):
            if density is None and absent is None:
                grad_logits = torch.zeros_like(logits)
            else:
                probs = iter(kept) if kept else _probs(logits)
                of_pixel = grad_self / num_real, grad_absence / num_real
                grad_logits = _dense_gradient(probs, logits, density, labelled, valid, absent, *of_pixel)
            towards_logits = _read(logits, labelled).to(loss_dtype(logits)).softmax(1)
            towards_logits[torch.arange(len(towards_logits), device=logits.device), labelled.class_id] -= 1
            towards_logits *= grad_seg / max(1, len(towards_logits))
            where = (labelled.image, labelled.row, labelled.col)
            grad_logits.permute(0, 2, 3, 1)[where] += towards_logits.to(logits.dtype)
            grad_density = None
            if density is not None and ctx.needs_input_grad[1]:
                grad_density = evidence * (-grad_self / (2 * num_real))
        return grad_logits, grad_density, None, None, None


def _dense_sums(
    blocks: Iterator[Tensor],
    logits: Tensor,
    density: Tensor | None,
    labelled: LabelledPixels,
    valid: Tensor,
    absent: Absent,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Sum L_self and absence over real pixels; also return the gradient of -2 L_self for ``density``, (M, h, w).

    ``blocks`` are those of :func:`_probs`.
    """
    height, width = logits.shape[2:]
    dtype, device = loss_dtype(logits), logits.device
    total_self, total_absence = torch.zeros((2,), dtype=dtype, device=device)
    evidence = None if density is None else torch.zeros_like(density)
    for real, classes, gone, out in zip(valid, *_by_image(labelled, absent, evidence), strict=True):
        half_way = None if out is None else out.new_zeros((len(out), out.shape[1], width))
        for rows in _row_blocks(logits):
            probs, mask = next(blocks), real[rows].to(dtype)
            if half_way is not None and len(classes):
                p = probs.index_select(0, classes)
                not_p = (1 - p).add_(EPSILON)
                total_self -= (_log_prod(not_p) * mask).sum() / (2 * len(classes))
                a = p.add_(EPSILON).div_(not_p).log_().mul_(mask)
                adjoint_map(half_way.shape[1], height, device, dtype, rows.start, rows.stop).add_to(half_way, a, 1)
            if len(gone):
                not_p = (1 - probs.index_select(0, gone)).add_(EPSILON)
                total_absence -= (_log_prod(not_p) * mask).sum()
        if half_way is not None and out is not None and len(classes):
            adjoint_map(out.shape[2], width, device, dtype).add_to(out, half_way.div_(len(classes)), 2)
    if evidence is not None and density is not None:
        total_self = total_self - (density * evidence).sum() / 2
    return total_self, total_absence, evidence


def _dense_gradient(
    blocks: Iterator[Tensor],
    logits: Tensor,
    density: Tensor | None,
    labelled: LabelledPixels,
    valid: Tensor,
    absent: Absent,
    grad_self: Tensor,
    grad_absence: Tensor,
) -> Tensor:
    """Gradient of ``grad_self`` * the first sum of :func:`_dense_sums` + ``grad_absence`` * the second."""
    height, width = logits.shape[2:]
    dtype, device = loss_dtype(logits), logits.device
    result = torch.empty_like(logits)
    for real, target, classes, gone, g_low in zip(valid, result, *_by_image(labelled, absent, density), strict=True):
        scale = grad_self / (2 * max(1, len(classes)))
        wide = None if g_low is None else resize_map(g_low.shape[2], width, device, dtype)(g_low * scale, 2)
        for rows in _row_blocks(logits):
            probs, mask = next(blocks), real[rows].to(dtype)
            # Softmax backward: p (q - sum of q p over the classes), where q is the gradient for p.
            parts = []
            if wide is not None and len(classes):
                g = resize_map(wide.shape[1], height, device, dtype, rows.start, rows.stop)(wide, 1)
                p = probs.index_select(0, classes)
                q = (scale - g).div_((1 - p).add_(EPSILON)).sub_(g.div_(p + EPSILON))
                parts.append((classes, q.mul_(p).mul_(mask)))
            if len(gone):
                p = probs.index_select(0, gone)
                parts.append((gone, (grad_absence * p).div_((1 - p).add_(EPSILON)).mul_(mask)))
            towards = probs * -sum((qp.sum(0) for _, qp in parts), torch.zeros_like(mask))
            for which, qp in parts:
                towards.index_add_(0, which, qp)
            target[:, rows] = towards
    return result


def _row_blocks(logits: Tensor) -> Iterator[slice]:
    """Rows of an image that are handled at once."""
    return row_blocks(logits.shape[2], logits.shape[1] * logits.shape[3], logits.device)


def _probs(logits: Tensor, kept: list[Tensor] | None = None) -> Iterator[Tensor]:
    """Yield the softmax of blocks of rows of each image, shape (C, number of rows, W), and add it to ``kept``."""
    for image in logits:
        for rows in _row_blocks(logits):
            block = image[:, rows].to(loss_dtype(image))
            block = block.flatten(1).contiguous().view(block.shape)  # torch copies matrices twice as fast as images
            probs = block.softmax(0)
            if kept is not None:
                kept.append(probs)
            yield probs


def _log_prod(not_p: Tensor) -> Tensor:
    """Sum log(1 - p) over the classes with one logarithm per pixel; at most one p is near 1, so nothing underflows."""
    return not_p.prod(0).log_()


def _by_image(
    labelled: LabelledPixels, absent: Absent, of_pairs: Tensor | None
) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor | None]]:
    """Split by image: classes labelled in it, classes absent from it, and its part of the tensors over pairs."""
    pairs = list(labelled.pairs_per_image)
    none = labelled.pair_class[:0]
    return (
        torch.split(labelled.pair_class, pairs),
        [none] * len(pairs) if absent is None else absent,
        [None] * len(pairs) if of_pairs is None else torch.split(of_pairs, pairs),
    )


def _read(logits: Tensor, labelled: LabelledPixels) -> Tensor:
    """Read the logits at the labelled pixels, shape (L, C)."""
    return logits.permute(0, 2, 3, 1)[labelled.image, labelled.row, labelled.col]
