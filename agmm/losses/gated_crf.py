"""Gated CRF: pixels with similar position and colour should have the same class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from agmm.losses.term import LabelledBatch, TermLoss
from agmm.models.network import SegmentationOutput


class GatedCRFLoss(TermLoss):
    """L_seg + weight * L_crf, a Potts energy of the predictions over local neighbourhoods.

    L_crf = (1/R) sum over pixels a, sum over pixels b != a within ``radius`` rows and columns of a, of k(a, b) (1 - sum
    over classes c of P_c(a) P_c(b)), where k(a, b) = exp(-|x_a - x_b|^2 / (2 sigma_xy^2) - |I_a - I_b|^2 / (2
    sigma_rgb^2)), x are positions, I colours, and R is the number of real pixels. Pairs with padding are excluded (the
    gates of the paper). Image and predictions are first shrunk by averaging squares of ``shrink`` x ``shrink`` pixels;
    a square that holds padding counts as padding.

    It erodes thin objects: for small objects, use a smaller weight or radius, or ``shrink = 1``.

    References:
        Obukhov et al., "Gated CRF Loss for Weakly Supervised Semantic Image Segmentation", 2019 (arXiv 1906.04651);
        kernel and radius are theirs.
    """

    term_name = "gated_crf"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_crf, a scalar."""
        shrink = min(self.options.shrink, *batch.valid.shape[1:])
        probs = F.avg_pool2d(output.logits.softmax(1), shrink)
        image = F.avg_pool2d(batch.image.to(probs.dtype), shrink)
        real = F.avg_pool2d(batch.valid[:, None].to(probs.dtype), shrink).eq(1).to(probs.dtype)
        probs = probs * real
        sum_kernel, messages = self._messages(probs.detach(), image, real)
        # The energy is quadratic in P and k is symmetric, so its gradient is -2 (k P) and no pairs need storing.
        energy = sum_kernel - (probs.detach() * messages).sum()
        gradient_only = -2 * (probs * messages).sum()
        return (energy + gradient_only - gradient_only.detach()) / real.sum().clamp(min=1)

    def _messages(self, probs: Tensor, image: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Sum of k over all pairs, and for each pixel the sum of k(a, b) P(b) over its neighbours, shape of P."""
        options = self.options
        height, width = probs.shape[2:]
        messages, total = torch.zeros_like(probs), probs.new_zeros(())
        for down in range(min(options.radius, height - 1) + 1):
            for right in range(-min(options.radius, width - 1) if down else 1, min(options.radius, width - 1) + 1):
                here = (..., slice(0, height - down), slice(max(0, -right), width - max(0, right)))
                there = (..., slice(down, height), slice(max(0, right), width + min(0, right)))
                squared = (image[here] - image[there]).square().sum(1, keepdim=True) / (2 * options.sigma_rgb**2)
                in_space = (down**2 + right**2) / (2 * options.sigma_xy**2)
                kernel = torch.exp(-squared - in_space) * real[here] * real[there]
                messages[here].addcmul_(kernel, probs[there])
                messages[there].addcmul_(kernel, probs[here])
                total += 2 * kernel.sum()  # each pair occurs once here but counts for both of its pixels
        return total, messages
