"""Cross-entropy with soft labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from agmm.losses.base import SparseLoss
from agmm.losses.prototypes import loss_dtype

if TYPE_CHECKING:
    from agmm.data.dataset import Sample
    from agmm.models.network import SegmentationOutput


class SoftCrossEntropy(SparseLoss):
    """Cross-entropy with soft pseudo-labels; see :func:`soft_cross_entropy`."""

    only_cross_entropy = True

    def __init__(self, *, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, output: SegmentationOutput, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch; see :class:`~agmm.losses.base.SparseLoss`."""
        seg = soft_cross_entropy(
            output.logits, batch.target, batch.valid, batch.soft_classes, batch.soft_shares,
            ignore_index=self.ignore_index,
        )  # fmt: skip
        return seg, {"seg": seg}


def soft_cross_entropy(
    logits: Tensor, target: Tensor, valid: Tensor, classes: Tensor, shares: Tensor, *, ignore_index: int
) -> Tensor:
    """Cross-entropy with soft labels, averaged over the labelled pixels.

    Args:
        logits: Raw scores, shape (N, C, H, W).
        target: Class ids, int64, shape (N, H, W); ``ignore_index`` where there is no class. It only selects pixels.
        valid: False on padding, bool, shape (N, H, W).
        classes: Class ids of the shares, int64, shape (N, K, H, W).
        shares: Shares of the probability, 0..1, shape (N, K, H, W).
        ignore_index: The value of ``target`` where there is no class.

    Returns:
        A scalar; 0 without labels.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_probs = logits.to(loss_dtype(logits)).log_softmax(1)
        of_pixels = -(log_probs.gather(1, classes) * shares).sum(1)
        counted = (target != ignore_index) & valid
        return of_pixels.masked_fill(~counted, 0).sum() / counted.sum().clamp(min=1)
