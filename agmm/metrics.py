"""Scores of predicted label maps, counted over a whole split."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


class ConfusionMatrix:
    """Counts of pixels by true and predicted class.

    All scores come from the counts of the whole split, never from averages over images. They are NaN for classes
    that occur neither in truth nor in prediction, and the means pass over NaN.

    Args:
        num_classes: Classes to count.
        device: Where the counts live; a CUDA device spares a copy per batch.

    Example:
        >>> matrix = ConfusionMatrix(2)
        >>> matrix.update(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 0]]), ignore_index=255)
        >>> matrix.iou()
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)

    def update(self, preds: Tensor, target: Tensor, ignore_index: int) -> None:
        """Count the pixels of a batch.

        Args:
            preds: Predicted classes, any integer type, any shape.
            target: True classes, same shape.
            ignore_index: Pixels with this target are passed over.

        Raises:
            ValueError: If the shapes differ or a class lies outside 0..num_classes-1.
        """
        if preds.shape != target.shape:
            raise ValueError(f"Expected preds and target of one shape, got {_shape(preds)} and {_shape(target)}.")
        keep = target != ignore_index
        true, predicted = target[keep].long(), preds[keep].long()
        for name, values in (("target", true), ("preds", predicted)):
            if values.numel() and (int(values.min()) < 0 or int(values.max()) >= self.num_classes):
                raise ValueError(
                    f"{name} holds {int(values.min())}..{int(values.max())}, expected 0..{self.num_classes - 1}."
                )
        flat = torch.bincount(true * self.num_classes + predicted, minlength=self.num_classes**2)
        self.counts += flat.reshape(self.num_classes, self.num_classes).to(self.counts.device)

    def reduce(self) -> None:
        """Sum the counts over all ranks, where torch.distributed runs; every rank must call it, once, at the end."""
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(self.counts)

    def iou(self) -> Tensor:
        """Intersection over union of each class, shape (C,), float64, 0..1; NaN for absent classes."""
        return _ratio(self.counts.diagonal(), self.counts.sum(0) + self.counts.sum(1) - self.counts.diagonal())

    def mean_iou(self) -> float:
        """Mean of ``iou`` over the classes that occur; NaN if none does."""
        return float(self.iou().nanmean())

    def class_accuracy(self) -> Tensor:
        """Share of each class's pixels that were found (recall), shape (C,), float64; NaN for classes not in truth."""
        return _ratio(self.counts.diagonal(), self.counts.sum(1))

    def pixel_accuracy(self) -> float:
        """Share of pixels that are right; NaN if there are none."""
        return float(_ratio(self.counts.diagonal().sum(), self.counts.sum()))


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part.double() / whole.double()  # 0 / 0 is NaN


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
