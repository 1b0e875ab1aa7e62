"""The AGMM loss: its terms and the module that combines them.

Equation numbers refer to ``docs/method.md``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from agmm.config.loss import Contrastive, Distance, LossOptions, resolve_options
from agmm.config.values import as_kind
from agmm.losses.base import SparseLoss
from agmm.losses.bilinear import resize_map
from agmm.losses.labelled_pixels import LabelledPixels, find_labelled, send
from agmm.losses.mixture import EPSILON, Mixture, fit_mixture
from agmm.losses.pixel_terms import pixel_terms
from agmm.losses.term import LabelledBatch, TermLoss

if TYPE_CHECKING:
    from agmm.config.training import TrainConfig
    from agmm.data.dataset import Sample
    from agmm.models.network import SegmentationOutput

_INTEGERS = (torch.uint8, torch.int16, torch.int32, torch.int64)


def sparse_supervision_loss(mixture: Mixture) -> Tensor:
    """L_spar: cross-entropy of the mixture at the labelled pixels (eq. 7).

    Args:
        mixture: The Gaussians of the batch; ``density`` is interpolated bilinearly at each labelled pixel.

    Returns:
        A scalar; 0 without labels.
    """
    labelled, density = mixture.labelled, mixture.density
    pixel, pair = _comparisons(labelled)
    height, width = density.shape[1:]
    rows = resize_map(height, labelled.target_size[0], density.device, density.dtype)
    columns = resize_map(width, labelled.target_size[1], density.device, density.dtype)
    row, col = labelled.row[pixel], labelled.col[pixel]
    index = (pair[:, None] * height + rows.index[row])[:, :, None] * width + columns.index[col][:, None, :]
    weight = rows.weight[row][:, :, None] * columns.weight[col][:, None, :]
    corners = density.flatten().index_select(0, index.flatten()).view(index.shape)
    g = (corners * weight).sum((1, 2))
    likelihood = torch.where(pair == labelled.pair[pixel], g, 1 - g)
    total = -((likelihood + EPSILON).log() / labelled.pair_classes[pair]).sum() / 2
    return total / max(1, len(labelled.row))


def contrastive_loss(
    prototypes: Tensor, labelled: LabelledPixels, *, distance: Distance = "l2", contrastive: Contrastive = "mean"
) -> Tensor:
    """L_con: similarity of the prototypes of different classes, averaged over pairs of classes (eq. 8).

    Args:
        prototypes: One per image and class, shape (M, D).
        labelled: The M pairs.
        distance: As in the mixture.
        contrastive: ``mean`` or ``sum`` of a class's prototypes over the images that contain it.

    Returns:
        A scalar; 0 with fewer than two classes.
    """
    of_host = labelled.on_host.pair_class
    classes, slot, images = torch.unique(of_host, return_inverse=True, return_counts=True)
    slot, images = send(slot, prototypes.device), send(images, prototypes.device)
    centres = prototypes.new_zeros((len(classes), prototypes.shape[1])).index_add(0, slot, prototypes)
    if contrastive == "mean":
        centres = centres / images[:, None]
    first, second = torch.triu_indices(len(classes), len(classes), 1, device=prototypes.device)
    difference = centres[first] - centres[second]
    squared = difference.square().sum(1) if distance == "l2" else difference.abs().mean(1).square()
    return torch.exp(-squared).sum() / max(1, len(first))


#: Names of the terms; a disabled term is 0.
TERMS = ("seg", "self", "spar", "con", "absence")


class AGMMLoss(nn.Module):
    """The loss of adaptive Gaussian mixtures for sparsely annotated segmentation (eq. 10).

    It has no parameters. Batches without labels, with one class, or with only padding give finite values and
    gradients. Under autocast, it computes in float32. Under ``torch.compile``, it runs uncompiled, because the size of
    nearly everything in it depends on the labels; the network around it is compiled.

    Args:
        preset: ``paper`` or ``released``; see :data:`PRESETS`.
        lambda_: Weight of L_self + L_spar + L_con.
        ignore_index: The value of ``target`` where there is no class.
        options: Fields of :class:`LossOptions` that override the preset.

    Raises:
        ValueError: If the preset, an option or a value is unknown.

    References:
        Wu et al., "Sparsely Annotated Semantic Segmentation with Adaptive Gaussian Mixtures", CVPR 2023.
    """

    def __init__(self, preset: str = "paper", lambda_: float = 1.0, ignore_index: int = 255, **options: Any) -> None:
        super().__init__()
        as_kind(lambda_, 1.0, "lambda_")
        if not 0 <= lambda_ < math.inf:
            raise ValueError(f"lambda_ must be 0 or more, got {lambda_}.")
        self.options = resolve_options(preset, **options)
        self.preset, self.lambda_, self.ignore_index = preset, lambda_, ignore_index

    def extra_repr(self) -> str:
        """Return the settings, for ``print(loss)``."""
        return f"preset={self.preset!r}, lambda_={self.lambda_}, ignore_index={self.ignore_index}, {self.options}"

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(
        self,
        features: Tensor,
        logits: Tensor,
        target: Tensor,
        valid: Tensor | None = None,
        image_classes: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch.

        Labels are located on the CPU. ``target``, ``valid`` and ``image_classes`` may stay there while features and
        logits are on another device; the loss then never waits for that device. It does wait for labels on the device.

        Args:
            features: Input of the classifier, after ReLU, shape (N, D, h, w).
            logits: Raw scores at the image's size, shape (N, C, H, W).
            target: Class ids, an integer type, shape (N, H, W); ``ignore_index`` where there is no class.
            valid: False on padding, bool, shape (N, H, W); by default every pixel is valid.
            image_classes: Classes of the whole image, bool, shape (N, C), for the absence term. By default the classes
                labelled in the crop; that term then skips images without any.

        Returns:
            The total, and its terms ``seg``, ``self``, ``spar``, ``con``, ``absence``, each an unweighted scalar (0 if
            disabled).

        Raises:
            ValueError: If shapes are inconsistent or ``target`` contains a value that is not a class.
        """
        if valid is None:
            valid = torch.ones_like(target, dtype=torch.bool)
        _check_shapes(features, logits, target, valid, image_classes)
        options = self.options
        labelled = find_labelled(
            target, valid, num_classes=logits.shape[1], ignore_index=self.ignore_index, device=logits.device
        )
        valid = valid.to(logits.device, non_blocking=True)
        with torch.autocast(features.device.type, enabled=False):
            absent = _absent_classes(labelled, image_classes) if options.absence_weight else None
            terms = _terms(features, logits, labelled, valid, absent, options)
            extra = terms["self"] + terms["spar"] + terms["con"]
            total = terms["seg"] + self.lambda_ * extra + options.absence_weight * terms["absence"]
        return total, terms


class AGMMTerm(TermLoss):
    """L_self + L_spar + L_con as a term, to train with others at once."""

    term_name = "agmm"

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """L_self + L_spar + L_con, a scalar."""
        options = self.options.loss()
        terms = _terms(output.features, output.logits, batch.labelled, batch.valid, None, options)
        return terms["self"] + terms["spar"] + terms["con"]


def _terms(
    features: Tensor,
    logits: Tensor,
    labelled: LabelledPixels,
    valid: Tensor,
    absent: list[Tensor] | None,
    options: LossOptions,
) -> dict[str, Tensor]:
    """The terms by name, 0 where disabled; ``absent`` are the classes absent from each image, for that term."""
    terms = {name: features.new_zeros(()) for name in TERMS}
    mixture = None
    if options.use_self or options.use_spar or options.use_con:
        mixture = fit_mixture(features, logits, valid, labelled, options)
    density, pairs = None, labelled
    if mixture and options.use_self:
        by_share = options.self_target == "responsibility"
        density, pairs = mixture.responsibilities() if by_share else mixture.density, mixture.labelled
        density = density.detach() if options.stop_gradient else density
    terms["seg"], terms["self"], terms["absence"] = pixel_terms(logits, density, pairs, valid, absent)
    if mixture and options.use_spar:
        terms["spar"] = sparse_supervision_loss(mixture)
    if mixture and options.use_con:
        terms["con"] = contrastive_loss(
            mixture.prototypes, mixture.labelled, distance=options.distance, contrastive=options.contrastive
        )
    return terms


class AGMM(SparseLoss):
    """:class:`AGMMLoss` with the interface of the training loop.

    Args:
        ignore_index: The value of targets where there is no class.
        preset: See :class:`AGMMLoss`.
        lambda_: Weight of L_self + L_spar + L_con at the end of the ramp.
        lambda_ramp: Share of the run, 0..1, over which the weight rises from 0.
        options: See :class:`AGMMLoss`.
    """

    term_names = TERMS

    def __init__(
        self,
        *,
        ignore_index: int = 255,
        preset: str = "paper",
        lambda_: float = 1.0,
        lambda_ramp: float = 0.0,
        **options: Any,
    ) -> None:
        super().__init__()
        self.loss = AGMMLoss(preset, lambda_, ignore_index, **options)
        self._lambda, self._ramp = lambda_, lambda_ramp

    @classmethod
    def from_config(cls, config: TrainConfig, ignore_index: int) -> AGMM:
        """Build the loss from the settings of a run."""
        return cls(
            ignore_index=ignore_index, preset=config.preset, lambda_=config.lambda_, lambda_ramp=config.lambda_ramp,
            **config.loss,
        )  # fmt: skip

    @property
    def only_cross_entropy(self) -> bool:  # type: ignore[override]
        """Whether every other term is disabled."""
        return self.loss.options.only_cross_entropy

    def set_progress(self, share: float) -> None:
        """Update the weight of the mixture terms along the ramp."""
        self.loss.lambda_ = self._lambda * ramp_factor(share, self._ramp)

    def forward(self, output: SegmentationOutput, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch; see :class:`~agmm.losses.base.SparseLoss`."""
        total, terms = self.loss(output.features, output.logits, batch.target, batch.valid, batch.image_classes)
        return total, terms


def ramp_factor(share: float, ramp: float) -> float:
    """Share of the full weight of the mixture terms; it rises linearly and then stays 1.

    Args:
        share: Finished share of the run, 0..1.
        ramp: Share of the run over which the weight rises, 0..1.

    Example:
        >>> [ramp_factor(step / 8, ramp=0.5) for step in range(6)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, share / ramp) if ramp else 1.0


def _comparisons(labelled: LabelledPixels) -> tuple[Tensor, Tensor]:
    """Combine each labelled pixel with each pair of its image; return both indices, shape (num_comparisons,)."""
    num_pairs = labelled.pair_classes[labelled.pair]
    device, num = num_pairs.device, labelled.num_comparisons
    pixel = torch.repeat_interleave(torch.arange(len(num_pairs), device=device), num_pairs, output_size=num)
    first = num_pairs.cumsum(0) - num_pairs
    first_pair = torch.searchsorted(labelled.pair_image, labelled.image)
    return pixel, first_pair[pixel] + torch.arange(num, device=device) - first[pixel]


def _absent_classes(labelled: LabelledPixels, image_classes: Tensor | None) -> list[Tensor]:
    """Return the classes known to be absent from each image."""
    here = labelled.on_host.pair_of >= 0
    absent = ~(here | image_classes.cpu()) if image_classes is not None else ~here & here.any(1, keepdim=True)
    classes = send(absent.nonzero()[:, 1], labelled.position.device)
    return list(torch.split(classes, absent.sum(1).tolist()))


def _check_shapes(
    features: Tensor, logits: Tensor, target: Tensor, valid: Tensor, image_classes: Tensor | None
) -> None:
    if features.ndim != 4 or logits.ndim != 4 or len(features) != len(logits):
        raise ValueError(
            f"Expected features (N, D, h, w) and logits (N, C, H, W), got {tuple(features.shape)} and "
            f"{tuple(logits.shape)}."
        )
    num_images, num_classes, height, width = logits.shape
    for name, tensor, dtypes in (("target", target, _INTEGERS), ("valid", valid, (torch.bool,))):
        if tensor.shape != (num_images, height, width) or tensor.dtype not in dtypes:
            raise ValueError(
                f"Expected {name} of shape {(num_images, height, width)} and type {' or '.join(map(str, dtypes))} "
                f"beside logits of shape {tuple(logits.shape)}, got {tuple(tensor.shape)} and {tensor.dtype}."
            )
    if image_classes is not None and (
        image_classes.shape != (num_images, num_classes) or image_classes.dtype != torch.bool
    ):
        raise ValueError(
            f"Expected image_classes of shape {(num_images, num_classes)} and type torch.bool, "
            f"got {tuple(image_classes.shape)} and {image_classes.dtype}."
        )
