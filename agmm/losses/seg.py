"""Cross-entropy at the labelled pixels."""

from __future__ import annotations

from agmm.losses.term import SumLoss, TermLoss


class SegLoss(SumLoss):
    """L_seg alone: the cross-entropy, averaged over the labelled pixels; 0 without any.

    Args:
        ignore_index: The value of ``target`` where no class is given.
    """

    only_cross_entropy = True

    def summands(self) -> list[TermLoss]:
        """Return no loss."""
        return []
