"""Entropy minimisation: predictions should be confident."""

from __future__ import annotations

from torch import Tensor

from agmm.losses.term import LabelledBatch, TermLoss, mean_over_real
from agmm.models.network import SegmentationOutput


class EntropyLoss(TermLoss):
    """L_seg + weight * L_entropy, the mean over real pixels of -sum over classes k of P_k log P_k.

    Args:
        ignore_index: The value of ``target`` where no class is given.
        weight: Weight of the term, by default 0.1.

    Raises:
        ValueError: If an option is unknown, has the wrong type or is out of range.

    References:
        Grandvalet and Bengio, "Semi-supervised Learning by Entropy Minimization", NIPS 2004.
    """

    term_name = "entropy"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_entropy, a scalar."""
        log_probs = output.logits.log_softmax(1)
        return mean_over_real(-(log_probs.exp() * log_probs).sum(1), batch.valid)
