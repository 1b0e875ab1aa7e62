"""Entropy minimisation: predictions should be confident."""

from __future__ import annotations

from torch import Tensor

from agmm.losses.term import LabelledBatch, TermLoss, mean_over_real
from agmm.models.network import SegmentationOutput


class EntropyLoss(TermLoss):
    """L_seg + weight * L_entropy, the mean over real pixels of -sum over classes k of P_k log P_k.

    References:
        Grandvalet and Bengio, "Semi-supervised Learning by Entropy Minimization", NIPS 2004.
    """

    term_name = "entropy"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_entropy, a scalar."""
        log_probs = output.logits.log_softmax(1)
        return mean_over_real(-(log_probs.exp() * log_probs).sum(1), batch.valid)
