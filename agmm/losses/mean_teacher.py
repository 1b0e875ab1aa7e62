"""Mean teacher: the averaged network labels every pixel for the network that is trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from agmm.losses.term import LabelledBatch, TermLoss, mean_over_real
from agmm.models.network import SegmentationOutput


class MeanTeacherLoss(TermLoss):
    """L_seg + weight * L_teacher: cross-entropy against pseudo-labels of the averaged network.

    T = softmax of the averaged network's logits over the classes K that the image may contain; L_teacher = (1/R) sum
    over real pixels x with max T(x) >= threshold of -sum over k in K of t_k(x) log P_k(x), where t is T itself
    (``soft``) or one-hot at its largest, and R is the number of real pixels. The averaged network sees the original
    image (weak view), the trained one an image with changed colours (strong view, if ``strong`` is above 0). With
    ``classes="image"``, K are the classes labelled in the image, which is correct only if annotations reach every class
    of the image; images without labels are then excluded. L_teacher is 0 until the share ``start`` of the run is done;
    from then on each step includes a forward pass of the averaged network.

    References:
        Averaged network: Tarvainen and Valpola, "Mean Teachers are Better Role Models", NIPS 2017. Threshold, weak and
        strong views: Sohn et al., "FixMatch", NeurIPS 2020.
    """

    term_name = "mean_teacher"
    uses_teacher = True

    def __init__(self, ignore_index: int = 255, **options: object) -> None:
        super().__init__(ignore_index, **options)
        self._share = 1.0

    def set_progress(self, share: float) -> None:
        """Set the finished share of the run, 0..1; the teacher is used from ``start`` on."""
        self._share = share

    def student_view(self, images: Tensor) -> Tensor:
        """The strong view: brightness, contrast and saturation of each image changed by up to +-``strong``.

        Args:
            images: RGB in 0..1, shape (N, 3, H, W).
        """
        if not self.options.strong or self._share < self.options.start:
            return images
        low, high = 1 - self.options.strong, 1 + self.options.strong
        bright, contrast, saturation = torch.empty((3, len(images), 1, 1, 1)).uniform_(low, high).to(images)
        images = (images * bright).clamp(0, 1)
        mean = images.mean((1, 2, 3), keepdim=True)
        images = (mean + (images - mean) * contrast).clamp(0, 1)
        grey = images.mean(1, keepdim=True)
        changed: Tensor = (grey + (images - grey) * saturation).clamp(0, 1)
        return changed

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_teacher, a scalar."""
        if self._share < self.options.start:
            return output.logits.new_zeros(())
        allowed = batch.present if self.options.classes == "image" else torch.ones_like(batch.present)
        takes_part = allowed.any(1)
        with torch.no_grad():
            scores = self.teacher(batch.image).logits.to(output.logits.dtype)
            scores = scores.masked_fill(~(allowed | ~takes_part[:, None])[:, :, None, None], -math.inf)
            shares = scores.softmax(1)
            highest, pseudo = shares.max(1)
            counted = (highest >= self.options.threshold) & takes_part[:, None, None]
        log_probs = output.logits.log_softmax(1)
        if self.options.soft:
            cross_entropy = -(shares * log_probs).sum(1)
        else:
            cross_entropy = F.nll_loss(log_probs, pseudo, reduction="none")
        return mean_over_real(cross_entropy.masked_fill(~counted, 0), batch.valid)
