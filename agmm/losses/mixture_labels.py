"""Pseudo-labels of the Gaussian mixture, as supervision for the predictions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from agmm.config.loss import MixtureOptions
from agmm.losses.agmm import sparse_supervision_loss
from agmm.losses.bilinear import resize
from agmm.losses.mixture import Mixture, fit_mixture
from agmm.losses.term import LabelledBatch, TermLoss, mean_over_real
from agmm.models.network import SegmentationOutput


class MixtureLabelsLoss(TermLoss):
    """L_seg + weight * (L_mix + spar * L_spar): cross-entropy against the Gaussian with the highest responsibility.

    L_mix = (1/R) sum over real pixels x with r(x) >= threshold of -log P_y(x), where r(x) is the largest responsibility
    (eq. 6a of ``docs/method.md``) of the Gaussians of the image at x, y its class, and R the number of real pixels. The
    Gaussians are the paper's (eq. 1 to 4), one for each class labelled in the crop. Pseudo-labels carry no gradient;
    L_spar (eq. 7) fits the mixture to the labels.

    References:
        Mixture and L_spar: Wu et al., "Sparsely Annotated Semantic Segmentation with Adaptive Gaussian Mixtures", CVPR
        2023. Thresholded hard pseudo-labels from the mixture are this project's.
    """

    term_name = "mixture_labels"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_mix + spar * L_spar, a scalar."""
        features = output.features
        mixture = fit_mixture(features, output.logits, batch.valid, batch.labelled, MixtureOptions())
        pseudo, sure = self._pseudo_labels(mixture, batch.valid)
        cross_entropy = F.cross_entropy(output.logits, pseudo, reduction="none")
        total = mean_over_real(cross_entropy.masked_fill(~sure, 0), batch.valid)
        return total + self.options.spar * sparse_supervision_loss(mixture) if self.options.spar else total

    def _pseudo_labels(self, mixture: Mixture, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Class of the highest responsibility, int64, and whether it reaches the threshold, both (N, H, W)."""
        labelled = mixture.labelled
        shares = resize(mixture.responsibilities().detach(), labelled.target_size)
        pseudo = valid.new_zeros(valid.shape, dtype=labelled.pair_class.dtype)
        sure = valid.new_zeros(valid.shape)
        first = 0
        for image, pairs in enumerate(labelled.pairs_per_image):
            if pairs:
                highest, which = shares[first : first + pairs].max(0)
                pseudo[image] = labelled.pair_class[first : first + pairs][which]
                sure[image] = highest >= self.options.threshold
            first += pairs
        return pseudo, sure
