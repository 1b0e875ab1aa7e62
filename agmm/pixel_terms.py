"""The terms that need the predictions of every pixel: cross-entropy, L_self and absence, in one pass over the logits.

L_self is linear in the mixture: with ``g`` at the features' size, ``B`` its bilinear resizing to the image's, and
``a = log(p + eps) - log(1 - p + eps)``, the sum of ``(B g) a`` over pixels is that of ``g (B^T a)`` over feature
positions. So the forward step brings ``a`` down instead of the mixture up, block by block, and ``B^T a`` is already the
mixture's gradient. The backward step goes over the logits again, a block of rows at a time, and writes their gradient
once. No array of the image's size is kept, but for that gradient.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from agmm.bilinear import adjoint_map, resize_map
from agmm.distances import loss_dtype, row_blocks
from agmm.labelled_pixels import LabelledPixels
from agmm.mixture import EPSILON


def pixel_terms(
    logits: Tensor, density: Tensor | None, labelled: LabelledPixels, valid: Tensor, absent: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """L_seg (eq. 5), L_self (eq. 6) and the absence term (eq. 9).

    Args:
        logits: Shape (N, C, H, W).
        density: The mixture at the features' size, shape (M, h, w); None for no L_self.
        labelled: The labelled pixels and the M pairs.
        valid: False on padding, bool, shape (N, H, W).
        absent: Classes not in the image, as image * C + class, int64, shape (A,); None for no absence term.

    Returns:
        Three scalars: the mean over labelled pixels, and two means over real pixels; 0 where there is no such pixel.
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
        absent: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = loss_dtype(logits)
        num_real = valid.sum().clamp(min=1)
        seg = torch.nn.functional.cross_entropy(_read(logits, labelled).to(dtype), labelled.class_id, reduction="sum")
        seg = seg / max(1, len(labelled.class_id))
        self_, absence, evidence = torch.zeros_like(seg), torch.zeros_like(seg), None
        if density is not None or absent is not None:
            sum_self, sum_absence, evidence = _dense_sums(logits, density, labelled, valid, absent)
            self_, absence = sum_self / num_real, sum_absence / num_real
        ctx.save_for_backward(logits, density, valid, absent, evidence, num_real)
        ctx.labelled = labelled
        return seg, self_, absence

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad_seg: Tensor, grad_self: Tensor, grad_absence: Tensor
    ) -> tuple[Tensor, Tensor | None, None, None, None]:
        logits, density, valid, absent, evidence, num_real = ctx.saved_tensors
        labelled: LabelledPixels = ctx.labelled
        with torch.autocast(logits.device.type, enabled=False):
            if density is None and absent is None:
                grad_logits = torch.zeros_like(logits)
            else:
                grad_logits = _dense_gradient(
                    logits, density, labelled, valid, absent, grad_self / num_real, grad_absence / num_real
                )
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
    logits: Tensor, density: Tensor | None, labelled: LabelledPixels, valid: Tensor, absent: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """L_self and absence summed over real pixels, and B^T a (see the module) over pair_classes, shape (M, h, w)."""
    height, width = logits.shape[2:]
    dtype, device = loss_dtype(logits), logits.device
    plane = _planes(labelled, logits)
    total_self = torch.zeros((), dtype=dtype, device=device)
    total_absence = torch.zeros((), dtype=dtype, device=device)
    half_way = None if density is None else density.new_zeros((len(density), density.shape[1], width))
    for rows in row_blocks(height, logits.shape[0] * logits.shape[1] * width, device):
        probs, real = _probs_of_rows(logits, rows), valid[:, rows]
        if half_way is not None:
            p = probs.index_select(0, plane)
            share = real[labelled.pair_image] / labelled.pair_classes[:, None, None].to(dtype)
            log_not = (1 - p).add_(EPSILON).log_().mul_(share)
            total_self -= log_not.sum() / 2
            evidence = p.add_(EPSILON).log_().mul_(share).sub_(log_not)
            down = adjoint_map(half_way.shape[1], height, device, dtype, rows.start, rows.stop)
            down.add_to(half_way, evidence, 1)
        if absent is not None:
            log_not = (1 - probs.index_select(0, absent)).add_(EPSILON).log_()
            total_absence -= log_not.mul_(real[absent // logits.shape[1]]).sum()
    if half_way is None or density is None:
        return total_self, total_absence, None
    evidence = torch.zeros_like(density)
    adjoint_map(density.shape[2], width, device, dtype).add_to(evidence, half_way, 2)
    return total_self - (density * evidence).sum() / 2, total_absence, evidence


def _dense_gradient(
    logits: Tensor,
    density: Tensor | None,
    labelled: LabelledPixels,
    valid: Tensor,
    absent: Tensor | None,
    grad_self: Tensor,
    grad_absence: Tensor,
) -> Tensor:
    """Gradient of ``grad_self`` * the first sum of :func:`_dense_sums` + ``grad_absence`` * the second."""
    height, width = logits.shape[2:]
    dtype, device = loss_dtype(logits), logits.device
    plane = _planes(labelled, logits)
    result = torch.empty_like(logits)
    wide = None if density is None else resize_map(density.shape[2], width, device, dtype)(density, 2)
    for rows in row_blocks(height, logits.shape[0] * logits.shape[1] * width, device):
        probs = _probs_of_rows(logits, rows)
        grad_probs = torch.zeros_like(probs)
        if wide is not None:
            g = resize_map(wide.shape[1], height, device, dtype, rows.start, rows.stop)(wide, 1)
            p = probs.index_select(0, plane)
            towards_p = (1 - g).div_((1 - p).add_(EPSILON)).sub_(g.div_(p.add_(EPSILON)))
            towards_p *= (grad_self / (2 * labelled.pair_classes))[:, None, None]
            grad_probs.index_copy_(0, plane, towards_p)
        if absent is not None:
            grad_probs.index_copy_(0, absent, grad_absence / (1 - probs.index_select(0, absent)).add_(EPSILON))
        # Through the softmax: p (g - sum of g p over the classes).
        shape = (*logits.shape[:2], rows.stop - rows.start, width)
        grad = grad_probs.mul_(probs).view(shape)
        grad.addcmul_(probs.view(shape), grad.sum(1, keepdim=True), value=-1).mul_(valid[:, None, rows])
        result[:, :, rows] = grad
    return result


def _probs_of_rows(logits: Tensor, rows: slice) -> Tensor:
    """Softmax of some rows, shape (N * C, number of rows, W)."""
    return logits[:, :, rows].to(loss_dtype(logits)).contiguous().softmax(1).flatten(0, 1)


def _planes(labelled: LabelledPixels, logits: Tensor) -> Tensor:
    """Where each pair's class is among the N * C planes of the logits, shape (M,)."""
    return labelled.pair_image * logits.shape[1] + labelled.pair_class


def _read(logits: Tensor, labelled: LabelledPixels) -> Tensor:
    """Logits at the labelled pixels, shape (L, C)."""
    return logits.permute(0, 2, 3, 1)[labelled.image, labelled.row, labelled.col]
