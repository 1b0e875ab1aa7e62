"""Metrics of predicted label maps, counted over a whole split."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed

from agmm.distributed import widest_float


class ConfusionMatrix:
    """Counts of pixels by true and predicted class.

    All metrics come from the counts of the whole split, never from averages over images. They are NaN for classes
    that occur neither in truth nor in prediction; means ignore NaN. Apple GPUs give float32 where others give float64.

    Args:
        num_classes: Number of classes.
        device: Device of the counts; a CUDA device saves a copy per batch.

    Example:
        >>> matrix = ConfusionMatrix(2)
        >>> matrix.update(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 0]]), ignore_index=255)
        >>> matrix.iou()
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    def __init__(self, num_classes: int, device: torch.device | str = "cpu") -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)

    def __repr__(self) -> str:
        """One line, as notebooks show it."""
        return f"<ConfusionMatrix of {self.num_classes} classes, {int(self.counts.sum()):,} pixels>"

    def update(self, preds: Tensor, target: Tensor, ignore_index: int) -> None:
        """Count the pixels of a batch.

        Args:
            preds: Predicted classes, any integer type, any shape.
            target: True classes, same shape.
            ignore_index: Pixels with this target are ignored.

        Raises:
            ValueError: If the shapes differ or a class lies outside 0..num_classes-1.
        """
        _check_shapes(preds, target)
        if preds.numel() == 0:
            return
        keep = target != ignore_index
        # Read together: on CUDA, each number read waits for the device.
        limits = torch.stack([*preds.aminmax(), *target.where(keep, 0).aminmax()]).tolist()
        if min(limits) < 0 or max(limits) >= self.num_classes:
            low, high, true_low, true_high = limits
            raise ValueError(
                f"Expected classes 0..{self.num_classes - 1}, got {low}..{high} in preds and {true_low}..{true_high} "
                f"in target (ignoring {ignore_index})."
            )
        # Count void as an extra true class and drop it at the end: six times faster than selecting the other pixels.
        true = target.long().where(keep, self.num_classes)
        counts = torch.bincount((true * self.num_classes + preds).flatten(), minlength=self.num_classes**2)
        counts = counts[: self.num_classes**2].reshape(self.num_classes, self.num_classes)
        self.counts += counts.to(self.counts.device)

    def reduce(self) -> None:
        """Sum the counts over all ranks, where torch.distributed runs; every rank must call it, once, at the end."""
        _sum_over_ranks(self.counts)

    def iou(self) -> Tensor:
        """Intersection over union of each class, shape (C,), float64, 0..1; NaN for absent classes."""
        hits = self.counts.diagonal()
        return _ratio(hits, self.counts.sum(0) + self.counts.sum(1) - hits)

    def mean_iou(self) -> float:
        """Mean of ``iou`` over the classes that occur; NaN if none does."""
        return float(self.iou().nanmean())

    def class_accuracy(self) -> Tensor:
        """Recall of each class, shape (C,), float64; NaN for classes not in truth."""
        return _ratio(self.counts.diagonal(), self.counts.sum(1))

    def pixel_accuracy(self) -> float:
        """Share of pixels that are predicted correctly; NaN if there are none."""
        return float(_ratio(self.counts.diagonal().sum(), self.counts.sum()))


class BoundaryIoU:
    """IoU of the pixels near class borders, counted by class over a whole split.

    A pixel belongs to the border band of its class if another class, void or the image's edge lies within ``width``
    pixels (chessboard distance). Void is excluded from prediction and truth, so it adds the same border to both.
    Images are counted one by one, because the width depends on their size.

    Args:
        num_classes: Number of classes.
        width_share: Width of the band as a share of the image's diagonal.

    References:
        Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation", CVPR 2021, with its width
        of 2 % of the diagonal; counted over the split, like mean IoU.
    """

    def __init__(self, num_classes: int, width_share: float = 0.02) -> None:
        self.num_classes = num_classes
        self.width_share = width_share
        #: Pixels in both bands with the same class, and pixels in either band, by class, shape (2, C).
        self.counts = torch.zeros(2, num_classes, dtype=torch.int64)

    def update(self, preds: Tensor, target: Tensor, ignore_index: int) -> None:
        """Count one image.

        Args:
            preds: Predicted classes, shape (H, W).
            target: True classes, same shape.
            ignore_index: Pixels with this target are void.

        Raises:
            ValueError: If the shapes differ.
        """
        _check_shapes(preds, target)
        void = self.num_classes
        true = target.cpu().numpy().astype(np.int64)
        true[true == ignore_index] = void
        predicted = np.where(true == void, void, preds.cpu().numpy())
        width = max(1, round(self.width_share * float(np.hypot(*true.shape))))
        bands = [np.where(near_border(label_map, width), label_map, void) for label_map in (true, predicted)]
        in_true, in_predicted = (np.bincount(b.ravel(), minlength=void + 1)[:void] for b in bands)
        both = np.bincount(bands[0][bands[0] == bands[1]], minlength=void + 1)[:void]
        self.counts += torch.from_numpy(np.stack([both, in_true + in_predicted - both]))

    def reduce(self) -> None:
        """Sum the counts over all ranks, where torch.distributed runs; every rank must call it, once, at the end."""
        _sum_over_ranks(self.counts)

    def iou(self) -> Tensor:
        """Boundary IoU of each class, shape (C,), float64, 0..1; NaN for classes without a border."""
        return _ratio(self.counts[0], self.counts[1])

    def mean_iou(self) -> float:
        """Mean of ``iou`` over the classes that occur; NaN if none does."""
        return float(self.iou().nanmean())


def near_border(label_map: NDArray[np.int64], width: int) -> NDArray[np.bool_]:
    """Find pixels with another value, or the image's edge, within ``width`` pixels (chessboard distance).

    One pass covers all classes: the window around a pixel has a single class if its minimum equals its maximum.

    Args:
        label_map: Class ids from 0 to 65533, shape (H, W).
        width: In pixels, at least 1.
    """
    window = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    outside = 65535  # not a class, so the image's edge is a border
    values = cv2.copyMakeBorder(
        label_map.astype(np.uint16), width, width, width, width, cv2.BORDER_CONSTANT, value=outside
    )
    inner = slice(width, -width)
    return np.asarray(cv2.erode(values, window)[inner, inner] != cv2.dilate(values, window)[inner, inner])


def _sum_over_ranks(counts: Tensor) -> None:
    """Sum in place if the backend can, or else through the rank's CUDA device (NCCL cannot sum CPU tensors)."""
    if distributed.is_available() and distributed.is_initialized():
        on_cpu_with_nccl = counts.device.type == "cpu" and distributed.get_backend() == "nccl"
        shared = counts.cuda() if on_cpu_with_nccl else counts
        distributed.all_reduce(shared)
        counts.copy_(shared)


def _check_shapes(preds: Tensor, target: Tensor) -> None:
    if preds.shape != target.shape:
        raise ValueError(f"Expected preds and target of equal shape, got {tuple(preds.shape)}, {tuple(target.shape)}.")


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    dtype = widest_float(part.device)
    return part.to(dtype) / whole.to(dtype)  # 0 / 0 is NaN
