"""A classifier of the image as a term: which classes does the image hold?"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from agmm.losses.prototypes import loss_dtype
from agmm.losses.term import LabelledBatch, TermLoss
from agmm.models.network import SegmentationOutput


class PresenceLoss(TermLoss):
    """L_seg + weight * L_presence, the binary cross-entropy of a classifier of the whole image.

    The network gets a linear classifier on its pooled deepest features (``ModelConfig.presence_head``). In evaluation
    the probability that the image holds a class multiplies that of its pixels (before they are normalised).

    L_presence = mean over images and classes of -log(q_k) if class k is labelled in the crop, and of -log(1 - q_k) if
    it is not labelled in the image. A class that is labelled in the image, yet outside the crop, may or may not be in
    the crop: it is left out. So are images without any label, and crops of nothing but padding.

    It helps if annotations reach every class of an image (clicks per class or instance, scribbles) and images contain
    few of the classes. Where clicks miss classes, it supervises wrongly.

    References:
        Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, whose semantic encoding loss is the same
        cross-entropy; there the classes come from full masks, and channels of features are weighted, not classes.
    """

    term_name = "presence"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_presence, a scalar."""
        if output.presence is None:
            raise ValueError("L_presence needs a network with presence_head=True.")
        with_labels = batch.present.any(1) & batch.valid.flatten(1).any(1)
        known = with_labels[:, None] & (batch.in_crop | ~batch.present)
        scores = output.presence.to(loss_dtype(output.presence))
        losses = F.binary_cross_entropy_with_logits(scores, batch.in_crop.to(scores.dtype), reduction="none")
        return losses.masked_fill(~known, 0).sum() / known.sum().clamp(min=1)
