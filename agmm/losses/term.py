"""Losses that add one term to the cross-entropy at the labelled pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from agmm.config.terms import term_options
from agmm.data.dataset import Sample
from agmm.losses.base import SparseLoss
from agmm.losses.labelled_pixels import LabelledPixels, find_labelled
from agmm.losses.pixel_terms import pixel_terms
from agmm.losses.prototypes import loss_dtype
from agmm.models.network import SegmentationOutput


@dataclass(frozen=True)
class LabelledBatch:
    """Input of the terms, on the device of the logits.

    Args:
        image: RGB in 0..1, shape (N, 3, H, W).
        valid: False on padding, bool, shape (N, H, W).
        labelled: The labelled pixels.
        present: Classes known to be in the image, bool, shape (N, C); all False for an image without labels.
        in_crop: Those labelled in the sample itself, bool, shape (N, C).
    """

    image: Tensor
    valid: Tensor
    labelled: LabelledPixels
    present: Tensor
    in_crop: Tensor


def labelled_batch(output: SegmentationOutput, batch: Sample, ignore_index: int) -> LabelledBatch:
    """Find the labels of a batch, and the classes known to be in each image.

    Raises:
        ValueError: If ``batch.target`` contains a value that is not a class.
    """
    device, num_classes = output.logits.device, output.logits.shape[1]
    labelled = find_labelled(
        batch.target, batch.valid, num_classes=num_classes, ignore_index=ignore_index, device=device
    )
    in_crop = labelled.on_host.pair_of >= 0
    present = in_crop if batch.image_classes is None else in_crop | batch.image_classes.cpu()
    return LabelledBatch(
        batch.image.to(device),
        batch.valid.to(device, non_blocking=True),
        labelled,
        present.to(device),
        in_crop.to(device),
    )


class SumLoss(SparseLoss):
    """Base class of losses of the form L_seg + the weighted terms of some losses.

    Under autocast it computes in float32. Batches without labels, with one class, or with only padding give finite
    values and gradients.

    Args:
        ignore_index: The value of ``target`` where no class is given.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def summands(self) -> list[TermLoss]:
        """Return the losses whose terms are added."""
        raise NotImplementedError

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, output: SegmentationOutput, batch: Sample) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss of a batch.

        Args:
            output: Output of the network. batch: Its input, with the labels.

        Returns:
            The total, and its terms, unweighted scalars.
        """
        found = labelled_batch(output, batch, self.ignore_index)
        with torch.autocast(output.logits.device.type, enabled=False):
            total, _, _ = pixel_terms(output.logits, None, found.labelled, found.valid, None)
            terms = {"seg": total}
            wide = output._replace(logits=output.logits.to(loss_dtype(output.logits)))
            for loss in self.summands():
                terms[loss.term_name] = loss.term(wide, found)
                total = total + loss.options.weight * terms[loss.term_name]
        return total, terms


class TermLoss(SumLoss):
    """Base class of losses of the form L_seg + weight * term.

    Args:
        ignore_index: The value of ``target`` where no class is given.
        options: Options of the term; see :data:`agmm.config.terms.TERM_OPTIONS`.

    Raises:
        ValueError: If an option is unknown, has the wrong type or is out of range.
    """

    #: Name of the term, and of its options in :data:`agmm.config.terms.TERM_OPTIONS`.
    term_name: ClassVar[str]

    def __init__(self, ignore_index: int = 255, **options: Any) -> None:
        super().__init__(ignore_index)
        self.options: Any = term_options(self.term_name, options)
        self.term_names = ("seg", self.term_name)

    def extra_repr(self) -> str:
        """Return the settings, for ``print(loss)``."""
        return f"ignore_index={self.ignore_index}, {self.options}"

    def summands(self) -> list[TermLoss]:
        """Return this loss alone."""
        return [self]

    def term(self, output: SegmentationOutput, batch: LabelledBatch) -> Tensor:
        """Compute the unweighted term, a scalar; 0 if no pixel contributes."""
        raise NotImplementedError


def mean_over_real(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of pixel values, shape (N, H, W), over real pixels; 0 if all are padding."""
    return values.masked_fill(~valid, 0).sum() / valid.sum().clamp(min=1)
