"""Cross-entropy against soft labels."""

from __future__ import annotations

import torch
from torch import Tensor

from agmm.losses.prototypes import loss_dtype


def soft_cross_entropy(
    logits: Tensor, target: Tensor, valid: Tensor, classes: Tensor, shares: Tensor, *, ignore_index: int
) -> Tensor:
    """Cross-entropy against soft labels, averaged over the labelled pixels.

    Args:
        logits: Raw scores, shape (N, C, H, W).
        target: Class ids, int64, shape (N, H, W); ``ignore_index`` where no class is given. It says only which pixels
            count.
        valid: False on padding, bool, shape (N, H, W).
        classes: Class ids of the shares, int64, shape (N, K, H, W).
        shares: Shares of the probability, 0..1, shape (N, K, H, W).
        ignore_index: The value of ``target`` where no class is given.

    Returns:
        A scalar; 0 without labels.
    """
    with torch.autocast(logits.device.type, enabled=False):
        log_probs = logits.to(loss_dtype(logits)).log_softmax(1)
        of_pixels = -(log_probs.gather(1, classes) * shares).sum(1)
        counted = (target != ignore_index) & valid
        return of_pixels.masked_fill(~counted, 0).sum() / counted.sum().clamp(min=1)
