"""Cross-entropy at the labelled pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from agmm.data.dataset import Sample
from agmm.losses.base import SparseLoss
from agmm.losses.term import add_terms
from agmm.models.network import SegmentationOutput


class SegLoss(SparseLoss):
    """L_seg alone: the cross-entropy, averaged over the labelled pixels; 0 without any.

    Args:
        ignore_index: The value of ``target`` where no class is given.
    """

    only_cross_entropy = True

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, output: SegmentationOutput, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch; its only term is ``seg``."""
        return add_terms(self.ignore_index, [], output, batch)
