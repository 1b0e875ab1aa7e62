"""Image-level labels as a term: no pixel belongs to a class that is absent from the image."""

from __future__ import annotations

from torch import Tensor

from agmm.losses.mixture import EPSILON
from agmm.losses.term import LabelledBatch, TermLoss, mean_over_real
from agmm.models.network import SegmentationOutput


class AbsenceLoss(TermLoss):
    """L_seg + weight * L_absence, which penalises the probability of absent classes at every real pixel.

    L_absence = mean over real pixels x of -sum over the classes k that are not labelled in the image of
    log(1 - P_k(x) + eps), eps = 1e-6 (eq. 9 of ``docs/method.md``).

    It helps if annotations reach every class of an image (clicks per class or instance, scribbles) and images contain
    few of the classes. Where clicks miss classes, it supervises wrongly. Images without any label are skipped.

    References:
        The public code of Wu et al., "Sparsely Annotated Semantic Segmentation with Adaptive Gaussian Mixtures",
        CVPR 2023, which always adds it; the paper's formulas have no such term.
    """

    term_name = "absence"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_absence, a scalar."""
        absent = ~batch.present & batch.present.any(1, keepdim=True)
        not_p = 1 - output.logits.softmax(1) + EPSILON
        logs = not_p.masked_fill(~absent[:, :, None, None], 1).prod(1).log()  # at most one p is near 1: no underflow
        return mean_over_real(-logs, batch.valid)
